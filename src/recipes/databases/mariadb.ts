/**
 * MariaDB and MySQL: one database or all of them, as SQL by their own program.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Spool } from "../../collect/spool.ts";
import { ExistsError } from "../../errors.ts";
import type { Context, Files, Stage } from "../../stage.ts";
import { type Dump, dumpStage, type Facts, type Kept } from "./dumps.ts";
import { ask, type Call, checkPort, checkTexts, programIn } from "./programs.ts";
import { drillMariadb } from "./mariadb_drill.ts";
import { endsWith } from "./tail.ts";
import { isOlder, tooOld } from "./versions.ts";

/** Where a server is, and what of it is dumped. */
export interface MariadbOptions {
  /** The database. Not given: all but those of the system. */
  readonly database?: string | undefined;
  /** Host name. */
  readonly host?: string | undefined;
  /** Port. Default of the programs: 3306. */
  readonly port?: number | undefined;
  /** Absolute path of a socket, in place of host and port. */
  readonly socket?: string | undefined;
  /** User. */
  readonly user?: string | undefined;
  /** A file in the form of `my.cnf`, mode 0600, with the password below `[client]`; handed on as --defaults-extra-file. */
  readonly defaultsFile?: string | undefined;
  /** Which server: its programs are `mariadb` and `mariadb-dump`, or `mysql` and `mysqldump`. Default: "mariadb". */
  readonly kind?: "mariadb" | "mysql" | undefined;
  /** Folder of the programs. Default: the PATH. */
  readonly bin?: string | undefined;
  /** Restores into a server older than the one backed up. Default: false, it is refused. */
  readonly anyVersion?: boolean | undefined;
  /** Folder for dumps beyond 4 MiB, which wait there, encrypted and without a name; default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
}

const DUMP = "databases.sql";
/** What the program writes last. */
const END = "-- Dump completed";

/**
 * Stores `databases.sql` with its tables, views, routines, triggers and events; transactional tables (InnoDB) as of one moment while
 * they are written to. It is stored only when the program has ended well and its last line is there. Users and grants are not in it.
 * Versions of server and program stand in the receipt.
 *
 * Undo with `want.inPlace` feeds it to the server of the options, which must not be older than the one backed up (but with
 * `anyVersion`). A database of the same name is a conflict, found before anything is touched; `overwrite` replaces its tables, table by table. Other requests write the file.
 * A drill fills a private server with it, which then checks all its tables.
 *
 * Throws TypeError or RangeError for options that cannot be.
 *
 * @example
 * ```ts ignore
 * mariadb({ database: "app", socket: "/run/mysqld/mysqld.sock", defaultsFile: "/etc/holdfast/my.cnf" });
 * ```
 */
export function mariadb(options: MariadbOptions = {}): Stage<void, Files> {
  const { database, host, port, socket, user, defaultsFile, kind = "mariadb", bin, spoolDir } = options;
  checkTexts("MariaDB", { database, host, socket, user, defaultsFile, bin, spoolDir });
  checkPort("MariaDB", port);
  if (database?.startsWith("-")) throw new TypeError('Cannot back up MariaDB: "database" begins with "-"');
  if (kind !== "mariadb" && kind !== "mysql") {
    throw new TypeError(`Cannot back up ${JSON.stringify(kind)}: "kind" is "mariadb" or "mysql"`);
  }
  return dumpStage({
    tool: "mariadb",
    spoolDir,
    dumps: (signal) => dumps(options, signal),
    back: (kept, recorded, context) => back(options, kept, recorded, context),
    drill: (folder, context) => drillMariadb(options, folder, context),
  });
}

function call(options: MariadbOptions, program: "client" | "dump", ...args: readonly string[]): Call {
  const { host, port, socket, user, defaultsFile, kind = "mariadb", bin } = options;
  const dump = kind === "mariadb" ? "mariadb-dump" : "mysqldump";
  const argv = [programIn(bin, program === "client" ? kind : dump)];
  // The program wants this one first.
  if (defaultsFile !== undefined) argv.push(`--defaults-extra-file=${defaultsFile}`);
  if (host !== undefined) argv.push(`--host=${host}`);
  if (port !== undefined) argv.push(`--port=${port}`);
  if (socket !== undefined) argv.push(`--socket=${socket}`);
  if (user !== undefined) argv.push(`--user=${user}`);
  // Cron has no locale, and the programs would speak latin1.
  return { argv: [...argv, "--default-character-set=utf8mb4", ...args], env: {} };
}

/** The rows of a query. */
export async function query(
  failed: string,
  options: MariadbOptions,
  sql: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const answer = await ask(failed, call(options, "client", "-N", "-B", "-r", "-e", sql), signal);
  return answer === "" ? [] : answer.split("\n");
}

async function dumps(
  options: MariadbOptions,
  signal: AbortSignal,
): Promise<{ facts: Facts; list: readonly Dump[] }> {
  const failed = "Cannot back up MariaDB";
  const [serverVersion = ""] = await query(failed, options, "SELECT VERSION()", signal);
  const clientVersion = await ask(failed, call(options, "dump", "--version"), signal);
  const names = options.database === undefined
    ? (await query(failed, options, "SHOW DATABASES", signal)).filter((name) => !SYSTEM.includes(name))
    : [options.database];
  if (names.length === 0) throw new Error(`${failed}: this user sees no database but the system's`);
  const flags = ["--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob"];
  const dump = call(
    options,
    "dump",
    ...flags,
    "--databases",
    "--",
    ...names,
  );
  const check = (output: Spool): Promise<void> => endsWith(END, DUMP, output);
  const facts = { serverVersion, clientVersion: versionIn(clientVersion), databases: names.length };
  return { facts, list: [{ path: DUMP, ...dump, check }] };
}

const SYSTEM: readonly string[] = ["information_schema", "performance_schema", "mysql", "sys"];

function versionIn(text: string): string {
  return /\d+\.\d+\.\d+/.exec(text.replace(/^.*Distrib /, ""))?.[0] ?? text;
}

async function back(
  options: MariadbOptions,
  kept: readonly Kept[],
  recorded: Facts | undefined,
  { want, signal }: Context,
): Promise<readonly (Call & Kept)[]> {
  const failed = "Cannot restore into MariaDB";
  const [version = ""] = await query(failed, options, "SELECT VERSION()", signal);
  const was = recorded?.serverVersion;
  if (typeof was === "string" && isBehind(version, was) && !options.anyVersion) {
    throw tooOld(failed, "this server", version, was);
  }
  const there = await query(failed, options, "SHOW DATABASES", signal);
  const held = new Set<string>();
  for (const { content } of kept) {
    for (const name of await databasesIn(content)) if (there.includes(name)) held.add(name);
  }
  if (held.size > 0 && want.conflict !== "overwrite") {
    throw new ExistsError(
      `${failed}: the database ${
        [...held].map((name) => `"${name}"`).join(", ")
      } exists. Nothing was touched. ` +
        "Drop what is not needed, or use --conflict overwrite",
    );
  }
  return kept.map((dump) => ({ ...dump, ...call(options, "client") }));
}

/** The databases that a dump makes. A name never spans lines of its own; a line of data never begins like this. */
async function databasesIn(content: Spool): Promise<readonly string[]> {
  const names: string[] = [];
  let rest = "";
  for await (const chunk of content.read()) {
    const lines = (rest + Buffer.from(chunk).toString("latin1")).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const made = /^CREATE DATABASE .*?IF NOT EXISTS\*\/ `((?:[^`]|``)+)`/.exec(line);
      if (made) names.push(Buffer.from(made[1]!.replaceAll("``", "`"), "latin1").toString());
    }
  }
  return names;
}

/** MariaDB and MySQL count differently: between them nothing is refused. */
function isBehind(one: string, other: string): boolean {
  return /mariadb/i.test(one) === /mariadb/i.test(other) && isOlder(one, other);
}
