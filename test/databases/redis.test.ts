/** Redis against a real server that is written to. */
import { strict as assert } from "node:assert";
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import { backup, databases, drill, encrypt, restore, store } from "../../mod.ts";
import type { Files } from "../../src/stage.ts";
import { run, runPrinted } from "../cli/support.ts";
import { judged, scratch, testContext } from "../support.ts";
import { freePort } from "../store/s3_server.ts";
import {
  failsToStore,
  onFreePort,
  planOver,
  provenIn,
  type Running,
  serve,
  until,
  userFolder,
  works,
} from "./support.ts";

const TOOLS = ["redis-server", "redis-cli", "redis-check-rdb", "setpriv"];
const PASSWORD = "pass-word-1";
const { identity, recipient } = await encrypt.generateIdentity();

interface Server extends Running {
  readonly options: databases.RedisOptions;
  readonly ask: (...args: string[]) => string;
  readonly env: Record<string, string>;
}

const started = (data: string): Promise<Server> => onFreePort((port) => startedOn(port, data));

async function startedOn(port: number, data: string): Promise<Server> {
  const env = { ...Deno.env.toObject(), REDISCLI_AUTH: PASSWORD };
  const args = [
    "--port",
    `${port}`,
    "--bind",
    "127.0.0.1",
    "--dir",
    data,
    "--save",
    "",
    "--requirepass",
    PASSWORD,
  ];
  const ready = (): boolean => works("redis-cli", ["-e", "-p", `${port}`, "PING"], env);
  const server = await serve([
    "redis-server",
    ...args,
    "--enable-debug-command",
    "local",
    "--repl-diskless-sync-delay",
    "0",
  ], ready);
  const ask = (...args: string[]): string =>
    execFileSync("redis-cli", ["-e", "-p", `${port}`, ...args], {
      encoding: "utf8",
      env,
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  // SHUTDOWN ends a child that saves as well.
  const kill = async (): Promise<void> => {
    works("redis-cli", ["-p", `${port}`, "SHUTDOWN", "NOSAVE", "NOW", "FORCE"], env);
    await server.kill();
  };
  const options = { port, password: () => PASSWORD };
  return { kill, [Symbol.asyncDispose]: kill, options, env, ask };
}

judged("redis() backs up a server that is written to, and a new one starts with it", TOOLS, async () => {
  using dir = scratch();
  fs.chmodSync(dir.path, 0o755);
  const to = store.memory();
  const file = dir.join("two/dump.rdb");
  let plan;
  {
    await using old = await started(userFolder(dir.join("one")));
    old.ask("DEBUG", "POPULATE", "20000", "key", "200");
    // Two keys that one script changes together: any torn copy breaks their equation.
    const script = "redis.call('rpush', 'list', redis.call('incr', 'count'))";
    const writer = spawn("redis-cli", ["-p", `${old.options.port}`, "-r", "-1", "EVAL", script, "0"], {
      env: old.env,
      stdio: "ignore",
    });
    const over = new Promise<void>((resolve) => writer.once("close", () => resolve()));
    await until(() => Number(old.ask("GET", "count")) > 100);
    plan = planOver(databases.redis({ ...old.options, file }), to, recipient, identity);
    const { receipt } = await backup(plan);
    await assert.rejects(restore(plan, { inPlace: true }), /the server runs, and would write over/);
    writer.kill("SIGKILL");
    await over;
    const { facts } = receipt.sources[0]!;
    assert.ok(old.ask("INFO", "server").includes(`redis_version:${facts.serverVersion}`));
  }
  await drill(plan);
  const version = /v=([\d.]+)/.exec(execFileSync("redis-server", ["--version"], { encoding: "utf8" }))![1];
  assert.deepEqual(await provenIn(to), { server: version, keys: 20002 });
  fs.mkdirSync(dir.join("damaged"));
  fs.writeFileSync(dir.join("damaged/dump.rdb"), "REDIS0011");
  await assert.rejects(
    databases.redis().drill!(dir.join("damaged"), testContext()),
    /The drill failed: "redis-check-rdb"/,
  );

  userFolder(dir.join("two"));
  fs.mkdirSync(dir.join("two/appendonlydir"));
  await assert.rejects(restore(plan, { inPlace: true }), /appendonlydir" there the server would not read/);
  fs.rmdirSync(dir.join("two/appendonlydir"));
  await restore(plan, { inPlace: true });
  execFileSync("redis-check-rdb", [file], { stdio: "ignore" });
  fs.chmodSync(file, 0o644);
  await using fresh = await started(dir.join("two"));
  const count = Number(fresh.ask("GET", "count"));
  assert.ok(count > 100);
  assert.equal(Number(fresh.ask("LLEN", "list")), count);
  assert.equal(fresh.ask("DBSIZE"), "20002");
  assert.equal(fresh.ask("STRLEN", "key:19999"), "200");
});

judged(
  "redis() stores nothing when the server refuses, goes away, or the file is cut or damaged",
  TOOLS,
  async () => {
    using dir = scratch();
    fs.chmodSync(dir.path, 0o755);
    await using server = await started(userFolder(dir.join("data")));
    server.ask("DEBUG", "POPULATE", "20000", "key", "200");
    const to = store.memory();
    const failing = (options: databases.RedisOptions, expected: RegExp): Promise<void> =>
      failsToStore(databases.redis({ ...server.options, ...options }), expected, to);
    await failing(
      { password: () => "pass-wrong" },
      /Cannot back up Redis: .*(?:NOAUTH|WRONGPASS|AUTH failed)/s,
    );
    await failing({ port: freePort() }, /Cannot back up Redis: .*Could not connect/s);
    const bin = dir.join("bin");
    fs.mkdirSync(bin);
    const through = (filter: string): void =>
      fs.writeFileSync(
        `${bin}/redis-cli`,
        `#!/bin/sh\ncase "$*" in *--rdb*) redis-cli "$@" | ${filter}; exit 0;; esac\nexec redis-cli "$@"\n`,
        { mode: 0o755 },
      );
    through("head -c 100000");
    await failing({ bin }, /Cannot back up "dump.rdb": it ends before its end mark/);
    through("sed 's/key:19999/kex:19999/'");
    await failing({ bin }, /Cannot back up "dump.rdb": its checksum does not agree/);
    through("tail -c +2");
    await failing({ bin }, /it does not begin as an RDB file/);

    const saves = (now: string): Promise<void> =>
      until(() => server.ask("INFO", "persistence").includes(`rdb_bgsave_in_progress:${now}`));
    await saves("0");
    // Each key takes a second, so the server is gone before the end.
    server.ask("CONFIG", "SET", "rdb-key-save-delay", "1000000");
    const failed = failing({}, /Cannot back up "dump.rdb"/);
    await saves("1");
    await server.kill();
    await failed;
  },
);

judged("redis() of the other kind runs Valkey's programs", TOOLS, async () => {
  using dir = scratch();
  fs.chmodSync(dir.path, 0o755);
  fs.mkdirSync(dir.join("bin"));
  for (const name of ["cli", "server", "check-rdb"]) {
    // Not a link: the one program looks at its name.
    fs.writeFileSync(dir.join(`bin/valkey-${name}`), `#!/bin/sh\nexec redis-${name} "$@"\n`, { mode: 0o755 });
  }
  await using server = await started(userFolder(dir.join("data")));
  server.ask("SET", "key", "value");
  const to = store.memory();
  const source = databases.redis({ ...server.options, kind: "valkey", bin: dir.join("bin") });
  const plan = planOver(source, to, recipient, identity);
  await backup(plan);
  await drill(plan);
  assert.equal((await provenIn(to)).keys, 1);
});

judged("redis() refuses an older server, and a restore in place without a file", TOOLS, async () => {
  const stored: Files = {
    kind: "files",
    entries: () => {
      throw new Error("Not to be read");
    },
    facts: () => ({
      sources: [{ tool: "redis", cutAt: "", facts: { serverVersion: "99.0.1" } }],
      stages: [],
    }),
  };
  const undo = (options: databases.RedisOptions): Promise<void> =>
    databases.redis(options).undo(stored, testContext({ want: { inPlace: true } }));
  await assert.rejects(
    undo({ port: freePort(), file: "/nowhere/dump.rdb" }),
    /the backup is from version 99\.0\.1/,
  );
  await assert.rejects(undo({}), /name the server's file/);
  await assert.rejects(
    undo({ port: freePort(), file: "/nowhere/dump.rdb", anyVersion: true }),
    /Not to be read/,
    "it goes on where that is asked for",
  );
  assert.throws(() => databases.redis({ port: 0 }), { name: "RangeError" });
  assert.throws(() => databases.redis({ kind: "other" as "redis" }), { name: "TypeError" });
  assert.throws(() => databases.redis({ password: "x" as unknown as () => string }), { name: "TypeError" });
});

judged("a plan of a configuration backs up Redis with the printed permissions alone", TOOLS, async () => {
  using dir = scratch();
  fs.chmodSync(dir.path, 0o755);
  await using server = await started(userFolder(dir.join("data")));
  for (const name of ["home", "work", "work/spool"]) fs.mkdirSync(dir.join(name));
  const password = (text: string): void =>
    fs.writeFileSync(dir.join("work/password"), `${text}\n`, { mode: 0o600 });
  const source =
    `{ redis = { port = ${server.options.port}, passwordFile = "password", spoolDir = "spool" } }`;
  fs.writeFileSync(
    dir.join("work/backup.toml"),
    `[plan.db]\ncollect = ${source}\nencrypt = "plaintext"\nupload = { to = "./backups" }\n`,
  );
  const user = { home: dir.join("home"), cwd: dir.join("work") };
  password("wrong");
  const refused = await run(user, "backup", ["--plan", "db"]);
  assert.equal(refused.code, 1, refused.err);
  password(PASSWORD);
  const made = await runPrinted(user, "db");
  assert.equal(made.code, 0, made.err);
  const back = await run(user, "restore", ["latest", "--plan", "db", "--into", "out"]);
  assert.equal(back.code, 0, back.err);
  execFileSync("redis-check-rdb", [dir.join("work/out/dump.rdb")], { stdio: "ignore" });
});
