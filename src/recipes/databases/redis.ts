/**
 * Redis and Valkey: all keys as of one moment, as the RDB file that the server itself reads when it starts.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { extract } from "../../collect/extract.ts";
import type { Spool } from "../../collect/spool.ts";
import { ConfigError } from "../../errors.ts";
import { checkFunctions } from "../../secrets.ts";
import type { Context, Files, Stage } from "../../stage.ts";
import { type Dump, dumpStage, type Facts } from "./dumps.ts";
import { ask, type Call, checkPort, checkTexts, programIn, secretEnv } from "./programs.ts";
import { lengthOfRdb } from "./rdb.ts";
import { drillRedis } from "./redis_drill.ts";
import { isOlder, tooOld, versionIn } from "./versions.ts";

/** Where a server is, and as whom. */
export interface RedisOptions {
  /** Host name. Default of the program: 127.0.0.1. */
  readonly host?: string | undefined;
  /** Port. Default of the program: 6379. */
  readonly port?: number | undefined;
  /** Absolute path of a socket, in place of host and port. */
  readonly socket?: string | undefined;
  /** User of an ACL, who may run SYNC, REPLCONF, PING and INFO. */
  readonly user?: string | undefined;
  /** Gives the password; handed on as REDISCLI_AUTH, never in `argv`. */
  readonly password?: (() => string | Promise<string>) | undefined;
  /** Whether to speak TLS. Default: false. */
  readonly tls?: boolean | undefined;
  /** Which server: its programs are `redis-cli` and `redis-server`, or `valkey-cli` and `valkey-server`. Default: "redis". */
  readonly kind?: "redis" | "valkey" | undefined;
  /** Folder of the programs. Default: the PATH. */
  readonly bin?: string | undefined;
  /** The file that the server reads when it starts, for a restore in place: "/var/lib/redis/dump.rdb". */
  readonly file?: string | undefined;
  /** Restores for a server program older than the server backed up. Default: false, it is refused. */
  readonly anyVersion?: boolean | undefined;
  /** Folder for data beyond 4 MiB, which waits there, encrypted and without a name; default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
}

/** The stored path. */
export const PATH = "dump.rdb";

/**
 * Stores `dump.rdb`: all keys as of one moment, as a replica receives them (`redis-cli --rdb`); writers do not wait. It is stored only
 * when the program has ended well, the file's end mark is there and its checksum agrees. The server's version stands in the receipt.
 *
 * Undo with `want.inPlace` writes `file`, which the server reads when it starts: it is refused while the server answers (for it would
 * write over the file when it ends), beside an append-only log (which the server would read instead), and by an older server's
 * program, but with `anyVersion`. Other requests write the file into their folder. A drill starts a private server with it.
 *
 * Throws TypeError or RangeError for options that cannot be.
 *
 * @example
 * ```ts ignore
 * redis({ socket: "/run/redis/redis.sock", file: "/var/lib/redis/dump.rdb" });
 * ```
 */
export function redis(options: RedisOptions = {}): Stage<void, Files> {
  const { host, port, socket, user, kind = "redis", bin, file, spoolDir } = options;
  checkTexts("Redis", { host, socket, user, bin, file, spoolDir });
  checkPort("Redis", port);
  if (kind !== "redis" && kind !== "valkey") {
    throw new TypeError(`Cannot back up ${JSON.stringify(kind)}: "kind" is "redis" or "valkey"`);
  }
  checkFunctions({ password: options.password });
  const dumped = dumpStage({
    tool: "redis",
    spoolDir,
    dumps: (signal) => dumps(options, signal),
    back: () => Promise.resolve([]),
    drill: (folder, context) => drillRedis(options, folder, context),
  });
  return {
    ...dumped,
    undo: async (stored, context) =>
      context.want.inPlace
        ? await extract(stored, context, [{ path: PATH, source: await place(options, stored, context) }])
        : await dumped.undo(stored, context),
  };
}

/** A call of the client; its arguments hold no secret. */
export async function client(options: RedisOptions, ...args: readonly string[]): Promise<Call> {
  const { host, port, socket, user, password, tls, kind = "redis", bin } = options;
  const argv = [programIn(bin, `${kind}-cli`), "-e"];
  if (host !== undefined) argv.push("-h", host);
  if (port !== undefined) argv.push("-p", String(port));
  if (socket !== undefined) argv.push("-s", socket);
  if (user !== undefined) argv.push("--user", user);
  if (tls) argv.push("--tls");
  return { argv: [...argv, ...args], env: await secretEnv("REDISCLI_AUTH", password) };
}

async function dumps(
  options: RedisOptions,
  signal: AbortSignal,
): Promise<{ facts: Facts; list: readonly Dump[] }> {
  const failed = "Cannot back up Redis";
  const info = await ask(failed, await client(options, "INFO", "server"), signal);
  const said = /^valkey_version:(\S+)/m.exec(info) ?? /^redis_version:(\S+)/m.exec(info);
  if (!said) throw new Error(`${failed}: the server did not say its version but ${info.slice(0, 200)}`);
  const program = await ask(failed, { argv: [programOf(options, "cli"), "--version"], env: {} }, signal);
  const check = async (output: Spool): Promise<number> => {
    const fault = await lengthOfRdb(output);
    if (typeof fault === "number") return fault;
    throw new Error(
      `Cannot back up "${PATH}": ${fault}. Nothing was stored; look into the server's log, and run again`,
    );
  };
  const facts = { serverVersion: said[1]!, clientVersion: versionIn(program) };
  return { facts, list: [{ path: PATH, ...await client(options, "--rdb", "-"), check }] };
}

function programOf({ bin, kind = "redis" }: RedisOptions, name: string): string {
  return programIn(bin, `${kind}-${name}`);
}

/** The file to write. Throws while that would be lost, or not be read. */
async function place(options: RedisOptions, stored: Files, { signal }: Context): Promise<string> {
  const failed = "Cannot restore Redis";
  const { file } = options;
  if (file === undefined) {
    throw new ConfigError(`${failed} in place: name the server's file with "file", or use --into`);
  }
  const answer = await ask(failed, await client(options, "PING"), signal).catch((error: Error) => {
    signal.throwIfAborted();
    return /Could not connect/.test(error.message) ? undefined : error.message;
  });
  if (answer !== undefined) {
    throw new Error(
      `${failed}: the server runs, and would write over "${file}" when it ends. Nothing was touched. ` +
        "Stop it first, and start it after the restore",
    );
  }
  const log = join(dirname(file), "appendonlydir");
  if (existsSync(log)) {
    throw new Error(
      `${failed}: with "${log}" there the server would not read "${file}". Nothing was touched. Move it away, ` +
        'start the server with "appendonly no", and turn the log on again when it runs (CONFIG SET appendonly yes)',
    );
  }
  const recorded = stored.facts().sources.find(({ tool }) => tool === "redis")?.facts.serverVersion;
  const argv = [programOf(options, "server"), "--version"];
  const version = versionIn(await ask(failed, { argv, env: {} }, signal));
  if (typeof recorded === "string" && isOlder(version, recorded) && !options.anyVersion) {
    throw tooOld(failed, "the server here", version, recorded);
  }
  return file;
}
