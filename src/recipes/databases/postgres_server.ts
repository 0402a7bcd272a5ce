/**
 * A PostgreSQL server, as its own programs are told of it.
 *
 * @module
 */
import { ask, type Call, checkPort, checkTexts, programIn, secretEnv } from "./programs.ts";

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
