/**
 * A PostgreSQL server, as its own programs are told of it.
 *
 * @module
 */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { ask, type Call, checkPort, checkTexts, programIn, secretEnv } from "./programs.ts";
import { findServer } from "./scratch.ts";

/** Where a PostgreSQL server is, and as whom. What is not given comes from the PG* variables, as for its own programs. */
export interface PostgresServer {
  /** Host name, or the absolute folder of a socket. */
  readonly host?: string | undefined;
  /** Port. Default of the programs: 5432. */
  readonly port?: number | undefined;
  /** Role. */
  readonly user?: string | undefined;
  /** A password file in the form of `~/.pgpass`, mode 0600; handed on as PGPASSFILE. */
  readonly passfile?: string | undefined;
  /** Gives the password; handed on as PGPASSWORD, never in `argv`. */
  readonly password?: (() => string | Promise<string>) | undefined;
  /** Folder of the programs, for one version out of several: "/usr/lib/postgresql/17/bin". Default: the PATH. */
  readonly bin?: string | undefined;
}

/** Throws TypeError or RangeError for a server that cannot be. */
export function checkServer({ host, port, user, passfile, password, bin }: PostgresServer): void {
  checkTexts("PostgreSQL", { host, user, passfile, bin });
  checkPort("PostgreSQL", port);
  if (password !== undefined && typeof password !== "function") {
    throw new TypeError('Cannot use "password": it must be a function that gives it when it is needed');
  }
  if (password && passfile !== undefined) {
    throw new TypeError('Cannot use both "password" and "passfile": choose one');
  }
}

/** The variables that PostgreSQL's programs read; `database` is the one to connect to. */
export async function postgresEnv(server: PostgresServer, database?: string): Promise<Call["env"]> {
  const { host, port, user, passfile, password } = server;
  return {
    // A host that drops packets must not hold a backup for ever.
    PGCONNECT_TIMEOUT: Deno.env.get("PGCONNECT_TIMEOUT") ?? "15",
    ...(host === undefined ? {} : { PGHOST: host }),
    ...(port === undefined ? {} : { PGPORT: String(port) }),
    ...(user === undefined ? {} : { PGUSER: user }),
    ...(passfile === undefined ? {} : { PGPASSFILE: passfile }),
    ...(database === undefined ? {} : { PGDATABASE: database }),
    ...await secretEnv("PGPASSWORD", password),
  };
}

/** The rows of a query, without names and padding. */
export async function query(
  failed: string,
  server: PostgresServer,
  database: string,
  sql: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const argv = [programIn(server.bin, "psql"), "-XAtq", "--no-password", "-v", "ON_ERROR_STOP=1", "-c", sql];
  const env = { ...await postgresEnv(server, database), PGCLIENTENCODING: "UTF8" };
  const answer = await ask(failed, { argv, env }, signal);
  return answer === "" ? [] : answer.split("\n");
}

/** What a receipt says of server and programs. */
export async function postgresVersions(
  failed: string,
  server: PostgresServer,
  database: string,
  program: string,
  signal: AbortSignal,
): Promise<{ readonly serverVersion: number; readonly clientVersion: string }> {
  const [version] = await query(failed, server, database, "SHOW server_version_num", signal);
  const argv = [programIn(server.bin, program), "--version"];
  const said = await ask(failed, { argv, env: {} }, signal);
  return { serverVersion: Number(version), clientVersion: /\d+(?:\.\d+)*/.exec(said)?.[0] ?? said };
}

/** The server's program: in `bin`, on the PATH, or the newest where systems keep them. Undefined: it is not there. */
export function findPostgres(bin: string | undefined): string | undefined {
  const kept = [...inside("/usr/lib/postgresql"), ...inside("/usr")].filter((folder) =>
    /postgresql\/\d+$|pgsql-\d+$/.test(folder)
  ).sort((a, b) => Number.parseInt(b.match(/\d+$/)![0], 10) - Number.parseInt(a.match(/\d+$/)![0], 10));
  return findServer("postgres", bin, [...kept, "/usr/local/pgsql"].map((folder) => join(folder, "bin")));
}

function inside(folder: string): readonly string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

/** Has `pg_amcheck` (from version 14 on) look through all tables and B-trees. Whether it did; throws what it finds. */
export async function amcheck(
  failed: string,
  server: string,
  own: PostgresServer,
  signal: AbortSignal,
): Promise<boolean> {
  const program = join(dirname(server), "pg_amcheck");
  if (!existsSync(program)) return false;
  const argv = [program, "--all", "--install-missing", "--no-password"];
  await ask(`${failed}: its tables are damaged`, { argv, env: await postgresEnv(own, "postgres") }, signal);
  return true;
}
