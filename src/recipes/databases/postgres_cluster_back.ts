/**
 * A server's data folder back to where it can be started.
 *
 * @module
 */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { codeOf } from "../../collect/place.ts";
import { extract, type Inspect } from "../../collect/extract.ts";
import { ConfigError, ExistsError, IntegrityError, messageOf } from "../../errors.ts";
import type { Context, Files } from "../../stage.ts";
import { FOLDER, type PostgresClusterOptions } from "./postgres_cluster.ts";
import { findPostgres } from "./postgres_server.ts";
import { ask } from "./programs.ts";
import { versionIn } from "./versions.ts";

const FAILED = "Cannot restore PostgreSQL";

/** Writes the folder, in place only where a server could start on it. */
export async function clusterBack(
  tool: string,
  options: PostgresClusterOptions,
  stored: Files,
  context: Context,
): Promise<void> {
  const { want } = context;
  const inspect: Inspect = (placed) => verify(options, placed(FOLDER)?.staged, context);
  if (!want.inPlace) return await extract(stored, context, [], inspect);
  if (options.dataDir === undefined) {
    throw new ConfigError(`${FAILED} in place: name its data folder with "dataDir", or use --into`);
  }
  await checkVersion(options, stored.facts().sources.find((source) => source.tool === tool)?.facts, context);
  refuseFull(options.dataDir);
  await extract(stored, context, [{ path: FOLDER, source: options.dataDir }], inspect);
}

/** A data folder belongs to one major version. */
async function checkVersion(
  { bin }: PostgresClusterOptions,
  recorded: Readonly<Record<string, unknown>> | undefined,
  { log, signal }: Context,
): Promise<void> {
  const was = Math.floor(Number(recorded?.serverVersion) / 10000);
  const program = findPostgres(bin);
  if (program === undefined) {
    log.warn(
      "version",
      `No server of PostgreSQL is installed here: start one of version ${was} on the folder`,
    );
    return;
  }
  const is = versionIn(await ask(FAILED, { argv: [program, "--version"], env: {} }, signal));
  if (Number.parseInt(is, 10) === was) return;
  throw new Error(
    `${FAILED}: "${program}" is version ${is}, the backup is of a server of version ${was}, and a data folder is read by ` +
      'its own version alone. Nothing was touched. Install that version, or name the folder of its programs with "bin"',
  );
}

/** What is left of another server (its log, its relations) would be taken for this one's. */
function refuseFull(dataDir: string): void {
  try {
    if (readdirSync(dataDir).length === 0) return;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  throw new ExistsError(
    `${FAILED}: "${dataDir}" is not empty. Nothing was touched. Stop its server, move what is in it away, and run again`,
  );
}

/** The server's own check of the whole folder, the log included. A part of it cannot be checked. */
async function verify(
  { bin }: PostgresClusterOptions,
  folder: string | undefined,
  { want, log, signal }: Context,
): Promise<void> {
  if (folder === undefined || want.only.length > 0 || want.strip > 0) return;
  const server = findPostgres(bin);
  const program = server && join(dirname(server), "pg_verifybackup");
  if (program === undefined || !existsSync(program)) {
    return log.info("The folder was not looked at by pg_verifybackup: it is not installed here");
  }
  try {
    await ask(FAILED, { argv: [program, "--quiet", folder], env: {} }, signal);
  } catch (cause) {
    signal.throwIfAborted();
    throw new IntegrityError(`${messageOf(cause)}. Nothing was put in place; restore another backup`, {
      cause,
    });
  }
}
