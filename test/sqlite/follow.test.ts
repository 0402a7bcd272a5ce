/** Following databases: a backup at a beat when something was committed, until it is stopped. */
import { strict as assert } from "node:assert";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { backup, collect, follow, store } from "../../mod.ts";
import { isFollowed, probeOf } from "../../src/collect/sqlite/probe.ts";
import { memoryState } from "../../src/context.ts";
import type { Plan } from "../../src/find.ts";
import { bareEnv, ended, ROOT, run, start, type User } from "../cli/support.ts";
import { chain } from "../engine/chain.ts";
import { scratch } from "../support.ts";
import { append, makeDatabase, stateOf, writer } from "./support.ts";

type Dir = ReturnType<typeof scratch>;

function planOf(dir: Dir): Plan {
  mkdirSync(dir.join("spool"), { recursive: true });
  const options = { since: "latest", spoolDir: dir.join("spool"), check: "quick" } as const;
  return chain(collect.sqlite(dir.join("app.db"), options), store.directory(dir.join("store")));
}

function commit(path: string): void {
  const db = new DatabaseSync(path);
  db.exec("PRAGMA wal_autocheckpoint = 0");
  append(db, 1);
  db.close();
}

Deno.test("probe: what is committed by others shows, in WAL mode and without; reads and nothing do not", () => {
  using dir = scratch();
  for (const mode of ["wal", "delete"]) {
    const path = dir.join(`${mode}.db`);
    makeDatabase(path, 50, mode);
    const other = new DatabaseSync(path);
    const stage = collect.sqlite(path, { since: "latest" });
    const probe = probeOf(stage)!;
    assert.ok(isFollowed(stage));
    const first = probe.look();
    assert.ok(first !== undefined);
    other.prepare("SELECT count(*) FROM log").get();
    assert.equal(probe.look(), first);
    append(other, 1);
    const second = probe.look();
    assert.notEqual(second, first);
    assert.equal(probe.look(), second);
    other.close();
    // Another file in its place, with nothing committed to it since.
    writeFileSync(dir.join("new.db"), readFileSync(path));
    renameSync(dir.join("new.db"), path);
    assert.notEqual(probe.look(), second);
    const locker = new DatabaseSync(path);
    if (mode === "delete") {
      locker.exec("BEGIN EXCLUSIVE");
      assert.equal(probe.look(), undefined);
    }
    locker.close();
    probe.close();
  }
  assert.equal(probeOf(collect.files(dir.path)), undefined);
  assert.ok(!isFollowed(collect.sqlite(dir.join("wal.db"))));
});

Deno.test("follow: nothing is stored while nothing is committed, a failure later on is tried again, and it ends by itself", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"));
  const plan = planOf(dir);
  const state = memoryState();
  const names: number[] = [];
  const warned: string[] = [];
  let attempts = 0;
  const result = await follow(plan, {
    everyMs: 1000,
    runs: 3,
    state,
    log: { info: () => {}, warn: (kind, text) => void warned.push(`${kind}: ${text}`) },
    make: async (now) => {
      names.push(Math.floor(now.getTime() / 1000));
      if (++attempts === 2) throw new Error("no store today");
      await backup(plan, { state, now });
      // Behind the next beat, which is at most a second away.
      if (attempts % 2 === 1) setTimeout(() => commit(dir.join("app.db")), 1500);
    },
  });
  assert.deepEqual({ ...result, unchanged: 0 }, { made: 3, unchanged: 0, failed: 1, failure: undefined });
  assert.ok(result.unchanged >= 1);
  assert.equal(attempts, 4);
  assert.equal(new Set(names).size, 4, "two names of one second");
  assert.match(warned.join(), /^follow: .*tried in 1 s: no store today$/);
  assert.equal(stateOf(dir.join("app.db")).seq >= 202, true);
});

Deno.test("follow: the first backup must succeed; an idle database is stored once in a while; a stop is no failure", async () => {
  using dir = scratch();
  await assert.rejects(follow(planOf(dir), { everyMs: 1000 }), /app\.db.*does not exist/);
  await assert.rejects(follow(planOf(dir), { everyMs: 999 }), RangeError);
  makeDatabase(dir.join("app.db"));
  let made = 0;
  const make = (): Promise<void> => Promise.resolve(void made++);
  await follow(planOf(dir), { everyMs: 1000, atLeastMs: 1000, runs: 2, make });
  assert.equal(made, 2);
  const stop = new AbortController();
  const stopped = await follow(planOf(dir), {
    everyMs: 60_000,
    signal: stop.signal,
    progress: () => stop.abort(),
  });
  assert.deepEqual(stopped, { made: 0, unchanged: 0, failed: 0, failure: undefined });
  assert.deepEqual(readdirSync(dir.join("store")).filter((name) => name.includes(".tar")), []);
  assert.deepEqual(readdirSync(dir.join("spool")), []);
});

const CONFIG = `[plan.db]
collect = { sqlite = ["app.db"], since = "latest", check = "quick", fullEvery = 4 }
encrypt = "plaintext"
sign = ["sha256"]
upload = { to = ["store"] }
`;

function userOf(dir: Dir): User {
  for (const name of ["home", "tmp"]) mkdirSync(dir.join(name), { recursive: true });
  makeDatabase(dir.join("app.db"), 2000);
  writeFileSync(dir.join("backup.toml"), CONFIG);
  return { home: dir.join("home"), cwd: dir.path, env: { TMPDIR: dir.join("tmp") } };
}

/** The first line that a process prints. */
async function firstLine(child: Deno.ChildProcess): Promise<string> {
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return new TextDecoder().decode(value).split("\n")[0]!;
}

Deno.test("sqlite:follow: SIGTERM ends it with exit code 0; what it made comes back at its time", async () => {
  using dir = scratch();
  const user = userOf(dir);
  const child = start(user, "sqlite_follow", ["--every", "1s", "--quiet"]);
  const id = await firstLine(child);
  assert.match(id, /^db_.*\.tar\.zst$/);
  const at = new Date().toISOString();
  commit(dir.join("app.db"));
  while (idsIn(dir.join("store")).length < 2) await sleep(50);
  child.kill("SIGTERM");
  const { code, err } = await ended(child);
  assert.equal(code, 0, err);
  const back = await run(user, "restore", ["--at", at, "--into", "before"]);
  assert.equal(back.code, 0, back.err);
  assert.equal(stateOf(dir.join("before/app.db")).seq, 2000);
  const latest = await run(user, "restore", ["--into", "after"]);
  assert.equal(latest.code, 0, latest.err);
  assert.equal(stateOf(dir.join("after/app.db")).seq, 2001);
  const both = await run(user, "restore", [id, "--at", at, "--into", "x"]);
  assert.equal(both.code, 2, both.err);
  const odd = await run(user, "restore", ["--at", "noon", "--into", "x"]);
  assert.match(odd.err, /Cannot use --at "noon": write a time with its zone/);
});

function idsIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith(".receipt.json"))
    .map((name) => name.slice(0, -".receipt.json".length));
}

Deno.test("sqlite:follow: kill -9 at any moment leaves no plaintext, and the next goes on with what is whole", async () => {
  using dir = scratch();
  const user = userOf(dir);
  const busy = await writer([dir.join("app.db")], 200);
  const rounds = Deno.env.get("HOLDFAST_SOAK") ? 40 : 2;
  for (let round = 0; round < rounds; round++) {
    const child = start(user, "sqlite_follow", ["--every", "1s", "--quiet"]);
    await firstLine(child);
    await sleep(900 + round * 37 % 300);
    child.kill("SIGKILL");
    await ended(child);
    // At most an empty file, and SQLite's journal for it: headers (28 bytes in a sector, one for each time its cache overflowed), no page.
    for (const name of readdirSync(dir.join("tmp"))) {
      const bytes = readFileSync(dir.join("tmp", name));
      if (!name.endsWith("-journal")) assert.equal(bytes.length, 0, name);
      const inside = bytes.findIndex((byte, i) => byte !== 0 && i % 512 >= 28);
      assert.equal(inside, -1, `${name}: byte ${inside} of ${bytes.length}`);
    }
  }
  await busy.stop();
  const last = await run(user, "sqlite_follow", ["--every", "1s", "--runs", "1", "--quiet"]);
  assert.equal(last.code, 0, last.err);
  const ids = idsIn(dir.join("store"));
  let seq = 0;
  for (const id of ids) {
    const back = await run(user, "restore", [id, "--into", "r"]);
    assert.equal(back.code, 0, back.err);
    const now = stateOf(dir.join("r/app.db")).seq;
    assert.ok(now >= seq, `${id} has ${now}, the one before ${seq}`);
    seq = now;
    Deno.removeSync(dir.join("r"), { recursive: true });
  }
  assert.equal(seq, stateOf(dir.join("app.db")).seq);
  assert.ok(ids.length > rounds, String(ids));
});

Deno.test("sqlite:follow: wrong use is told; the printed permissions are enough for it", async () => {
  using dir = scratch();
  const user = userOf(dir);
  const told = async (args: readonly string[], words: RegExp): Promise<void> => {
    const { code, err } = await run(user, "sqlite_follow", args);
    assert.equal(code, 2, err);
    assert.match(err, words);
  };
  await told(["--every", "10"], /Cannot use --every = "10": write a span such as/);
  await told(["app.db", "--plan", "db"], /Cannot use a DATABASE together with --config/);
  writeFileSync(
    dir.join("other.toml"),
    CONFIG.replace('since = "latest", ', "").replace(", fullEvery = 4", ""),
  );
  await told(
    ["--config", "other.toml"],
    /must collect SQLite databases, and what has changed in them: collect = \{/,
  );
  writeFileSync(dir.join("other.toml"), CONFIG.replace('"latest"', '"monday"'));
  await told(["--config", "other.toml"], /other\.toml.*since.*must be "latest"/s);

  const printed = await run(user, "config", ["--plan", "db", "--permissions"]);
  const permitted = (task: string, args: string): Promise<{ code: number; out: string; err: string }> => {
    const line = printed.out.trim().replace(/^deno /, `'${Deno.execPath()}' `)
      .replace(join(ROOT, "tasks/backup.ts"), join(ROOT, `tasks/${task}.ts`));
    return ended(
      new Deno.Command("/bin/sh", {
        args: ["-c", `${line} ${args}`],
        cwd: user.cwd,
        clearEnv: true,
        env: bareEnv(user),
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    );
  };
  const { code, out, err } = await permitted("sqlite_follow", "--every 1s --runs 2 --at-least 1s --quiet");
  assert.equal(code, 0, err);
  assert.equal(out.trim().split("\n").length, 2);
  const { contents } = JSON.parse(
    readFileSync(dir.join("store", `${out.trim().split("\n")[1]}.receipt.json`), "utf8"),
  );
  assert.match(contents.base, /^[0-9a-f]{64}$/);
  // They are enough to check the copy as well, and nothing is left beside it.
  const back = await permitted("restore", "--into tmp/back");
  assert.equal(back.code, 0, back.err);
  assert.deepEqual(readdirSync(dir.join("tmp/back")), ["app.db"]);
});
