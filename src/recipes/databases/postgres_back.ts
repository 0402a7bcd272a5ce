/**
 * Dumps back into a PostgreSQL server: what is there is looked at before anything is touched.
 *
 * @module
 */
import { type Spool, spooled } from "../../collect/spool.ts";
import { readAll, text, utf8 } from "../../bytes.ts";
import { ExistsError } from "../../errors.ts";
import type { Context } from "../../stage.ts";
import type { Facts, Kept } from "./dumps.ts";
import type { PostgresOptions } from "./postgres.ts";
import { postgresEnv, postgresVersions, query } from "./postgres_server.ts";
import { type Call, programIn } from "./programs.ts";
import { tooOld } from "./versions.ts";

/** Roles and tablespaces, which belong to no database. */
export const GLOBALS = "globals.sql";
/** What `pg_dumpall` writes last. */
export const GLOBALS_END = "-- PostgreSQL database cluster dump complete";

const FAILED = "Cannot restore into PostgreSQL";
/** The database that every server has. */
const HOME = "postgres";

/** How a restore goes, beside what its server says. */
export interface BackOptions extends PostgresOptions {
  /** Gives the folder for a tablespace in place of the recorded one. Default: the recorded one. */
  readonly tablespace?: ((name: string) => string) | undefined;
}

/** The program for each dump, globals first. Throws {@linkcode ExistsError} for a database that holds something. */
export async function postgresBack(
  options: BackOptions,
  kept: readonly Kept[],
  recorded: Facts | undefined,
  context: Context,
): Promise<readonly (Call & Kept)[]> {
  const { signal } = context;
  const target = await postgresVersions(FAILED, options, HOME, "pg_restore", signal);
  if (!options.anyVersion) checkVersions(recorded, target);
  const names = await query(FAILED, options, HOME, "SELECT datname FROM pg_database", signal);
  const calls: (Call & Kept)[] = [];
  const globals = kept.find(({ path }) => path === GLOBALS);
  if (globals) calls.push(await globalsBack(options, globals, context));
  const held: string[] = [];
  for (const dump of kept.filter(({ path }) => path !== GLOBALS)) {
    const name = options.database ?? decodeURIComponent(dump.path.replace(/\.dump$/, ""));
    const holds = names.includes(name) && await holdsSomething(options, name, signal);
    if (holds && context.want.conflict === "skip") {
      context.log.info(`The database "${name}" holds something and is left as it is`);
      continue;
    }
    if (holds && context.want.conflict === "error") held.push(`"${name}"`);
    calls.push({ ...dump, ...await databaseBack(options, name, names.includes(name), holds) });
  }
  if (held.length > 0) {
    throw new ExistsError(
      `${FAILED}: the database ${held.join(", ")} holds tables or other objects. Nothing was touched. ` +
        "Drop what is not needed, or use --conflict overwrite or skip",
    );
  }
  return calls;
}

/** Throws when server or programs are older than those of the backup. */
function checkVersions(
  recorded: Facts | undefined,
  target: { readonly serverVersion: number; readonly clientVersion: string },
): void {
  const { serverVersion, clientVersion } = recorded ?? {};
  const was = Math.floor(Number(serverVersion ?? 0) / 10000);
  const is = Math.floor(target.serverVersion / 10000);
  if (is < was) throw tooOld(FAILED, "this server", is, was);
  const wrote = Number.parseInt(String(clientVersion ?? 0), 10);
  const reads = Number.parseInt(target.clientVersion, 10);
  if (reads < wrote) throw tooOld(FAILED, "pg_restore", reads, wrote);
}

async function holdsSomething(
  options: PostgresOptions,
  database: string,
  signal: AbortSignal,
): Promise<boolean> {
  const mine = (column: string): string => `${column}::regnamespace::text !~ '^(pg_|information_schema$)'`;
  const sql = `SELECT EXISTS (SELECT FROM pg_class WHERE ${mine("relnamespace")})
    OR EXISTS (SELECT FROM pg_proc WHERE ${mine("pronamespace")})
    OR EXISTS (SELECT FROM pg_type WHERE ${mine("typnamespace")})
    OR EXISTS (SELECT FROM pg_largeobject_metadata)`;
  return (await query(FAILED, options, database, sql, signal))[0] === "t";
}

async function databaseBack(
  options: PostgresOptions,
  name: string,
  exists: boolean,
  holds: boolean,
): Promise<Call> {
  const argv = [programIn(options.bin, "pg_restore"), "--exit-on-error", "--no-password"];
  if (exists) argv.push("--single-transaction");
  else argv.push("--create");
  if (holds) argv.push("--clean", "--if-exists");
  // As a connection string: a name with "=" in it would be taken for one.
  const to = (exists ? name : HOME).replaceAll(/[\\']/g, "\\$&");
  argv.push(`--dbname=dbname='${to}'`);
  return { argv, env: await postgresEnv(options) };
}

/** Roles and tablespaces that exist are left as they are, but with `overwrite` roles get their recorded attributes and passwords. */
async function globalsBack(
  options: BackOptions,
  globals: Kept,
  { want, signal }: Context,
): Promise<Call & Kept> {
  const sql = `SELECT 'CREATE ROLE ' || quote_ident(rolname) || ';' FROM pg_roles
    UNION ALL SELECT 'CREATE TABLESPACE ' || quote_ident(spcname) || ' ' FROM pg_tablespace`;
  const made = await query(FAILED, options, HOME, sql, signal);
  const kept = want.conflict === "overwrite" ? [] : made.filter((line) => line.startsWith("CREATE ROLE "))
    .map((line) => line.replace(/^CREATE/, "ALTER").replace(/;$/, " WITH "));
  const left = [...made, ...kept];
  const lines = text(await readAll(globals.content.read(), 2 ** 28, GLOBALS)).split("\n")
    .filter((line) => !left.some((start) => line.startsWith(start)))
    .map((line) => placed(line, options.tablespace));
  const content: Spool = spooled(GLOBALS, options.spoolDir);
  content.write(utf8(lines.join("\n")));
  const argv = [programIn(options.bin, "psql"), "-Xq", "--no-password", "-v", "ON_ERROR_STOP=1", "-f", "-"];
  return { path: globals.path, content, argv, env: await postgresEnv(options, HOME) };
}

/** A line of the globals, its tablespace elsewhere where that is asked for. */
function placed(line: string, tablespace: BackOptions["tablespace"]): string {
  const parts = tablespace && /^(CREATE TABLESPACE (.*) OWNER .* LOCATION )'.*';$/.exec(line);
  return parts ? `${parts[1]}'${tablespace(parts[2]!).replaceAll("'", "''")}';` : line;
}
