/** PostgreSQL's base backups against a real server that is written to, and the server's own judges of them. */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { backup, databases, drill, encrypt, restore, store } from "../../mod.ts";
import { sha256, utf8 } from "../../src/bytes.ts";
import { checkManifest, type Held } from "../../src/recipes/databases/postgres_manifest.ts";
import type { Entry, Files } from "../../src/stage.ts";
import { run, runPrinted } from "../cli/support.ts";
import { judged, scratch, testContext } from "../support.ts";
import { BIN, initialised, PASSWORD, started, STATE, TABLES, TOOLS, writer } from "./postgres_server.ts";
import { failsToStore, planOver, provenIn, until, userFolder } from "./support.ts";

const { identity, recipient } = await encrypt.generateIdentity();

judged(
  "postgresCluster() backs up a server that is written to, and a new one starts on the folder",
  TOOLS,
  async () => {
    using dir = scratch();
    const to = store.memory();
    const dataDir = dir.join("two");
    let plan;
    {
      // Small segments of a log of which nothing is kept: what the backup needs is gone unless it is held.
      await using old = await started(
        initialised(dir, "one", "--wal-segsize=1"),
        "min_wal_size=2MB",
        "wal_keep_size=0",
      );
      old.sql("postgres", "CREATE DATABASE app");
      old.sql("app", TABLES);
      const busy = writer(old);
      await until(() => Number(old.sql("app", "SELECT seq FROM head")) > 100);
      // Settings that a drill's server must not follow.
      for (
        const set of [
          "archive_mode = 'on'",
          `archive_command = 'touch ${dir.join("archived")}'`,
          "shared_preload_libraries = 'not_there'",
        ]
      ) old.sql("postgres", `ALTER SYSTEM SET ${set}`);
      fs.chmodSync(dir.path, 0o777);
      const source = databases.postgresCluster({ ...old.options, dataDir });
      const slots = (): string =>
        old.sql("postgres", "SELECT count(*) FROM pg_replication_slots WHERE temporary");
      let held = 0;
      const slowly: typeof source = {
        ...source,
        run: async (input, context) => {
          const files = await source.run(input, context);
          return {
            ...files,
            entries: async function* (): AsyncGenerator<Entry> {
              for await (const entry of files.entries()) {
                if (entry.path === "pgdata") {
                  for (let i = 0; i < 5; i++) old.sql("postgres", "SELECT pg_switch_wal(); CHECKPOINT");
                  held = Number(slots());
                }
                yield entry;
              }
            },
          };
        },
      };
      plan = planOver(slowly, to, recipient, identity);
      const { receipt } = await backup(plan);
      await busy.stop();
      assert.equal(held, 1);
      await until(() => slots() === "0");
      const { facts } = receipt.sources[0]!;
      assert.equal(facts.serverVersion, Number(old.sql("postgres", "SHOW server_version_num")));
      assert.match(String(facts.endLsn), /^[0-9A-F]+\/[0-9A-F]+$/);
      await drill(plan);
      const server = old.sql("postgres", "SHOW server_version");
      assert.deepEqual(await provenIn(to), { server, databases: 2, checked: true });
      assert.ok(!fs.existsSync(dir.join("archived")));
    }
    userFolder(dataDir);
    fs.writeFileSync(`${dataDir}/PG_VERSION`, "old");
    await assert.rejects(
      restore(plan, { inPlace: true, conflict: "overwrite" }),
      /two" is not empty\. Nothing was touched/,
    );
    fs.rmSync(`${dataDir}/PG_VERSION`);
    await restore(plan, { inPlace: true });
    execFileSync(`${BIN}/pg_verifybackup`, ["--quiet", dataDir], { stdio: ["ignore", "ignore", "pipe"] });
    assert.equal(fs.statSync(dataDir).mode & 0o7777, 0o700);
    // The archive names its owner "postgres", and these servers run as nobody.
    if (Deno.uid() === 0) execFileSync("chown", ["-R", "65534:65534", dataDir]);
    await using fresh = await started(dataDir, "shared_preload_libraries=");
    assert.equal(fresh.sql("app", STATE), "t");
    assert.ok(Number(fresh.sql("app", "SELECT seq FROM head")) > 100);
  },
);

judged(
  "postgresCluster() stores nothing when the server refuses, or what it sends is cut or changed",
  TOOLS,
  async () => {
    using dir = scratch();
    await using server = await started(initialised(dir, "data"));
    server.sql("postgres", "CREATE TABLE t AS SELECT 'needle-needle' AS x");
    server.sql("postgres", `CREATE ROLE plain LOGIN PASSWORD '${PASSWORD}'`);
    const to = store.memory();
    const failing = (options: databases.PostgresClusterOptions, expected: RegExp): Promise<void> =>
      failsToStore(databases.postgresCluster({ ...server.options, ...options }), expected, to);
    await failing(
      { password: () => "pass-wrong" },
      /Cannot back up PostgreSQL: .*password authentication failed/s,
    );
    await failing(
      { user: "plain" },
      /Cannot back up PostgreSQL: .*(?:must be superuser or replication role|permission denied)/s,
    );

    const bin = dir.join("bin");
    fs.mkdirSync(bin);
    const through = (name: string, filter: string): void => {
      for (const other of ["psql", "pg_basebackup"]) {
        fs.rmSync(`${bin}/${other}`, { force: true });
        fs.symlinkSync(`${BIN}/${other}`, `${bin}/${other}`);
      }
      fs.rmSync(`${bin}/${name}`);
      const line =
        `[ "$1" = --version ] && exec ${BIN}/${name} "$@"; ${BIN}/${name} "$@" | ${filter}; exit 0`;
      fs.writeFileSync(`${bin}/${name}`, `#!/bin/sh\n${line}\n`, { mode: 0o755 });
    };
    through("pg_basebackup", "head -c 3000000");
    await failing({ bin }, /archive ends inside|ends early|ends before/i);
    through("pg_basebackup", "sed 's/needle-needle/needle-noodle/g'");
    await failing(
      { bin },
      /"base\/\d+\/\d+" does not agree with its SHA-256 in the server's manifest\. Nothing was stored/,
    );
    through("psql", "sed -u '1s/.*/120022/'");
    await failing({ bin }, /its server is version 120022, .*from version 13 on.*collect = \{ postgres/);

    const space = userFolder(dir.join("space"));
    server.sql("postgres", `CREATE TABLESPACE far LOCATION '${space}'`);
    await failing({}, /tablespaces of its own: dump it with collect = \{ postgres/);
  },
);

judged(
  "postgresCluster() restores for its own version alone, in place only where it is told",
  TOOLS,
  async () => {
    const stored: Files = {
      kind: "files",
      entries: () => {
        throw new Error("Not to be read");
      },
      facts: () => ({
        sources: [{ tool: "postgresCluster", cutAt: "", facts: { serverVersion: 990001 } }],
        stages: [],
      }),
    };
    const undo = (options: databases.PostgresClusterOptions): Promise<void> =>
      databases.postgresCluster(options).undo(stored, testContext({ want: { inPlace: true } }));
    await assert.rejects(
      undo({ bin: BIN, dataDir: "/nowhere" }),
      /is version \d.*of a server of version 99.*Nothing was touched/,
    );
    await assert.rejects(undo({ bin: BIN }), /name its data folder with "dataDir"/);
  },
);

judged(
  "a plan of a configuration backs up a cluster with the printed permissions alone, drills and restores it",
  TOOLS,
  async () => {
    using dir = scratch();
    for (const name of ["home", "work"]) fs.mkdirSync(dir.join(name));
    const user = { home: dir.join("home"), cwd: dir.join("work") };
    {
      await using server = await started(initialised(dir, "data"));
      server.sql("postgres", "CREATE TABLE t AS SELECT 7 AS x");
      fs.writeFileSync(dir.join("work/pgpass"), `127.0.0.1:*:*:admin:${PASSWORD}\n`, { mode: 0o600 });
      fs.writeFileSync(dir.join("work/key"), identity, { mode: 0o600 });
      const where = `host = "127.0.0.1", port = ${server.options.port}, user = "admin", passfile = "pgpass"`;
      fs.writeFileSync(
        dir.join("work/backup.toml"),
        `[plan.db]\ncollect = { postgresCluster = { ${where}, bin = "${BIN}", dataDir = "back" } }\n` +
          `encrypt = { age = { recipients = ["${recipient}"], identityFile = "key" } }\nupload = { to = "./backups" }\n`,
      );
      const made = await runPrinted(user, "db");
      assert.equal(made.code, 0, made.err);
    }
    const drilled = await run(user, "drill", ["latest", "--plan", "db"]);
    assert.equal(drilled.code, 0, drilled.err);
    assert.match(drilled.out, /own check: server .*, databases 1, checked true {2}assertion: none/);
    const back = await run(user, "restore", ["latest", "--plan", "db", "--in-place"]);
    assert.equal(back.code, 0, back.err);
    if (Deno.uid() === 0) execFileSync("chown", ["-R", "65534:65534", dir.join("work/back")]);
    await using fresh = await started(dir.join("work/back"));
    assert.equal(fresh.sql("postgres", "SELECT x FROM t"), "7");

    // What was damaged on the disk after the backup is found before it stands anywhere.
    const context = testContext({ want: { into: dir.join("out") } });
    const damaged = databases.postgresCluster({ bin: BIN }).undo(
      { kind: "files", entries: () => damagedEntries(), facts: () => ({ sources: [], stages: [] }) },
      context,
    );
    await assert.rejects(damaged, /pg_verifybackup" ended with .*Nothing was put in place/s);
    assert.ok(!fs.existsSync(dir.join("out")));
  },
);

async function* damagedEntries(): ReturnType<Files["entries"]> {
  const meta = { mode: 0o700, mtimeMs: 0, uid: 0, gid: 0, uname: "", gname: "" };
  yield { ...meta, path: "pgdata", kind: "directory", bytes: 0 };
  const body = manifestOf({ PG_VERSION: utf8("15\n") });
  yield { ...meta, path: "pgdata/backup_manifest", kind: "file", bytes: body.length, body };
  yield { ...meta, path: "pgdata/PG_VERSION", kind: "file", bytes: 3, body: utf8("14\n") };
}

function manifestOf(files: Readonly<Record<string, Uint8Array>>): Uint8Array<ArrayBuffer> {
  const list = Object.entries(files).map(([Path, bytes]) =>
    JSON.stringify({
      Path,
      "Size": bytes.length,
      "Last-Modified": "2026-11-21 00:00:00 GMT",
      "Checksum-Algorithm": "SHA256",
      "Checksum": sha256(bytes),
    })
  );
  const range = `{ "Timeline": 1, "Start-LSN": "0/FF000028", "End-LSN": "1/1000000" }`;
  const text = `{ "PostgreSQL-Backup-Manifest-Version": 1,\n"Files": [\n${list.join(",\n")}\n],\n` +
    `"WAL-Ranges": [\n${range}\n],\n`;
  return utf8(`${text}"Manifest-Checksum": "${sha256(utf8(text))}"}\n`);
}

Deno.test("a manifest is held against all that came, file by file, segment by segment", () => {
  const one = utf8("one");
  const manifest = manifestOf({ "base/1/1": one, "PG_VERSION": utf8("15\n") });
  const file = (bytes: Uint8Array): Held => ({ kind: "file", bytes: bytes.length, sha256: sha256(bytes) });
  const size = 16 * 1024 * 1024;
  const whole = { kind: "file", bytes: size, sha256: "" };
  const all = new Map<string, Held>([
    ["backup_manifest", file(manifest)],
    ["base", { kind: "directory", bytes: 0, sha256: "" }],
    ["base/1/1", file(one)],
    ["PG_VERSION", file(utf8("15\n"))],
    ["pg_wal/0000000100000000000000FF", whole],
    ["pg_wal/000000010000000100000000", whole],
  ]);
  const check = (
    held: ReadonlyMap<string, Held>,
    bytes: Uint8Array<ArrayBuffer> | undefined = manifest,
  ): unknown => checkManifest("Cannot", bytes, held, size);
  const ends = { timeline: 1, startLsn: "0/FF000028", endLsn: "1/1000000" };
  assert.deepEqual(check(all), { files: 2, bytes: 6, ...ends });
  const changed = (path: string, held: Held | undefined): Map<string, Held> => {
    const other = new Map(all);
    if (held) other.set(path, held);
    else other.delete(path);
    return other;
  };
  const integrity = (message: RegExp): { name: string; message: RegExp } => ({
    name: "IntegrityError",
    message,
  });
  assert.throws(() => check(changed("base/1/1", undefined)), integrity(/"base\/1\/1" is in .* did not come/));
  assert.throws(
    () => check(changed("base/1/1", { ...file(one), kind: "symlink" })),
    integrity(/did not come/),
  );
  assert.throws(() => check(changed("base/1/1", file(utf8("onet")))), integrity(/has 4 bytes, 3 in/));
  assert.throws(
    () => check(changed("base/1/1", file(utf8("two")))),
    integrity(/does not agree with its SHA-256/),
  );
  assert.throws(() => check(changed("base/1/2", file(one))), integrity(/came and is not in/));
  for (
    const [path, held] of [["0000000100000000000000FF", undefined], ["000000010000000100000000", {
      ...whole,
      bytes: 3,
    }]] as const
  ) {
    assert.throws(() => check(changed(`pg_wal/${path}`, held)), integrity(new RegExp(`segment "${path}"`)));
  }
  assert.throws(
    () => check(all, manifest.map((byte) => byte === 0x36 ? 0x37 : byte)),
    integrity(/own checksum|cannot be read/),
  );
  assert.throws(() => check(all, utf8("{")), integrity(/manifest cannot be read/));
  assert.throws(() => checkManifest("Cannot", undefined, all, size), integrity(/sent no manifest/));
});

Deno.test("postgresCluster() refuses wrong options when it is made", () => {
  assert.throws(() => databases.postgresCluster({ port: 70000 }), { name: "RangeError" });
  assert.throws(() => databases.postgresCluster({ dataDir: "" }), { name: "TypeError" });
  assert.match(databases.postgresCluster().secret!, /passwords/);
});
