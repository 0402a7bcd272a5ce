import { strict as assert } from "node:assert";
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { backup, collect, restore, store } from "../../mod.ts";
import { readAll } from "../../src/bytes.ts";
import { BusyError, findError, IntegrityError, NotFoundError } from "../../src/errors.ts";
import type { Plan } from "../../src/find.ts";
import type { Files } from "../../src/stage.ts";
import { chain } from "../engine/chain.ts";
import { judged, noise, scratch, sh, testContext } from "../support.ts";
import { append, makeDatabase, stateOf, writer } from "./support.ts";

const SOAK = Deno.env.get("HOLDFAST_SOAK") !== undefined;

function planOf(dir: ReturnType<typeof scratch>, options: collect.SqliteOptions = {}): Plan {
  mkdirSync(dir.join("spool"), { recursive: true });
  return chain(
    collect.sqlite(dir.join("app.db"), { spoolDir: dir.join("spool"), ...options }),
    store.directory(dir.join("store")),
  );
}

async function drain(files: Files): Promise<void> {
  for await (const entry of files.entries()) {
    if (typeof entry.body === "function") { for await (const _chunk of entry.body()); }
  }
}

/** Why collecting fails. */
async function refusal(path: string, options: collect.SqliteOptions = {}): Promise<Error> {
  try {
    await drain(await collect.sqlite(path, options).run(undefined, testContext()));
  } catch (error) {
    return error as Error;
  }
  throw new Error(`${path} was collected`);
}

Deno.test("sqlite: backups beside a writer at full speed each restore to a state that existed", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 1000);
  const plan = planOf(dir);
  const busy = await writer([dir.join("app.db")]);
  const rounds = SOAK ? 200 : 3;
  let last = 0;
  for (let i = 0; i < rounds; i++) {
    const { id, receipt } = await backup(plan, { now: new Date(Date.UTC(2026, 0, 1, 0, 0, i)) });
    await restore(plan, { id, into: dir.join(`r${i}`) });
    const { seq } = stateOf(dir.join(`r${i}`, "app.db"));
    assert.ok(seq > last, `backup ${i} has ${seq}, the one before had ${last}`);
    last = seq;
    assert.equal(receipt.sources[0]!.facts.journal, "wal");
    Deno.removeSync(dir.join(`r${i}`), { recursive: true });
  }
  const { commits } = await busy.stop();
  assert.ok(commits > 100, `only ${commits} commits`);
  assert.deepEqual(readdirSync(dir.join("spool")), []);
});

Deno.test("sqlite: the receipt tells pages, checks and journal, and no names", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 500);
  const { receipt } = await backup(planOf(dir));
  const { facts, tool } = receipt.sources[0]!;
  const db = new DatabaseSync(dir.join("app.db"), { readOnly: true });
  const pages = Object.values(db.prepare("PRAGMA page_count").get()!)[0];
  db.close();
  assert.equal(tool, "sqlite");
  assert.deepEqual(facts, {
    bytes: Number(pages) * 4096,
    pageSize: 4096,
    pages,
    journal: "wal",
    applicationId: 0,
    userVersion: 0,
    brokenKeys: 0,
    check: "full",
    cut: "exact",
  });
  assert.ok(!JSON.stringify(receipt.sources).includes("app.db"));
});

judged("sqlite: sqlite3 opens what was restored, row for row", ["sqlite3"], async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 300);
  const plan = planOf(dir);
  await backup(plan);
  await restore(plan, { into: dir.join("r") });
  const dump = (path: string): string => new TextDecoder().decode(sh(`sqlite3 '${path}' .dump`));
  assert.equal(dump(dir.join("r/app.db")), dump(dir.join("app.db")));
});

Deno.test("sqlite: several databases are cut at one moment", async () => {
  using dir = scratch();
  const [first, last] = [dir.join("a.db"), dir.join("z.db")];
  for (const path of [first, last]) makeDatabase(path, 100);
  // Others between the two that are written to, so that it takes a while to get from one to the other.
  const between = Array.from({ length: 60 }, (_, i) => dir.join(`m${i}.db`));
  for (const path of between) writeFileSync(path, readFileSync(first));
  const busy = await writer([first, last], 700);
  const stage = collect.sqlite([first, ...between, last], { check: "off" });
  for (let i = 0; i < 10; i++) {
    const files = await stage.run(undefined, testContext());
    for await (const { path, body } of files.entries()) {
      if (!between.includes(dir.join(path)) && typeof body === "function") {
        writeFileSync(dir.join(`copy-${path}`), await readAll(body(), 2 ** 24));
      }
    }
    assert.equal(files.facts().sources[0]!.facts.cut, "exact");
    const [a, z] = [stateOf(dir.join("copy-a.db")).seq, stateOf(dir.join("copy-z.db")).seq];
    // The writer commits to the first, then to the last.
    assert.ok(a === z || a === z + 1, `cut apart: ${a} and ${z}`);
  }
  assert.ok((await busy.stop()).commits > 20);
});

Deno.test("sqlite: damage, strangers and lost logs are refused in clear words", async () => {
  using dir = scratch();
  const path = dir.join("app.db");
  assert.ok(findError(await refusal(dir.join("none.db")), NotFoundError));

  writeFileSync(path, noise(16_384));
  const stranger = await refusal(path);
  assert.match(stranger.message, /not a SQLite database, or it is encrypted at rest/);
  assert.ok(findError(stranger, IntegrityError));

  writeFileSync(path, "");
  assert.match((await refusal(path)).message, /is empty, 0 bytes/);

  Deno.removeSync(path);
  makeDatabase(path, 400);
  const bytes = readFileSync(path);
  bytes.fill(0xa5, 4096 * 5, 4096 * 6);
  writeFileSync(path, bytes);
  const damaged = await refusal(path);
  assert.match(damaged.message, /damaged/);
  assert.ok(findError(damaged, IntegrityError));
  await drain(await collect.sqlite(path, { check: "off" }).run(undefined, testContext()));

  Deno.removeSync(path);
  makeDatabase(path);
  writeFileSync(`${path}-shm`, "");
  const lost = await refusal(path);
  assert.match(lost.message, /app\.db-wal" is missing while/);
  assert.ok(findError(lost, IntegrityError));
});

Deno.test("sqlite: a lock held too long is named, and the time-out is kept", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 50, "delete");
  const db = new DatabaseSync(dir.join("app.db"));
  db.exec("BEGIN EXCLUSIVE");
  const before = performance.now();
  const error = await refusal(dir.join("app.db"), { timeoutMs: 300 });
  db.exec("ROLLBACK");
  db.close();
  assert.match(error.message, /locked it for longer than timeoutMs/);
  const waited = performance.now() - before;
  assert.ok(waited >= 290, `waited ${waited} ms`);
  assert.equal(findError(error, IntegrityError), undefined);
});

Deno.test("sqlite: rows that break a foreign key are counted, or refused", async () => {
  using dir = scratch();
  const db = new DatabaseSync(dir.join("app.db"), { enableForeignKeyConstraints: false });
  db.exec(
    "CREATE TABLE a(id INTEGER PRIMARY KEY); CREATE TABLE b(a REFERENCES a(id)); INSERT INTO b VALUES (7), (8)",
  );
  db.close();
  const { receipt, warnings } = await backup(planOf(dir));
  assert.equal(receipt.sources[0]!.facts.brokenKeys, 2);
  assert.deepEqual(warnings, { foreignKeys: 1 });
  assert.match(
    (await refusal(dir.join("app.db"), { foreignKeys: "error" })).message,
    /2 row\(s\) .* foreign key/,
  );
  await drain(await collect.sqlite(dir.join("app.db"), { foreignKeys: "off" }).run(undefined, testContext()));
});

Deno.test("sqlite: in place, refused while it is open, then swapped, without the old log", async () => {
  using dir = scratch();
  const path = dir.join("app.db");
  makeDatabase(path, 100);
  const plan = planOf(dir);
  await backup(plan);
  const db = new DatabaseSync(path);
  append(db, 50);
  await assert.rejects(restore(plan, { inPlace: true, conflict: "overwrite" }), (error: Error) => {
    assert.match(error.message, new RegExp(`is open in process ${Deno.pid}`));
    return findError(error, BusyError) !== undefined;
  });
  db.close();
  assert.equal(stateOf(path).seq, 150);

  // A log that a crash left: copied while in use.
  const crashed = new DatabaseSync(path);
  append(crashed, 5);
  const left = ["", "-wal", "-shm"].map((end) => [end, readFileSync(path + end)] as const);
  crashed.close();
  for (const [end, bytes] of left) writeFileSync(path + end, bytes);
  await restore(plan, { inPlace: true, conflict: "overwrite" });
  assert.deepEqual(readdirSync(dir.path).filter((name) => name.startsWith("app.db")), ["app.db"]);
  assert.equal(stateOf(path).seq, 100);

  Deno.removeSync(path);
  for (const end of ["-wal", "-shm"]) writeFileSync(path + end, left[1]![1]);
  await assert.rejects(restore(plan, { inPlace: true }), /a log lies beside it without its database/);
});

Deno.test("sqlite: what does not pass its check does not take the old one's place", async () => {
  using dir = scratch();
  const path = dir.join("app.db");
  makeDatabase(path, 400);
  const good = readFileSync(path);
  const bad = new Uint8Array(good);
  bad.fill(0xa5, 4096 * 5, 4096 * 6);
  writeFileSync(path, bad);
  await backup(planOf(dir, { check: "off" }));
  writeFileSync(path, good);
  await assert.rejects(
    restore(planOf(dir), { inPlace: true, conflict: "overwrite" }),
    (error: Error) => /damaged/.test(error.message) && findError(error, IntegrityError) !== undefined,
  );
  assert.deepEqual(readFileSync(path), good);
  assert.deepEqual(readdirSync(dir.path).filter((name) => name.includes("holdfast")), []);
});

Deno.test("sqlite: cancelled while it copies, nothing is left", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 20_000);
  const stop = new AbortController();
  const progress = (): void => stop.abort();
  await assert.rejects(backup(planOf(dir), { signal: stop.signal, progress }), { name: "AbortError" });
  assert.deepEqual(readdirSync(dir.join("spool")), []);
  assert.equal(stateOf(dir.join("app.db")).seq, 20_000);
});

Deno.test("sqlite: options that make no sense are refused when the stage is made", () => {
  assert.throws(() => collect.sqlite([]), TypeError);
  assert.throws(() => collect.sqlite("a.db", { check: "deep" as "full" }), TypeError);
  assert.throws(() => collect.sqlite("a.db", { foreignKeys: "yes" as "warn" }), TypeError);
  assert.throws(() => collect.sqlite("a.db", { timeoutMs: -1 }), RangeError);
});

Deno.test("sqlite: a copy that is cut on disk is not archived", async () => {
  using dir = scratch();
  makeDatabase(dir.join("app.db"), 100);
  mkdirSync(dir.join("spool"));
  const files = await collect.sqlite(dir.join("app.db"), { spoolDir: dir.join("spool") }).run(
    undefined,
    testContext(),
  );
  for await (const entry of files.entries()) {
    assert.equal(entry.bytes, statSync(dir.join("app.db")).size);
    assert.deepEqual(readdirSync(dir.join("spool")), []);
  }
  truncateSync(dir.join("app.db"), 4096 * 3);
  assert.match((await refusal(dir.join("app.db"))).message, /damaged/);
});
