/**
 * Does a data folder work? A private server is started on it.
 *
 * @module
 */
import { chownSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../../stage.ts";
import { FOLDER, type PostgresClusterOptions } from "./postgres_cluster.ts";
import { amcheck, findPostgres, query } from "./postgres_server.ts";
import { give, type Scratch, scratchIn, serve, withoutServer } from "./scratch.ts";

const FAILED = "The drill failed";

/** Starts a server on the folder below `folder`, and has the server's own program check all tables and indexes. */
export async function drillCluster(
  { bin, user }: PostgresClusterOptions,
  folder: string,
  context: Context,
): Promise<Readonly<Record<string, unknown>>> {
  const { signal } = context;
  const program = findPostgres(bin);
  if (program === undefined) return withoutServer("postgres", context);
  const data = join(folder, FOLDER);
  await using scratch = await scratchIn(folder, "postgres");
  await give(data, scratch.as, signal);
  // What a copy of a standby would wait for.
  for (const name of ["standby.signal", "recovery.signal"]) rmSync(join(data, name), { force: true });
  const own = {
    host: scratch.socket,
    port: 5432,
    user: user ?? Deno.env.get("PGUSER") ?? "postgres",
    bin,
  };
  const asked = async (sql: string): Promise<readonly string[]> =>
    await query(FAILED, own, "template1", sql, signal);
  const settings = Object.entries(quiet(scratch)).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const call = {
    argv: [program, "-D", data, ...settings],
    env: { PGPORT: "5432" },
    cwd: scratch.socket,
    as: scratch.as,
  };
  await using _server = await serve(call, () => asked("SELECT 1"), signal);
  const [server] = await asked("SHOW server_version");
  const [databases] = await asked(
    "SELECT count(*) FROM pg_database WHERE datallowconn AND NOT datistemplate",
  );
  // The first role of a cluster may do all things.
  const [first] = await asked("SELECT rolname FROM pg_roles WHERE oid = 10");
  const checked = await amcheck(FAILED, program, { ...own, user: first }, signal);
  return { server, databases: Number(databases), checked };
}

/**
 * Settings that win over the folder's own, of which some would reach out: archive its log where the real server does, follow another
 * server, write to its log files. Who may connect is decided by the socket's folder.
 */
function quiet({ data, socket, as }: Scratch): Readonly<Record<string, string | number>> {
  const own = join(data, "conf");
  mkdirSync(own);
  const files = { "postgresql.conf": "", "pg_hba.conf": "local all all trust\n", "pg_ident.conf": "" };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(own, name), text);
    if (as) chownSync(join(own, name), as.uid, as.gid);
  }
  if (as) chownSync(own, as.uid, as.gid);
  return {
    config_file: join(own, "postgresql.conf"),
    hba_file: join(own, "pg_hba.conf"),
    ident_file: join(own, "pg_ident.conf"),
    listen_addresses: "",
    unix_socket_directories: socket,
    archive_mode: "off",
    restore_command: "",
    primary_conninfo: "",
    max_logical_replication_workers: 0,
    shared_preload_libraries: "",
    logging_collector: "off",
    log_destination: "stderr",
    external_pid_file: "",
    ssl: "off",
    shared_buffers: "128MB",
    max_prepared_transactions: 1000,
    fsync: "off",
    autovacuum: "off",
  };
}
