/** Increments of databases: only changed pages are stored, and every state that was stored comes back. */
import { strict as assert } from "node:assert";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { backup, chio, collect, prune, restore, retain, store } from "../../mod.ts";
import { readAll, sha256, utf8 } from "../../src/bytes.ts";
import { memoryState } from "../../src/context.ts";
import { findError, IntegrityError } from "../../src/errors.ts";
import type { Plan } from "../../src/find.ts";
import type { BackupResult } from "../../src/run.ts";
import type { State } from "../../src/stage.ts";
import { chain } from "../engine/chain.ts";
import { identity } from "../engine/support.ts";
import { judged, scratch, sh, testContext } from "../support.ts";
import { append, makeDatabase, stateOf, writer } from "./support.ts";

const SOAK = Deno.env.get("HOLDFAST_SOAK") !== undefined;

type Dir = ReturnType<typeof scratch>;

/** Backups a second apart, with one memory. */
function series(
  dir: Dir,
  options: Partial<collect.SqliteOptions> = {},
  names: readonly string[] = ["app.db"],
): {
  plan: Plan;
  state: State;
  infos: string[];
  next: () => Promise<BackupResult>;
} {
  mkdirSync(dir.join("spool"), { recursive: true });
  const state = memoryState();
  const infos: string[] = [];
  const databases = names.map((name) => dir.join(name));
  const plan = chain(
    collect.sqlite(databases, { spoolDir: dir.join("spool"), since: "latest", ...options }),
    store.directory(dir.join("store")),
  );
  let second = 0;
  const log = { info: (text: string): void => void infos.push(text), warn: (): void => {} };
  const next = (): Promise<BackupResult> =>
    backup(plan, { state, log, now: new Date(Date.UTC(2026, 0, 1, 0, 0, second++)) });
  return { plan, state, infos, next };
}

function factsOf({ receipt }: BackupResult, i = 0): Readonly<Record<string, unknown>> {
  return receipt.sources[i]!.facts;
}

async function restored(plan: Plan, dir: Dir, id: string, name = "app.db"): Promise<string> {
  const into = dir.join(`r-${id}`);
  await restore(plan, { id, into });
  return `${into}/${name}`;
}

Deno.test("sqlite since: beside a writer, every increment restores to a state that existed", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 3000);
  const { plan, next } = series(dir, { fullEvery: 5 });
  const busy = await writer([dir.join("app.db")], SOAK ? 1000 : 100);
  const rounds = SOAK ? 200 : 7;
  let last = 0;
  const increments = new Set<unknown>();
  for (let i = 0; i < rounds; i++) {
    const result = await next();
    increments.add(factsOf(result).increment);
    const path = await restored(plan, dir, result.id);
    const { seq } = stateOf(path);
    assert.ok(seq > last, `backup ${i} has ${seq}, the one before had ${last}`);
    last = seq;
    Deno.removeSync(dir.join(`r-${result.id}`), { recursive: true });
  }
  const { commits } = await busy.stop();
  assert.ok(commits > 50, `only ${commits} commits`);
  assert.ok(increments.has(0) && increments.size > 2, `increments: ${[...increments].join(" ")}`);
  assert.deepEqual(readdirSync(dir.join("spool")), []);
});

/** What the database is, byte for byte, as a copy of our own gives it. */
async function imageOf(path: string, spoolDir: string): Promise<Uint8Array> {
  const files = await collect.sqlite(path, { spoolDir }).run(undefined, testContext());
  for await (const { body } of files.entries()) {
    if (typeof body === "function") return await readAll(body(), 2 ** 30);
  }
  throw new Error("no copy");
}

/** Edits of every kind: rows in place, growth, a new table, deletion with VACUUM, another page size, a change of the header alone, none. */
function edits(seed: number): string {
  const some = `WHERE seq % 97 = ${seed % 97}`;
  return [
    `UPDATE log SET filler = zeroblob(400) ${some}`,
    `INSERT INTO log SELECT seq + ${seed * 100_000}, value, filler FROM log WHERE seq % 11 = 3`,
    `CREATE TABLE t${seed}(a, b); INSERT INTO t${seed} SELECT seq, hex(filler) FROM log ${some}`,
    `DELETE FROM log ${some}; VACUUM`,
    "PRAGMA journal_mode = delete; PRAGMA page_size = 8192; VACUUM; PRAGMA journal_mode = wal",
    `PRAGMA user_version = ${seed}`,
    "SELECT 1",
  ][seed % 7]!;
}

Deno.test("sqlite since: growth, VACUUM, other page sizes and nothing at all come back byte for byte, from any of the backups", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 1500);
  makeDatabase(dir.join("still.db"), 20, "delete");
  const { plan, next } = series(dir, { fullShare: 5 }, ["app.db", "still.db"]);
  const kept = new Map<string, Uint8Array>();
  const increments: unknown[] = [];
  for (let seed = 0; seed < 8; seed++) {
    const result = await next();
    increments.push(factsOf(result).increment);
    kept.set(result.id, await imageOf(dir.join("app.db"), dir.join("spool")));
    const db = new DatabaseSync(dir.join("app.db"));
    db.exec(edits(seed));
    db.close();
  }
  for (const [id, image] of kept) {
    assert.deepEqual(readFileSync(await restored(plan, dir, id)), Buffer.from(image), id);
    assert.equal(stateOf(dir.join(`r-${id}`, "still.db")).seq, 20);
  }
  assert.ok(new Set(increments).size > 3, String(increments));
});

Deno.test("sqlite since: only what has changed is stored, and the receipt says so without names or digests", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 5000);
  const { next } = series(dir);
  const first = await next();
  const db = new DatabaseSync(dir.join("app.db"));
  db.exec(
    "UPDATE log SET value = value WHERE seq = 7; UPDATE log SET filler = randomblob(400) WHERE seq = 9",
  );
  db.close();
  const second = await next();
  assert.equal(factsOf(first).increment, 0);
  assert.equal(factsOf(second).increment, 1);
  assert.ok(Number(factsOf(second).changedPages) <= 4, JSON.stringify(factsOf(second)));
  assert.ok(second.receipt.objects[0]!.bytes * 20 < first.receipt.objects[0]!.bytes);
  const receipt = readFileSync(dir.join("store", `${first.id}.receipt.json`));
  assert.equal(second.receipt.contents.base, sha256(receipt));
  assert.equal(first.receipt.contents.base, null);
  assert.doesNotMatch(JSON.stringify(second.receipt.sources), /app\.db|[0-9a-f]{64}/);
  const still = await next();
  assert.equal(factsOf(still).changedPages, 0);
});

Deno.test("sqlite since: whole databases where nothing is remembered, in every fullEvery-th run, and when most has changed", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 2000);
  const { plan, state, infos, next } = series(dir, { fullEvery: 3 });
  const touch = (sql: string): void => {
    const db = new DatabaseSync(dir.join("app.db"));
    db.exec(sql);
    db.close();
  };
  const seen: unknown[] = [];
  for (let i = 0; i < 5; i++) {
    seen.push(factsOf(await next()).increment);
    touch(`UPDATE log SET value = value + 0, filler = randomblob(400) WHERE seq = ${i + 1}`);
  }
  assert.deepEqual(seen, [0, 1, 2, 0, 1]);
  touch("UPDATE log SET filler = randomblob(400)");
  assert.equal(factsOf(await next()).increment, 0);
  assert.match(infos.join("\n"), /there is no backup yet.*\n.*2 increments stand.*\n.*have changed/);

  // Another host, or this one without its memory; then one whose memory is damaged.
  const now = (second: number): Date => new Date(Date.UTC(2026, 0, 1, 1, 0, second));
  assert.equal(factsOf(await backup(plan, { state: memoryState(), now: now(0) })).increment, 0);
  assert.equal(factsOf(await backup(plan, { state, now: now(1) })).increment, 0);
  assert.equal(factsOf(await backup(plan, { state, now: now(2) })).increment, 1);
  const flipped: State = {
    ...state,
    get: async (key) => {
      const bytes = await state.get(key);
      if (bytes && key.startsWith("sqlite-pages")) bytes[bytes.length - 5]! ^= 1;
      return bytes;
    },
  };
  assert.equal(factsOf(await backup(plan, { state: flipped, now: now(3) })).increment, 0);
});

Deno.test("sqlite since: a run that fails late costs nothing; the next goes on from the last that is whole", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 1000);
  mkdirSync(dir.join("spool"));
  const to = store.directory(dir.join("store"));
  let broken = false;
  const failing: typeof to = {
    ...to,
    put: (key, body, options) =>
      broken && key.endsWith(".receipt.json")
        ? Promise.reject(new Error("no receipt today"))
        : to.put(key, body, options),
  };
  const plan = chain(
    collect.sqlite(dir.join("app.db"), { since: "latest", spoolDir: dir.join("spool") }),
    failing,
  );
  const state = memoryState();
  const ids: string[] = [];
  for (let i = 0; i < 5; i++) {
    const db = new DatabaseSync(dir.join("app.db"));
    append(db, 1);
    db.close();
    broken = i === 2 || i === 3;
    const now = new Date(Date.UTC(2026, 0, 1, 0, 0, i));
    if (broken) await assert.rejects(backup(plan, { state, now }), /no receipt today/);
    else {
      const result = await backup(plan, { state, now });
      assert.equal(factsOf(result).increment, ids.length);
      ids.push(result.id);
    }
  }
  assert.equal(stateOf(await restored(plan, dir, ids.at(-1)!)).seq, 1005);
});

Deno.test("sqlite since: a base that is gone, altered or another one's is refused, and nothing is changed", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 1000);
  const { plan, next } = series(dir);
  const touch = (): void => {
    const db = new DatabaseSync(dir.join("app.db"));
    append(db, 1);
    db.close();
  };
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) {
    ids.push((await next()).id);
    touch();
  }
  const refuses = async (words: RegExp): Promise<void> => {
    await assert.rejects(restore(plan, { id: ids[2]!, into: dir.join("r") }), (error: Error) => {
      assert.match(error.message, words);
      return findError(error, IntegrityError) !== undefined;
    });
    assert.ok(!readdirSync(dir.path).some((name) => name === "r" || name.startsWith(".r.")));
  };
  const archive = dir.join("store", ids[1]!);
  const good = readFileSync(archive);
  const bad = Uint8Array.from(good);
  bad[bad.length >> 1]! ^= 1;
  writeFileSync(archive, bad);
  await refuses(/app_2026-01-01T00-00-01Z/);
  writeFileSync(archive, good);
  // The receipt of another backup, in all else sound, in the base's place.
  const receipt = dir.join("store", `${ids[1]!}.receipt.json`);
  const [own, other] = [receipt, dir.join("store", `${ids[0]!}.receipt.json`)].map((path) =>
    readFileSync(path)
  );
  writeFileSync(receipt, other!);
  await refuses(/builds on a backup that is not there, or not as it was/);
  Deno.removeSync(receipt);
  await refuses(/builds on a backup that is not there, or not as it was/);
  writeFileSync(receipt, own!);
  assert.equal(stateOf(await restored(plan, dir, ids[2]!)).seq, 1002);
});

Deno.test("sqlite since: what is put together must be what was stored, whatever the receipts say", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 1000);
  const { plan, next, state } = series(dir);
  let key = "";
  const put = state.put;
  Object.assign(state, {
    put: (name: string, value: Uint8Array) => {
      if (name.startsWith("sqlite-pages")) key = name;
      return put(name, value);
    },
  });
  await next();
  const before = await imageOf(dir.join("app.db"), dir.join("spool"));
  // A memory that is whole, and wrong: the page that changes is taken for one that has not.
  const db = new DatabaseSync(dir.join("app.db"));
  append(db, 1);
  db.close();
  const bytes = (await state.get(key))!;
  const now = await imageOf(dir.join("app.db"), dir.join("spool"));
  const changed = now.findIndex((byte, i) => byte !== before[i]) >> 12;
  const page = createHash("sha256").update(now.subarray(changed * 4096, (changed + 1) * 4096)).digest()
    .subarray(0, 16);
  const head = 24 + 64;
  const at = bytes.indexOf(0x0a, head) + 1 + 16 * changed;
  bytes.set(page, at);
  bytes.set(utf8(sha256(bytes.subarray(head))), 24);
  await state.put(key, bytes);
  const { id } = await next();
  await assert.rejects(restore(plan, { id, into: dir.join("r") }), /is not what it was when it was stored/);
});

Deno.test("sqlite since: retention keeps what an increment stands on", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 1000);
  const { plan, next } = series(dir);
  const ids: string[] = [];
  for (let i = 0; i < 4; i++) {
    ids.push((await next()).id);
    const db = new DatabaseSync(dir.join("app.db"));
    append(db, 1);
    db.close();
  }
  const verdicts = await retain(plan.pipe(prune({ keepLast: 1 })), { confirm: true });
  assert.deepEqual(verdicts.filter(({ keep }) => !keep), []);
  assert.match(verdicts.find(({ id }) => id === ids[0])!.reasons.join(), /base of/);
  assert.equal(stateOf(await restored(plan, dir, ids[3]!)).seq, 1003);
});

judged(
  "sqlite since: RESTORE.txt, run as written, puts a chain together",
  ["age", "zstd", "sqlite3"],
  async () => {
    using dir = scratch();
    const odd = "a b'c.db";
    for (const name of ["app.db", odd]) makeDatabase(dir.join(name), 1500);
    const { plan, next } = series(dir, {}, ["app.db", odd]);
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) {
      ids.push((await next()).id);
      const db = new DatabaseSync(dir.join("app.db"));
      db.exec(
        i === 2
          ? "DELETE FROM log WHERE seq > 900; VACUUM"
          : `UPDATE log SET filler = x'00' WHERE seq % 500 = ${i}`,
      );
      db.close();
    }
    writeFileSync(dir.join("store/identity.txt"), identity);
    const script = readFileSync(dir.join("store/app.RESTORE.txt"), "utf8");
    for (const id of [ids[0]!, ids[2]!, ids[3]!]) {
      sh(`rm -rf restored; BACKUP=${id}; ${script}`, { cwd: dir.join("store") });
      for (const name of ["app.db", odd]) {
        const by = readFileSync(dir.join("store/restored", name));
        assert.deepEqual(by, readFileSync(await restored(plan, dir, id, name)), `${id} ${name}`);
        Deno.removeSync(dir.join(`r-${id}`), { recursive: true });
      }
      assert.deepEqual(readdirSync(dir.join("store/restored")).sort(), [odd, "app.db"]);
    }
    sh("sqlite3 restored/app.db 'pragma integrity_check' | grep -qx ok", { cwd: dir.join("store") });
    // Without a link of the chain it says so and writes nothing.
    Deno.removeSync(dir.join("store", `${ids[1]!}.receipt.json`));
    const told = sh(`rm -rf restored; BACKUP=${ids[3]}; { ${script} } 2>&1; ls restored`, {
      cwd: dir.join("store"),
    });
    assert.match(
      new TextDecoder().decode(told),
      /^Missing: the backup whose receipt has the digest [0-9a-f]{64}\nNot restored: what is in restored is not app_.*\n$/,
    );
  },
);

Deno.test("sqlite since: options that make no sense are refused when the stage is made", () => {
  assert.throws(() => collect.sqlite("a.db", { since: "yesterday" as "latest" }), TypeError);
  assert.throws(() => collect.sqlite("a.db", { fullEvery: 3 }), TypeError);
  assert.throws(() => collect.sqlite("a.db", { since: "latest", fullEvery: 0 }), RangeError);
  assert.throws(() => collect.sqlite("a.db", { since: "latest", fullShare: -1 }), RangeError);
  assert.throws(() => collect.sqlite("a.db.delta", { since: "latest" }), TypeError);
  assert.throws(() => chio.revocations("a.db", { since: "latest" }), /the databases of a recipe/);
  assert.throws(
    () => collect.group({ db: collect.sqlite("a.db", { since: "latest" }) }),
    /group: .*a plan of its own/,
  );
});
