/**
 * One connection: the server's key is checked before anything is said, then the login, then the SFTP channel.
 *
 * @module
 */
import { connect as dial, type Socket } from "node:net";
import { messageOf } from "../../errors.ts";
import { codeOf } from "../folder.ts";
import { LostError, type Place, RefusedError } from "./explain.ts";
import { knownKeys, refusalOf } from "./host_key.ts";
import { algorithmsFor, type KnownKey } from "./known_hosts.ts";
import { type Client, loadLibrary } from "./library.ts";
import { type Ways, waysToLogIn } from "./login.ts";
import type { Settings } from "./options.ts";
import { sealAside } from "./seal.ts";
import { type Wire, wireOf } from "./wire.ts";

/** Not chacha20-poly1305: the library leaves two ciphers a packet unfinished, which Deno then keeps for good. */
const CIPHERS = [
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "aes128-ctr",
  "aes192-ctr",
  "aes256-ctr",
];

/** A connection under way. */
export interface Connection extends Wire {
  /** Whether it is in use. Else it does not keep the process alive, and is closed after a while. */
  readonly hold: (busy: boolean) => void;
}

/** Connects and logs in. Throws LostError for what may pass, RefusedError and KeyError for what will not. */
export async function connect(settings: Settings, place: Place): Promise<Connection> {
  const library = await loadLibrary();
  const known = await knownKeys(settings);
  const ways = await waysToLogIn(library, settings, place);
  const client = new library.Client();
  const socket = await dialled(settings, place);
  await ready(client, socket, settings, place, known, ways);
  return await new Promise<Connection>((resolve, reject) => {
    client.sftp((error, channel) => {
      if (error) {
        client.destroy();
        reject(
          new RefusedError(
            `the server lets "${place.user}" in and offers no SFTP (${
              messageOf(error)
            }). Enable "Subsystem sftp internal-sftp" there`,
          ),
        );
        return;
      }
      const wire = wireOf(channel, settings.stallMs, () => socket.destroy());
      socket.on("timeout", () => {
        wire.fail("the connection was idle, and closed");
        client.end();
      });
      client.on("close", () => wire.fail(`the connection to ${place.address} broke`));
      resolve({
        ...wire,
        hold: (busy) => {
          socket.setTimeout(busy ? 0 : settings.idleMs);
          if (busy) socket.ref();
          else socket.unref();
        },
      });
    });
  });
}

async function dialled({ host, port, connectMs }: Settings, { address }: Place): Promise<Socket> {
  return await new Promise<Socket>((resolve, reject) => {
    const socket = dial({ host, port, noDelay: true });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(
        new LostError(`${address} does not answer (${seconds(connectMs)}). Check host, port and firewalls`),
      );
    }, connectMs);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", (error) => {
      clearTimeout(timer);
      reject(new LostError(unreachable(error, host, address), { cause: error }));
    });
  });
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

function unreachable(error: Error, host: string, address: string): string {
  const code = codeOf(error);
  if (/ENOTFOUND|EAI_|lookup address|getaddrinfo/.test(`${code} ${error.message}`)) {
    return `the name "${host}" cannot be resolved. Check the host's name and DNS`;
  }
  if (code === "ECONNREFUSED") {
    return `nothing listens at ${address}. Check the port, and that the server runs`;
  }
  return `${address} cannot be reached (${code || error.message}). Check host, port and network`;
}

function ready(
  client: Client,
  socket: Socket,
  settings: Settings,
  place: Place,
  known: readonly KnownKey[],
  ways: Ways,
): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    let refused: Error | undefined;
    let settled = false;
    const settle = (error?: Error): void => {
      if (!settled && error) socket.destroy();
      if (!settled) error ? reject(error) : resolve();
      settled = true; // later errors show as "close"
    };
    client.on("ready", () => settle());
    client.on("error", (error) => settle(refused ?? failed(error, settings, place, ways)));
    client.on(
      "close",
      () =>
        settle(refused ?? new LostError(`${place.address} closed the connection before the login was done`)),
    );
    client.connect({
      sock: socket,
      username: place.user,
      authHandler: ways.logins,
      hostVerifier: (key) => {
        refused = refusalOf(known, key, settings);
        return refused === undefined;
      },
      algorithms: { serverHostKey: algorithmsFor(known), cipher: CIPHERS, compress: ["none"] },
      readyTimeout: settings.connectMs,
    });
    sealAside(client, () => socket.destroy());
  });
}

function failed(error: Error, { connectMs }: Settings, place: Place, { names }: Ways): Error {
  const level = "level" in error ? String(error.level) : "";
  if (level === "client-authentication") {
    return new RefusedError(
      `the server refuses the user "${place.user}" with ${
        names.join(" and ")
      }. Check the user, and that the server accepts this way to log in`,
      { cause: error },
    );
  }
  if (level === "client-timeout") {
    return new LostError(`${place.address} does not finish the login within ${seconds(connectMs)}`, {
      cause: error,
    });
  }
  if (/no matching/i.test(error.message)) {
    return new RefusedError(`${error.message}: this server's SSH is too old, or too new`, { cause: error });
  }
  return new LostError(`the connection to ${place.address} failed: ${error.message}`, { cause: error });
}
