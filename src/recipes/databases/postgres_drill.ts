/**
 * Do PostgreSQL's dumps work? A private server is filled with them.
 *
 * @module
 */
import { chownSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Context, Files, Stage } from "../../stage.ts";
import { dumpStage } from "./dumps.ts";
import type { PostgresOptions } from "./postgres.ts";
import { postgresBack } from "./postgres_back.ts";
import { amcheck, findPostgres, query } from "./postgres_server.ts";
import { ask } from "./programs.ts";
import { refill, type Scratch, scratchIn, serve, withoutServer } from "./scratch.ts";

const FAILED = "The drill failed";

/** Fills a new server with the dumps in `folder`, and has the server's own program check all tables and indexes. */
export async function drillPostgres(
  { bin, spoolDir }: PostgresOptions,
  folder: string,
  context: Context,
): Promise<Readonly<Record<string, unknown>>> {
  const { signal } = context;
  const program = findPostgres(bin);
  if (program === undefined) return withoutServer("postgres", context);
  await using scratch = await scratchIn(folder, "postgres");
  const { socket, as } = scratch;
  const data = join(scratch.data, "data");
  const init = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"];
  const cwd = scratch.data;
  await ask(FAILED, { argv: [join(dirname(program), "initdb"), ...init], env: {}, cwd, as }, signal);
  const set = { listen_addresses: "", unix_socket_directories: socket, fsync: "off", autovacuum: "off" };
  const argv = [
    program,
    "-D",
    data,
    ...Object.entries(set).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
  const own = { host: socket, port: 5432, user: "postgres", bin, spoolDir };
  const asked = async (database: string, sql: string): Promise<readonly string[]> =>
    await query(FAILED, own, database, sql, signal);
  const call = { argv, env: { PGPORT: "5432" }, cwd, as };
  await using _server = await serve(call, () => asked("postgres", "SELECT 1"), signal);
  await refill(filling(own, scratch), folder, context);
  const databases = await asked(
    "postgres",
    "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate",
  );
  let tables = 0;
  for (const name of databases) {
    const [count] = await asked(name, "SELECT count(*) FROM pg_stat_user_tables");
    tables += Number(count);
  }
  const checked = await amcheck(FAILED, program, own, signal);
  const [server] = await asked("postgres", "SHOW server_version");
  return { server, databases: databases.length, tables, checked };
}

/** The restore in place, with tablespaces in folders of the drill's own. */
function filling(own: PostgresOptions, { data, as }: Scratch): Stage<void, Files> {
  let count = 0;
  const tablespace = (): string => {
    const path = join(data, `tablespace-${++count}`);
    mkdirSync(path, { mode: 0o700 });
    if (as) chownSync(path, as.uid, as.gid);
    return path;
  };
  return dumpStage({
    tool: "postgres",
    spoolDir: own.spoolDir,
    dumps: () => Promise.reject(new Error("A drill's server is not backed up")),
    back: (kept, recorded, context) => postgresBack({ ...own, tablespace }, kept, recorded, context),
  });
}
