/**
 * Does a dump of MariaDB or MySQL work? A private server is filled with it.
 *
 * @module
 */
import { join } from "node:path";
import type { Context } from "../../stage.ts";
import { mariadb, type MariadbOptions, query } from "./mariadb.ts";
import { ask, programIn } from "./programs.ts";
import { findServer, refill, scratchIn, serve, withoutServer } from "./scratch.ts";

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
  const data = ["--no-defaults", `--datadir=${join(scratch.data, "data")}`];
  const install = kind === "mariadb"
    ? [
      programIn(bin, "mariadb-install-db"),
      ...data,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
    ]
    : [program, ...data, "--initialize-insecure"];
  await ask(FAILED, { argv: install, env: {}, cwd, as }, signal);
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
  const checked = await ask(
    FAILED,
    { argv: [check, "--no-defaults", `--socket=${socket}`, "--user=root", "--all-databases"], env: {} },
    signal,
  );
  refuseDamage(checked);
  const [server, tables] = await asked(
    "SELECT VERSION() UNION ALL SELECT COUNT(*) FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND " +
      "table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')",
  );
  return { server, tables: Number(tables) };
}

/** Throws for what the checking program says of damage: it ends well whatever it finds. */
export function refuseDamage(checked: string): void {
  const wrong = checked.split("\n").filter((line) => /^(?:error|Error|warning|Warning)\s*:/.test(line));
  if (wrong.length > 0) {
    throw new Error(`${FAILED}: a restored table is damaged: ${wrong.slice(0, 3).join("; ")}`);
  }
}
