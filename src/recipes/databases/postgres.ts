/**
 * PostgreSQL: one database or all of them with their roles, dumped and restored by its own programs.
 *
 * @module
 */
import { pour } from "../../collect/feed.ts";
import type { Spool } from "../../collect/spool.ts";
import { messageOf } from "../../errors.ts";
import type { Files, Stage } from "../../stage.ts";
import { type Dump, dumpStage, type Facts } from "./dumps.ts";
import { GLOBALS, GLOBALS_END, postgresBack } from "./postgres_back.ts";
import { drillPostgres } from "./postgres_drill.ts";
import { checkServer, postgresEnv, type PostgresServer, postgresVersions, query } from "./postgres_server.ts";
import { checkTexts, programIn } from "./programs.ts";
import { endsWith } from "./tail.ts";

/** What of a server is dumped, and how. */
export interface PostgresOptions extends PostgresServer {
  /** The database. Not given: all that take connections, and what is common to them: roles and tablespaces. */
  readonly database?: string | undefined;
  /** Whether the digests of the roles' passwords come along, which only a superuser may read. Default: true. */
  readonly rolePasswords?: boolean | undefined;
  /** Restores into a server, or with programs, older than those of the backup. Default: false, it is refused. */
  readonly anyVersion?: boolean | undefined;
  /** Folder for dumps beyond 4 MiB, which wait there, encrypted and without a name; default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
}

/**
 * Stores `NAME.dump` for each database, in the custom format of `pg_dump` (for `pg_restore`), and with all of them `globals.sql` of
 * `pg_dumpall`. Each database is consistent in itself, as of one moment; writers do not wait. A dump is stored only when `pg_dump`
 * has ended well and `pg_restore` has read it to its end. Versions of server and programs stand in the receipt.
 *
 * Undo with `want.inPlace` restores into the server of the options, which must not be older than the one backed up (but with
 * `anyVersion`): a database that is
 * not there is created, an empty one filled. One that holds anything is a conflict, found before anything is touched: `skip` leaves it,
 * `overwrite` replaces what the dump holds, in one transaction. Roles that exist stay as they are, but with `overwrite`.
 * Other requests write the files. A drill fills a private server with them.
 *
 * Throws TypeError or RangeError for options that cannot be.
 *
 * @example
 * ```ts ignore
 * postgres({ host: "/run/postgresql", database: "app" });
 * ```
 */
export function postgres(options: PostgresOptions = {}): Stage<void, Files> {
  checkServer(options);
  checkTexts("PostgreSQL", { database: options.database, spoolDir: options.spoolDir });
  const all = options.database === undefined;
  return dumpStage({
    tool: "postgres",
    spoolDir: options.spoolDir,
    secret: all && options.rolePasswords !== false ? "the passwords of the server's roles" : undefined,
    dumps: (signal) => dumps(options, signal),
    back: (kept, recorded, context) => postgresBack(options, kept, recorded, context),
    drill: (folder, context) => drillPostgres(options, folder, context),
  });
}

async function dumps(
  options: PostgresOptions,
  signal: AbortSignal,
): Promise<{ facts: Facts; list: readonly Dump[] }> {
  const { database, bin, rolePasswords = true } = options;
  const failed = "Cannot back up PostgreSQL";
  const first = database ?? "postgres";
  const facts = await postgresVersions(failed, options, first, "pg_dump", signal);
  const names = database === undefined
    ? await query(
      failed,
      options,
      first,
      "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname",
      signal,
    )
    : [database];
  const list: Dump[] = [];
  if (database === undefined) {
    const argv = [programIn(bin, "pg_dumpall"), "--globals-only", "--no-password", `--database=postgres`];
    if (!rolePasswords) argv.push("--no-role-passwords");
    const check = (output: Spool): Promise<void> => endsWith(GLOBALS_END, GLOBALS, output);
    list.push({ path: GLOBALS, argv, env: await postgresEnv(options), check });
  }
  for (const name of names) list.push(await dump(options, name));
  return { facts: { ...facts, databases: names.length, globals: database === undefined }, list };
}

async function dump(options: PostgresOptions, database: string): Promise<Dump> {
  const path = `${encodeURIComponent(database)}.dump`;
  // Not compressed: what comes after the archive compresses better, and on all processors.
  const argv = [programIn(options.bin, "pg_dump"), "--format=custom", "--compress=0", "--no-password"];
  argv.push("--lock-wait-timeout=60s");
  const check = async (output: Spool, signal: AbortSignal): Promise<void> => {
    const reader = [programIn(options.bin, "pg_restore"), "--exit-on-error", "--file=-"];
    try {
      await pour({ argv: reader, path }, output, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw new Error(`Cannot back up "${path}": it does not read back to its end. ${messageOf(cause)}`, {
        cause,
      });
    }
  };
  return { path, argv, env: await postgresEnv(options, database), check };
}
