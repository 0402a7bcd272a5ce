/** MariaDB against a real server that is written to. */
import { strict as assert } from "node:assert";
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import { backup, databases, encrypt, restore, store } from "../../mod.ts";
import type { Entry, Files } from "../../src/stage.ts";
import { refuseDamage } from "../../src/recipes/databases/mariadb_drill.ts";
import { run, runPrinted } from "../cli/support.ts";
import { judged, scratch, testContext } from "../support.ts";
import {
  asUser,
  failsToStore,
  onFreePort,
  planOver,
  type Running,
  serve,
  until,
  userFolder,
  works,
} from "./support.ts";

const TOOLS = ["/usr/sbin/mariadbd", "mariadb", "mariadb-dump", "mariadb-install-db", "setpriv"];
const PASSWORD = "pass-word-1";
const { identity, recipient } = await encrypt.generateIdentity();

interface Server extends Running {
  readonly options: databases.MariadbOptions;
  readonly sql: (text: string) => string;
  readonly args: readonly string[];
}

type Folder = ReturnType<typeof scratch>;

/** A new data folder; its "admin" gets a password when the server starts first. */
function initialised(dir: Folder, name: string): string {
  fs.chmodSync(dir.path, 0o755);
  const data = userFolder(dir.join(name));
  const args = [
    "--no-defaults",
    `--datadir=${data}`,
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
  ];
  const [program, rest] = asUser(["mariadb-install-db", ...args, "--innodb-log-file-size=4M"]);
  execFileSync(program, rest, { stdio: "ignore", cwd: "/" });
  const grant =
    `CREATE USER admin@localhost IDENTIFIED BY '${PASSWORD}'; GRANT ALL ON *.* TO admin@localhost;`;
  fs.writeFileSync(dir.join("init.sql"), `${grant.replaceAll("; ", ";\n")}\n`);
  return data;
}

const started = (dir: Folder, data: string): Promise<Server> =>
  onFreePort((port) => startedOn(port, dir, data));

async function startedOn(port: number, dir: Folder, data: string): Promise<Server> {
  const cnf = (name: string, password: string): string => {
    fs.writeFileSync(dir.join(name), `[client]\npassword=${password}\n`, { mode: 0o600 });
    return dir.join(name);
  };
  const login = ["--host=127.0.0.1", `--port=${port}`, "--user=admin", "--protocol=tcp"];
  const args = [`--defaults-extra-file=${cnf("my.cnf", PASSWORD)}`, ...login];
  cnf("wrong.cnf", "pass-wrong");
  const own = [
    "--no-defaults",
    `--datadir=${data}`,
    `--port=${port}`,
    "--bind-address=127.0.0.1",
    `--socket=${data}/s`,
  ];
  const init = `--init-file=${dir.join("init.sql")}`;
  const server = await serve(
    ["/usr/sbin/mariadbd", ...own, init, "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0"],
    () => works("mariadb", [...args, "-e", "SELECT 1"]),
  );
  // Its SIGQUIT is an orderly end.
  return {
    ...server,
    args,
    options: { host: "127.0.0.1", port, user: "admin", defaultsFile: dir.join("my.cnf") },
    sql: (text) =>
      execFileSync("mariadb", [...args, "-N", "-B", "-e", text], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      }).trim(),
  };
}

const TABLES =
  "CREATE DATABASE `app é`; USE `app é`; CREATE TABLE log(seq BIGINT PRIMARY KEY, filler BLOB); " +
  "CREATE TABLE head(seq BIGINT); INSERT INTO head VALUES (0); " +
  "INSERT INTO log SELECT -seq, REPEAT(UNHEX('00FF0A27'), 100) FROM seq_1_to_3000; " +
  "CREATE PROCEDURE grow() BEGIN DECLARE i INT DEFAULT 0; WHILE i < 10000000 DO SET i = i + 1; START TRANSACTION; " +
  "UPDATE head SET seq = i; INSERT INTO log VALUES (i, 'x'); COMMIT; END WHILE; END";
const STATE =
  "USE `app é`; SELECT (SELECT MAX(seq) FROM log) = (SELECT seq FROM head) AND (SELECT COUNT(*) FROM log) = 3000 + (SELECT seq FROM head)";

/** The procedure has semicolons of its own. */
function makeTables(server: Server): void {
  execFileSync("mariadb", [
    ...server.args,
    "--delimiter=$$",
    "-e",
    TABLES.replaceAll(/; (?=CREATE|USE|INSERT INTO (?:head|log) (?:VALUES \(0|SELECT))/g, " $$$$ "),
  ], {
    stdio: ["ignore", "ignore", "pipe"],
  });
}

judged("mariadb() backs up a server that is written to, and fills a new one", TOOLS, async () => {
  using dir = scratch();
  const first = initialised(dir, "one");
  execFileSync("cp", ["-a", first, dir.join("two")]);
  await using old = await started(dir, first);
  makeTables(old);
  const to = store.memory();
  const writer = spawn("mariadb", [...old.args, "-e", "USE `app é`; CALL grow()"], { stdio: "ignore" });
  const over = new Promise<void>((resolve) => writer.once("close", () => resolve()));
  await until(() => Number(old.sql("SELECT seq FROM `app é`.head")) > 100);
  const { receipt } = await backup(planOver(databases.mariadb(old.options), to, recipient, identity));
  writer.kill("SIGKILL");
  assert.equal(receipt.sources[0]!.facts.serverVersion, old.sql("SELECT VERSION()"));
  assert.equal(receipt.sources[0]!.facts.databases, 1);

  await using fresh = await started(dir, dir.join("two"));
  const back = planOver(databases.mariadb(fresh.options), to, recipient, identity);
  await restore(back, { inPlace: true });
  assert.equal(fresh.sql(STATE), "1");
  assert.ok(Number(fresh.sql("SELECT seq FROM `app é`.head")) > 100);
  assert.equal(
    fresh.sql("SELECT COUNT(*) FROM `app é`.log WHERE filler = REPEAT(UNHEX('00FF0A27'), 100)"),
    "3000",
  );
  assert.equal(
    fresh.sql("SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = 'app é'"),
    "1",
  );
  fresh.sql("UPDATE `app é`.head SET seq = -1");
  await assert.rejects(restore(back, { inPlace: true }), /database "app é" exists\. Nothing was touched/);
  await restore(back, { inPlace: true, conflict: "overwrite" });
  assert.equal(fresh.sql(STATE), "1");
  await old.kill();
  await over;
});

judged(
  "mariadb() stores nothing when the server refuses, goes away, or the dump is cut; an older server is refused",
  TOOLS,
  async () => {
    using dir = scratch();
    await using server = await started(dir, initialised(dir, "data"));
    makeTables(server);
    const to = store.memory();
    const failing = (options: databases.MariadbOptions, expected: RegExp): Promise<void> =>
      failsToStore(databases.mariadb({ ...server.options, ...options }), expected, to);
    await failing({ defaultsFile: dir.join("wrong.cnf") }, /Cannot back up MariaDB: .*Access denied/s);
    await failing({ database: "nowhere" }, /Cannot back up "databases.sql": .*Unknown database/s);
    fs.mkdirSync(dir.join("bin"));
    fs.symlinkSync("/usr/bin/mariadb", dir.join("bin/mariadb"));
    fs.writeFileSync(
      dir.join("bin/mariadb-dump"),
      '#!/bin/sh\n/usr/bin/mariadb-dump "$@" | head -c 5000\nexit 0\n',
      { mode: 0o755 },
    );
    await failing({ bin: dir.join("bin") }, /Cannot back up "databases.sql": the dump ends before its end/);

    const stored: Files = {
      kind: "files",
      entries: async function* (): AsyncGenerator<Entry> {
        const entry = {
          path: "databases.sql",
          kind: "file",
          mode: 0o600,
          mtimeMs: 0,
          uid: 0,
          gid: 0,
        } as const;
        yield { ...entry, uname: "", gname: "", bytes: 1, body: new Uint8Array(1) };
      },
      facts: () => ({
        sources: [{ tool: "mariadb", cutAt: "", facts: { serverVersion: "99.1.2-MariaDB" } }],
        stages: [],
      }),
    };
    const undo = databases.mariadb(server.options).undo(stored, testContext({ want: { inPlace: true } }));
    await assert.rejects(undo, /this server is version .*, the backup is from version 99\.1\.2/);
    const any = databases.mariadb({ ...server.options, anyVersion: true });
    const tried = any.undo(stored, testContext({ want: { inPlace: true } }));
    await assert.rejects(tried, /Cannot restore "databases.sql": "mariadb" ended with/);

    const lock = spawn(
      "mariadb",
      [...server.args, "-e", "LOCK TABLES `app é`.head WRITE; SELECT SLEEP(600)"],
      { stdio: "ignore" },
    );
    const over = new Promise<void>((resolve) => lock.once("close", () => resolve()));
    const state = (like: string): Promise<void> =>
      until(() =>
        server.sql(`SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE '${like}'`) === "1"
      );
    await state("User sleep");
    const failed = failing({}, /Cannot back up "databases.sql": "mariadb-dump" ended with exit code/);
    await state("%metadata lock");
    await server.kill();
    await failed;
    await over;
  },
);

Deno.test("a drill of mariadb() fails for what the check prints, whatever its exit code", () => {
  const sound =
    "app.log                    OK\napp.view\nnote     : The storage engine for the table doesn't support check\n";
  refuseDamage(sound);
  const printed =
    `${sound}app.head\nwarning  : 1 client is using or hasn't closed the table properly\nerror    : Corrupt\n`;
  assert.throws(() => refuseDamage(printed), /a restored table is damaged: .*error +: Corrupt/);
});

Deno.test("mariadb() refuses wrong options when it is made", () => {
  assert.throws(() => databases.mariadb({ port: -1 }), { name: "RangeError" });
  assert.throws(() => databases.mariadb({ kind: "other" as "mysql" }), { name: "TypeError" });
  assert.throws(() => databases.mariadb({ database: "-x" }), { name: "TypeError" });
});

judged("a plan of a configuration backs up MariaDB with the printed permissions alone", [
  ...TOOLS,
  "mysqldump",
], async () => {
  using dir = scratch();
  await using server = await started(dir, initialised(dir, "data"));
  makeTables(server);
  for (const name of ["home", "work", "work/spool"]) fs.mkdirSync(dir.join(name));
  const write = (file: string): void => {
    // The other kind's names, which the packages of this one have as well.
    const options =
      `kind = "mysql", host = "127.0.0.1", port = ${server.options.port}, user = "admin", defaultsFile = "../${file}", spoolDir = "spool"`;
    fs.writeFileSync(
      dir.join("work/backup.toml"),
      `[plan.db]\ncollect = { mariadb = { ${options} } }\nencrypt = "plaintext"\nupload = { to = "./backups" }\n`,
    );
  };
  const user = { home: dir.join("home"), cwd: dir.join("work") };
  write("wrong.cnf");
  const refused = await run(user, "backup", ["--plan", "db"]);
  assert.equal(refused.code, 1, refused.err);
  write("my.cnf");
  const made = await runPrinted(user, "db");
  assert.equal(made.code, 0, made.err);
  const drilled = await run(user, "drill", ["latest", "--plan", "db"]);
  assert.equal(drilled.code, 0, drilled.err);
  assert.match(drilled.out, /own check: server .*MariaDB.*, tables 2/);
  server.sql("DROP DATABASE `app é`");
  const back = await run(user, "restore", ["latest", "--plan", "db", "--in-place"]);
  assert.equal(back.code, 0, back.err);
  assert.equal(server.sql("SELECT COUNT(*) FROM `app é`.log"), "3000");
});
