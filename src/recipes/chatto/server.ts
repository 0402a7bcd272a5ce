/**
 * The server that a chatto.toml means: the running one to read from, and the one to restore into.
 *
 * @module
 */
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { connectTo, type Link, type NatsServer } from "../../nats/link.ts";
import { startPrivate } from "../../collect/jetstream/private.ts";
import { BusyError, ConfigError, messageOf } from "../../errors.ts";
import type { ChattoSettings } from "./settings.ts";

/** Where Chatto's configuration lies, and what it needs. */
export interface ServerOptions {
  /** Chatto's configuration. Default: "chatto.toml" in the current folder. A missing file is no error: the environment may say it all. */
  readonly config?: string | undefined;
  /** The folder a relative `nats.embedded.data_dir` starts at: the one Chatto is started in. Default: the current folder. */
  readonly cwd?: string | undefined;
  /** The nats-server that restores into an embedded data folder. Default: "nats-server" from the PATH. */
  readonly natsServer?: string | undefined;
}

/** Connects to the running server. Throws as {@linkcode clientOf} does. */
export async function connectForBackup(settings: ChattoSettings, what: string): Promise<Link> {
  return await connect(clientOf(settings, what), settings);
}

/** A wrong path to chatto.toml would only show as a server that is not there. */
async function connect(client: NatsServer, { absent }: ChattoSettings): Promise<Link> {
  try {
    return await connectTo(client);
  } catch (cause) {
    if (absent === undefined) throw cause;
    throw new Error(
      `${
        messageOf(cause)
      }. "${absent}" does not exist: the address is from the environment (CHATTO_*), or the default`,
      { cause },
    );
  }
}

/** How to reach the running server. Throws {@linkcode ConfigError} when it is embedded and opens no port. */
export function clientOf({ client }: ChattoSettings, what: string): NatsServer {
  if (client) return client;
  throw new ConfigError(
    `Cannot ${what}: the NATS server embedded in Chatto opens no port. Set nats.embedded.port in chatto.toml (4222) and restart Chatto`,
  );
}

/** Where a restore goes; disposing ends it. */
export interface Target extends AsyncDisposable {
  /** The connection. */
  readonly link: Link;
  /** What the server is known by, whatever its port. */
  readonly place: string;
}

/** Opens the external server, or a server of our own on the embedded one's folder, which must not be in use. */
export async function openTarget(settings: ChattoSettings, options: ServerOptions): Promise<Target> {
  const { embedded, client } = settings;
  if (!embedded) {
    const link = await connect(client!, settings);
    return { link, place: link.where, [Symbol.asyncDispose]: () => link.close() };
  }
  const dataDir = dataDirOf(embedded.dataDir, options);
  await refuseRunning(embedded, dataDir);
  const server = await startPrivate({ storeDir: dataDir, program: options.natsServer });
  try {
    const link = await connectTo(server.server);
    return {
      link,
      place: dataDir,
      [Symbol.asyncDispose]: async () => {
        await link.close();
        await server[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** Chatto means the folder it is started in; where that has no such folder and the configuration's has, that one is meant. */
function dataDirOf(dataDir: string, { cwd, config = "chatto.toml" }: ServerOptions): string {
  const here = resolve(cwd ?? Deno.cwd(), dataDir);
  const beside = resolve(dirname(resolve(cwd ?? Deno.cwd(), config)), dataDir);
  return !existsSync(here) && existsSync(beside) ? beside : here;
}

/** nats-server does not lock its folder: two of them on one would destroy it. */
async function refuseRunning(
  { bind, port }: { readonly bind: string; readonly port: number },
  dataDir: string,
): Promise<void> {
  const host = bind === "0.0.0.0" || bind === "::" ? "127.0.0.1" : bind;
  if (port > 0 && await answers(host, port)) {
    throw new BusyError(`Cannot restore: Chatto's NATS server answers at ${host}:${port}. Stop Chatto first`);
  }
  const pid = holderOf(dataDir);
  if (pid !== undefined) {
    throw new BusyError(`Cannot restore: process ${pid} has files open in "${dataDir}". Stop Chatto first`);
  }
}

async function answers(hostname: string, port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname, port })).close();
    return true;
  } catch {
    return false;
  }
}

/** A process with a file open below a folder; undefined where none is, or where the system does not say. */
function holderOf(folder: string): string | undefined {
  const list = (path: string): string[] => {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  };
  for (const pid of list("/proc").filter((name) => /^\d+$/.test(name))) {
    for (const fd of list(`/proc/${pid}/fd`)) {
      try {
        if (readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(`${folder}/`)) return pid;
      } catch { /* closed meanwhile */ }
    }
  }
  return undefined;
}
