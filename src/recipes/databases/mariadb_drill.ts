/**
 * Does a dump of MariaDB or MySQL work? A private server is filled with it.
 *
 * @module
 */
import { join } from "node:path";
import type { Context } from "../../stage.ts";
import { mariadb, type MariadbOptions, query } from "./mariadb.ts";
import { ask, programIn } from "./programs.ts";
import { findServer, refill, type Scratch, scratchIn, serve, withoutServer } from "./scratch.ts";

const FAILED = "The drill failed";

/** Fills a new server with the dump in `folder`, and has the server's own program check every table. */
export async function drillMariadb(
  { kind = "mariadb", bin, spoolDir }: MariadbOptions,
  folder: string,
  context: Context,
): Promise<Readonly<Record<string, unknown>>> {
  const { signal } = context;
  const name = kind === "mariadb" ? "mariadbd" : "mysqld";
  const program = findServer(name, bin);
  if (program === undefined) return withoutServer(name, context);
  await using scratch = await scratchIn(folder, "mysql");
  const { socket: cwd, as } = scratch;
  const data = await newData({ kind, bin }, program, scratch, signal);
  const socket = join(scratch.socket, "s");
  // What the dump holds must not begin to work by itself.
  const quiet = [
    "--skip-networking",
    "--event-scheduler=OFF",
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
  ];
  const own = { kind, bin, socket, user: "root" };
  const call = { argv: [program, ...data, `--socket=${socket}`, ...quiet], env: {}, cwd, as };
  const asked = (sql: string): Promise<readonly string[]> => query(FAILED, own, sql, signal);
  await using _server = await serve(call, () => asked("SELECT 1"), signal);
  await refill(mariadb({ ...own, spoolDir }), folder, context);
  const check = programIn(bin, kind === "mariadb" ? "mariadb-check" : "mysqlcheck");
  // Cron has no locale, and the program would speak latin1.
  const flags = ["--no-defaults", "--default-character-set=utf8mb4", `--socket=${socket}`, "--user=root"];
  const checked = await ask(FAILED, { argv: [check, ...flags, "--all-databases"], env: {} }, signal);
  refuseDamage(checked);
  const [server, tables] = await asked(
    "SELECT VERSION() UNION ALL SELECT COUNT(*) FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND " +
      "table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')",
  );
  return { server, tables: Number(tables) };
}

/** Makes the data folder of a new server; gives the flags that name it. */
async function newData(
  { kind, bin }: Pick<MariadbOptions, "kind" | "bin">,
  program: string,
  scratch: Scratch,
  signal: AbortSignal,
): Promise<readonly string[]> {
  // Some systems have MariaDB under MySQL's names, which has no "--initialize" and goes by a program of its own.
  const version = await ask(FAILED, { argv: [program, "--no-defaults", "--version"], env: {} }, signal);
  const isMariadb = /mariadb/i.test(version);
  // Its log need not be as long as that of a server that works.
  const log = isMariadb ? ["--innodb-log-file-size=16M"] : [];
  const data = ["--no-defaults", `--datadir=${join(scratch.data, "data")}`, ...log];
  const installer = kind === "mariadb" ? "mariadb-install-db" : "mysql_install_db";
  const install = isMariadb
    ? [programIn(bin, installer), ...data, "--auth-root-authentication-method=normal", "--skip-test-db"]
    : [program, ...data, "--initialize-insecure"];
  await ask(FAILED, { argv: install, env: {}, cwd: scratch.socket, as: scratch.as }, signal);
  return data;
}

/** Throws for what the checking program says of damage: it ends well whatever it finds. */
export function refuseDamage(checked: string): void {
  const wrong = checked.split("\n").filter((line) => /^(?:error|Error|warning|Warning)\s*:/.test(line));
  if (wrong.length > 0) {
    throw new Error(`${FAILED}: a restored table is damaged: ${wrong.slice(0, 3).join("; ")}`);
  }
}
