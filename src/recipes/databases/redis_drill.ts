/**
 * Does an RDB file work? A private server is started with it.
 *
 * @module
 */
import { chownSync, constants, copyFileSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../../stage.ts";
import { ask, programIn } from "./programs.ts";
import { client, PATH, type RedisOptions } from "./redis.ts";
import { findServer, scratchIn, serve, withoutServer } from "./scratch.ts";
import { versionIn } from "./versions.ts";

const FAILED = "The drill failed";

/** Has the server's own program check the file in `folder`, starts a server with it, and counts its keys. */
export async function drillRedis(
  { kind = "redis", bin }: RedisOptions,
  folder: string,
  context: Context,
): Promise<Readonly<Record<string, unknown>>> {
  const { signal } = context;
  const program = findServer(`${kind}-server`, bin);
  if (program === undefined) return withoutServer(`${kind}-server`, context);
  await ask(FAILED, { argv: [programIn(bin, `${kind}-check-rdb`), join(folder, PATH)], env: {} }, signal);
  await using scratch = await scratchIn(folder, kind);
  copyFileSync(join(folder, PATH), join(scratch.data, PATH), constants.COPYFILE_FICLONE);
  if (scratch.as) chownSync(join(scratch.data, PATH), scratch.as.uid, scratch.as.gid);
  const socket = join(scratch.socket, "s");
  const flags = {
    port: "0",
    unixsocket: socket,
    dir: scratch.data,
    dbfilename: PATH,
    appendonly: "no",
    save: "",
  };
  const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
  const own = { kind, bin, socket };
  const asked = async (...args: readonly string[]): Promise<string> =>
    await ask(FAILED, await client(own, ...args), signal);
  const call = { argv: [program, ...args], env: {}, as: scratch.as };
  // It answers with an error until all keys are read.
  await using _server = await serve(call, () => asked("PING"), signal);
  const version = await ask(FAILED, { argv: [program, "--version"], env: {} }, signal);
  const spaces = (await asked("INFO", "keyspace")).matchAll(/keys=(\d+)/g);
  return { server: versionIn(version), keys: [...spaces].reduce((sum, [, keys]) => sum + Number(keys), 0) };
}
