/** PostgreSQL's dumps against a real server that is written to. */
import { strict as assert } from "node:assert";
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import { backup, collect, databases, drill, encrypt, restore, store } from "../../mod.ts";
import type { Entry, Files } from "../../src/stage.ts";
import { run, runPrinted } from "../cli/support.ts";
import { judged, scratch, type Seen, testContext } from "../support.ts";
import { BIN, initialised, PASSWORD, started, STATE, TABLES, TOOLS, writer } from "./postgres_server.ts";
import { failsToStore, planOver, provenIn, until, userFolder, works } from "./support.ts";

const { identity, recipient } = await encrypt.generateIdentity();

judged("postgres() backs up a server that is written to, and fills a new one", TOOLS, async () => {
  using dir = scratch();
  const [first, second] = [initialised(dir, "one"), dir.join("two")];
  execFileSync("cp", ["-a", first, second]);
  await using old = await started(first);
  old.sql("postgres", "CREATE ROLE keeper LOGIN PASSWORD 'kept'");
  old.sql("postgres", `CREATE DATABASE app OWNER keeper`);
  old.sql("postgres", `CREATE DATABASE "odd/name=1 '"`);
  old.sql("app", TABLES);
  old.sql("app", "SELECT lo_from_bytea(0, 'large object')");
  old.sql(`odd/name=1 '`.replace(/^/, "dbname='").replace(/ '$/, " \\''"), "CREATE TABLE t AS SELECT 7 AS x");
  const to = store.memory();
  const busy = writer(old);
  await until(() => Number(old.sql("app", "SELECT seq FROM head")) > 100);
  const made = await backup(planOver(databases.postgres(old.options), to, recipient, identity));
  await busy.stop();
  const { facts } = made.receipt.sources[0]!;
  assert.equal(facts.serverVersion, Number(old.sql("postgres", "SHOW server_version_num")));
  assert.ok(String(facts.clientVersion).startsWith(BIN.split("/").at(-2)!));
  assert.equal(facts.databases, 3);

  await using fresh = await started(second);
  const back = planOver(databases.postgres(fresh.options), to, recipient, identity);
  await restore(back, { inPlace: true });
  assert.equal(fresh.sql("app", STATE), "t");
  assert.ok(Number(fresh.sql("app", "SELECT seq FROM head")) > 100);
  assert.equal(
    fresh.sql("app", "SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata"),
    "large object",
  );
  assert.equal(
    fresh.sql(
      "postgres",
      "SELECT rolname FROM pg_database d JOIN pg_roles r ON r.oid = datdba WHERE datname = 'app'",
    ),
    "keeper",
  );
  assert.equal(fresh.sql(`dbname='odd/name=1 \\''`, "SELECT x FROM t"), "7");
  const asKeeper = { ...fresh.env, PGUSER: "keeper", PGPASSWORD: "kept" };
  assert.ok(works(`${BIN}/psql`, ["-Xw", "-d", "app", "-c", "SELECT 1"], asKeeper), "with the old password");

  // What stands is a conflict, found before anything is touched.
  fresh.sql("app", "UPDATE head SET seq = -1");
  await assert.rejects(
    restore(back, { inPlace: true }),
    /database "app", .* holds tables .*Nothing was touched/,
  );
  await restore(back, { inPlace: true, conflict: "skip" });
  assert.equal(fresh.sql("app", "SELECT seq FROM head"), "-1");
  await restore(back, { inPlace: true, conflict: "overwrite" });
  assert.equal(fresh.sql("app", STATE), "t");

  // The stock program reads what a restore into a folder writes.
  await restore(back, { into: dir.join("out") });
  assert.deepEqual(fs.readdirSync(dir.join("out")), [
    "app.dump",
    "globals.sql",
    "odd%2Fname%3D1%20'.dump",
    "postgres.dump",
  ]);
  const listed = execFileSync(`${BIN}/pg_restore`, ["-l", dir.join("out/app.dump")], { encoding: "utf8" });
  assert.match(listed, /TABLE DATA public log/);
});

judged(
  "postgres() is drilled on a server of its own, as a member of a group, tablespaces and all",
  TOOLS,
  async () => {
    using dir = scratch();
    await using server = await started(initialised(dir, "data"));
    const space = userFolder(dir.join("space"));
    server.sql("postgres", `CREATE TABLESPACE "far 'away" LOCATION '${space}'`);
    server.sql("postgres", `CREATE DATABASE app TABLESPACE "far 'away"`);
    server.sql("app", TABLES);
    const there = fs.readdirSync(space);
    const to = store.memory();
    const source = databases.postgres(server.options);
    const plan = planOver(collect.group({ db: source }), to, recipient, identity);
    await backup(plan);
    await drill(plan);
    assert.deepEqual(await provenIn(to), {
      members: [{
        tool: "postgres",
        server: server.sql("postgres", "SHOW server_version"),
        databases: 2,
        tables: 2,
        checked: true,
      }],
    });
    assert.deepEqual(
      fs.readdirSync(space),
      there,
      "the drill's server did not use the tablespace's own folder",
    );

    // A dump that is not whole, an extension that this server does not have, a machine without a server.
    await restore(plan, { into: dir.join("out") });
    const out = dir.join("out/db");
    const seen: Seen = { warnings: [], infos: [] };
    assert.deepEqual(
      await databases.postgres({ bin: dir.join("space") }).drill!(out, testContext({ seen })),
      { server: "none" },
    );
    assert.match(seen.warnings[0]!.message, /no "postgres" here.*no more is proven/);
    fs.truncateSync(`${out}/app.dump`, 60_000);
    await assert.rejects(source.drill!(out, testContext()), /Cannot restore "app.dump": .*pg_restore/s);
    assert.deepEqual(fs.readdirSync(out).sort(), ["app.dump", "globals.sql", "postgres.dump"]);
  },
);

judged("postgres() stores nothing when the server refuses, goes away, or a dump is cut", TOOLS, async () => {
  using dir = scratch();
  await using server = await started(initialised(dir, "data"));
  server.sql("postgres", "CREATE DATABASE app");
  server.sql("app", TABLES);
  const to = store.memory();
  const failing = (options: databases.PostgresOptions, expected: RegExp): Promise<void> =>
    failsToStore(databases.postgres({ ...server.options, ...options }), expected, to);
  await failing(
    { password: () => "pass-wrong" },
    /Cannot back up PostgreSQL: .*password authentication failed/s,
  );
  await failing({ password: undefined }, /no password supplied/);
  await failing({ database: "nowhere" }, /database "nowhere" does not exist/);

  // Programs that stop in the middle and say nothing of it.
  const bin = dir.join("bin");
  fs.mkdirSync(bin);
  for (const name of ["psql", "pg_restore", "pg_dump", "pg_dumpall"]) {
    fs.symlinkSync(`${BIN}/${name}`, `${bin}/${name}`);
  }
  for (const [name, bytes] of [["pg_dump", 60_000], ["pg_dumpall", 300]] as const) {
    fs.rmSync(`${bin}/${name}`);
    const cut =
      `[ "$1" = --version ] && exec ${BIN}/${name} "$@"; ${BIN}/${name} "$@" | head -c ${bytes}; exit 0`;
    fs.writeFileSync(`${bin}/${name}`, `#!/bin/sh\n${cut}\n`, { mode: 0o755 });
  }
  await failing(
    { bin, database: "app" },
    /Cannot back up "app.dump": it does not read back to its end.*pg_restore/s,
  );
  await failing({ bin }, /Cannot back up "globals.sql": the dump ends before its end/);

  // A lock holds pg_dump up until the server is gone.
  const lock = spawn(`${BIN}/psql`, [
    "-Xq",
    "-d",
    "app",
    "-c",
    "BEGIN; LOCK TABLE head; SELECT pg_sleep(600)",
  ], {
    env: { ...Deno.env.toObject(), ...server.env },
    stdio: "ignore",
  });
  const over = new Promise<void>((resolve) => lock.once("close", () => resolve()));
  const waits = (name: string): boolean =>
    server.sql("postgres", `SELECT count(*) FROM pg_stat_activity WHERE ${name}`) !== "0";
  await until(() => waits("wait_event = 'PgSleep'"));
  const failed = failing(
    { database: "app" },
    /Cannot back up "app.dump": "[^"]+pg_dump" ended with exit code 1/,
  );
  await until(() => waits("application_name = 'pg_dump' AND wait_event_type = 'Lock'"));
  await server.kill();
  await failed;
  await over;
});

judged(
  "postgres() refuses an older server, and older programs, before anything is touched",
  TOOLS,
  async () => {
    using dir = scratch();
    await using server = await started(initialised(dir, "data"));
    const stored = (facts: Record<string, unknown>): Files => ({
      kind: "files",
      entries: async function* (): AsyncGenerator<Entry> {
        const body = new Uint8Array(9);
        yield {
          path: "app.dump",
          kind: "file",
          mode: 0o600,
          mtimeMs: 0,
          uid: 0,
          gid: 0,
          uname: "",
          gname: "",
          bytes: 9,
          body,
        };
      },
      facts: () => ({ sources: [{ tool: "postgres", cutAt: "", facts }], stages: [] }),
    });
    const undo = (facts: Record<string, unknown>): Promise<void> =>
      databases.postgres(server.options).undo(stored(facts), testContext({ want: { inPlace: true } }));
    await assert.rejects(
      undo({ serverVersion: 990001, clientVersion: "15.1" }),
      /this server is version \d+, the backup is from version 99/,
    );
    await assert.rejects(
      undo({ serverVersion: 100001, clientVersion: "99.1" }),
      /pg_restore is version \d+, the backup is from version 99/,
    );
    // It goes on where that is asked for; what it is given is no dump.
    const any = databases.postgres({ ...server.options, anyVersion: true });
    const newer = { serverVersion: 990001, clientVersion: "99.1" };
    await assert.rejects(
      any.undo(stored(newer), testContext({ want: { inPlace: true } })),
      /Cannot restore "app.dump": .*pg_restore" ended with/,
    );
    assert.equal(server.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'app'"), "0");
    await assert.rejects(
      undo({ serverVersion: 100001, clientVersion: "9.1" }),
      /Cannot restore "app.dump": .*pg_restore" ended with/,
    );
  },
);

Deno.test("postgres() refuses wrong options when it is made, and role passwords in the clear", () => {
  assert.throws(() => databases.postgres({ port: 70000 }), { name: "RangeError" });
  assert.throws(() => databases.postgres({ host: "" }), { name: "TypeError" });
  assert.throws(() => databases.postgres({ passfile: "x", password: () => "y" }), {
    name: "TypeError",
    message: /choose one/,
  });
  assert.throws(() => databases.postgres({ password: "secret" as unknown as () => string }), {
    name: "TypeError",
    message: /must be a function/,
  });
  assert.equal(databases.postgres({ database: "app" }).secret, undefined);
  assert.match(databases.postgres().secret!, /passwords/);
  assert.equal(databases.postgres({ rolePasswords: false }).secret, undefined);
});

judged(
  "a plan of a configuration backs up and restores PostgreSQL with the printed permissions alone",
  TOOLS,
  async () => {
    using dir = scratch();
    await using server = await started(initialised(dir, "data"));
    server.sql("postgres", "CREATE DATABASE app");
    server.sql("app", TABLES);
    const { port } = server.options;
    for (const name of ["home", "work", "work/spool"]) fs.mkdirSync(dir.join(name));
    const passfile = (password: string): void =>
      fs.writeFileSync(dir.join("work/pgpass"), `127.0.0.1:*:*:admin:${password}\n`, { mode: 0o600 });
    const source =
      `{ postgres = { database = "app", host = "127.0.0.1", port = ${port}, user = "admin", passfile = "pgpass", spoolDir = "spool", bin = "${BIN}" } }`;
    fs.writeFileSync(
      dir.join("work/backup.toml"),
      `[plan.db]\ncollect = ${source}\nencrypt = "plaintext"\nupload = { to = "./backups" }\n`,
    );
    const user = { home: dir.join("home"), cwd: dir.join("work") };
    passfile("wrong");
    const refused = await run(user, "backup", ["--plan", "db"]);
    assert.equal(refused.code, 1, refused.err);
    assert.match(refused.err, /password authentication failed/);
    assert.ok(
      !fs.existsSync(dir.join("work/backups")) ||
        fs.readdirSync(dir.join("work/backups")).every((name) => name.startsWith(".")),
    );

    passfile(PASSWORD);
    const made = await runPrinted(user, "db");
    assert.equal(made.code, 0, made.err);
    server.sql("postgres", "DROP DATABASE app");
    const back = await run(user, "restore", ["latest", "--plan", "db", "--in-place"]);
    assert.equal(back.code, 0, back.err);
    assert.equal(server.sql("app", "SELECT count(*) FROM log"), "3000");
  },
);
