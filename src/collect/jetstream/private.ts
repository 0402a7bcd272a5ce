/**
 * A nats-server of our own on a folder: for a drill, and for a data folder whose own server is stopped.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import type { NatsServer } from "../../nats/link.ts";

/** Which program, over which folder. */
export interface PrivateOptions {
  /** The folder that holds, or will hold, `jetstream/`; absolute. */
  readonly storeDir: string;
  /** The server's program. Default: "nats-server" from the PATH. */
  readonly program?: string | undefined;
}

/** A running server that only who knows its token can use. */
export interface PrivateServer extends AsyncDisposable {
  /** How to connect. */
  readonly server: NatsServer;
}

const READY_MS = 60_000;
const STOP_MS = 60_000;

/** Starts the server on a free port of the loopback address, with a token of its own. Throws when it does not get ready. */
export async function startPrivate(
  { storeDir, program = "nats-server" }: PrivateOptions,
): Promise<PrivateServer> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-nats-"));
  const token = randomBytes(24).toString("hex");
  await writeFile(
    join(dir, "server.conf"),
    `listen: "127.0.0.1:-1"\nports_file_dir: ${JSON.stringify(dir)}\nauthorization { token: "${token}" }\n` +
      `jetstream { store_dir: ${JSON.stringify(storeDir)} }\nlog_file: ${JSON.stringify(join(dir, "log"))}\n`,
    { mode: 0o600 },
  );
  // In a group of its own: Ctrl-C is for us, who still need the server to clean up.
  const child = spawn(program, ["-c", join(dir, "server.conf")], { stdio: "ignore", detached: true });
  const ended = new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(messageOf(error)));
    child.on("exit", (code, signal) => resolve(`it ended with ${signal ?? `exit code ${code}`}`));
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(timer);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const url = await ready(dir, ended);
    return { server: { servers: url, auth: () => ({ token }) }, [Symbol.asyncDispose]: stop };
  } catch (cause) {
    const log = await readFile(join(dir, "log"), "utf8").catch(() => "");
    await stop();
    throw new Error(
      `Cannot start "${program}" over "${storeDir}": ${messageOf(cause)}${lastWords(log)}. ` +
        "Install nats-server, or say where it is (--nats-server)",
      { cause },
    );
  }
}

/** The port file appears once the server listens. */
async function ready(dir: string, ended: Promise<string>): Promise<string> {
  let failure: string | undefined;
  void ended.then((why) => failure = why);
  for (const start = performance.now(); performance.now() - start < READY_MS;) {
    if (failure !== undefined) throw new Error(failure);
    const file = (await readdir(dir)).find((name) => name.endsWith(".ports"));
    const text = file === undefined ? "" : await readFile(join(dir, file), "utf8");
    const url = /"(nats:\/\/127\.0\.0\.1:\d+)"/.exec(text)?.[1];
    if (url !== undefined) return url;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`it is not ready after ${READY_MS / 1000} s`);
}

function lastWords(log: string): string {
  const lines = log.split("\n").filter((line) => /\[(?:FTL|ERR)\]/.test(line));
  return lines.length === 0 ? "" : `: ${lines.at(-1)!.replace(/^.*\[(?:FTL|ERR)\] */, "")}`;
}
