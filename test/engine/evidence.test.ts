/** What a hostile or careless hand does to a store: said, survived, and never taken for fine. */
import { strict as assert } from "node:assert";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import {
  archive,
  backup,
  cat,
  collect,
  compress,
  drill,
  encrypt,
  health,
  list,
  pipeline,
  prune,
  restore,
  sign,
  store,
  upload,
  verify,
} from "../../mod.ts";
import { readAll, text } from "../../src/bytes.ts";
import { memoryState } from "../../src/context.ts";
import { ConfigError, findError, IntegrityError, StoreError } from "../../src/errors.ts";
import type { Stage, Store, U8 } from "../../src/stage.ts";
import { sh } from "../support.ts";
import { bytesOf, keysOf, planOf, treeScratch } from "./support.ts";

const T0 = new Date("2026-11-20T03:00:00Z");
const hour = (n: number): Date => new Date(T0.getTime() + n * 3600_000);
const idAt = (n: number): string =>
  `app_${hour(n).toISOString().slice(0, 19).replaceAll(":", "-")}Z.tar.zst.age`;

/** A log that keeps what it is told. */
function listening(): {
  said: string[];
  log: { info: (text: string) => void; warn: (kind: string, text: string) => void };
} {
  const said: string[] = [];
  return {
    said,
    log: {
      info: (text) => void said.push(`info: ${text}`),
      warn: (kind, text) => void said.push(`${kind}: ${text}`),
    },
  };
}

async function remove(target: Store, id: string): Promise<void> {
  for (const key of await keysOf(target)) if (key.startsWith(id)) await target.delete(key);
}

async function flip(target: Store, key: string): Promise<void> {
  const bytes = await bytesOf(target, key);
  bytes[bytes.length >> 1]! ^= 4;
  await target.put(key, bytes);
}

Deno.test("backup() says when the newest backup this host knew has gone", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const state = memoryState();
  const plan = planOf(dir.join("src"), target);
  for (let n = 0; n < 2; n++) await backup(plan, { now: hour(n), state });
  await remove(target, idAt(1));
  const { said, log } = listening();
  assert.equal((await backup(plan, { now: hour(2), state, log })).status, "warnings");
  assert.ok(said.some((text) => text.startsWith("evidence") && text.includes(idAt(1))), said.join());
});

Deno.test("restore() and cat() do not take an older backup for the newest that this host has seen", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const state = memoryState();
  const plan = planOf(dir.join("src"), target);
  for (let n = 0; n < 2; n++) await backup(plan, { now: hour(n), state });
  await remove(target, idAt(1));
  const path = "src/docs/readme.md";
  const read = async (id: string): Promise<U8> => await readAll(await cat(plan, { id, path, state }), 1000);
  const why = (error: unknown): boolean => {
    const message = findError(error, IntegrityError)?.message ?? assert.fail(String(error));
    return message.includes(`Cannot take "${idAt(0)}" for the newest`) && message.includes(`"${idAt(1)}"`);
  };
  await assert.rejects(read("latest"), why);
  await assert.rejects(restore(plan, { into: dir.join("out"), state }), why);
  await assert.rejects(restore(plan, { at: new Date("2100-01-01"), into: dir.join("out"), state }), why);
  assert.equal(text(await read(idAt(0))), readFileSync(dir.join(path), "utf8"));
  await restore(plan, { id: idAt(0), into: dir.join("out"), state });
});

Deno.test("restore() and health() miss the newest backup also when it was verified before it went", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const state = memoryState();
  const plan = planOf(dir.join("src"), target);
  for (let n = 0; n < 2; n++) await backup(plan, { now: hour(n), state });
  await verify(plan, { level: "full", now: hour(2), state });
  assert.deepEqual((await health(plan, { now: hour(3), state })).findings, []);
  await remove(target, idAt(1));
  await assert.rejects(
    restore(plan, { into: dir.join("out"), state }),
    /Cannot take .* is gone and no prune/,
  );
  assert.deepEqual((await health(plan, { now: hour(3), state })).findings.map(({ code }) => code), [
    "vanished",
  ]);
  await verify(plan, { accept: true, now: hour(4), state });
  await restore(plan, { into: dir.join("out"), state });
  assert.deepEqual((await health(plan, { now: hour(4), state })).findings, []);
});

Deno.test("verify() names a target that lacks the newest backup, and fails when that target had it", async () => {
  using dir = treeScratch();
  const [a, b] = [store.directory(dir.join("a")), store.directory(dir.join("b"))];
  const state = memoryState();
  const plan = planOf(dir.join("src"), [a, b]);
  for (let n = 0; n < 2; n++) await backup(plan, { now: hour(n), state });
  await remove(b, idAt(1));
  const { said, log } = listening();
  assert.deepEqual((await verify(plan, { log })).stores, [a.url]);
  assert.ok(said.some((text) => text.startsWith("behind") && text.includes(b.url)), said.join());
  await assert.rejects(verify(plan, { state }), /is gone, which this host had seen/);
});

Deno.test("restore() goes on with the next copy when one is damaged, receipt or archive", async () => {
  using dir = treeScratch();
  for (const suffix of ["", ".receipt.json", ".sha256"]) {
    const [a, b] = [store.memory(), store.directory(dir.join(`b${suffix}`))];
    const plan = planOf(dir.join("src"), [a, b]);
    await backup(plan, { now: T0 });
    await flip(a, idAt(0) + suffix);
    const { said, log } = listening();
    await restore(plan, { into: dir.join(`out${suffix}`), log });
    sh(`diff -r --no-dereference '${dir.join("src")}' '${dir.join(`out${suffix}`)}/src'`);
    assert.ok(said.some((text) => text.startsWith("copy")), `${suffix}: ${said.join()}`);
    await assert.rejects(verify(plan, { level: "full" }), `${suffix}: verify must still fail`);
  }
});

Deno.test("a damaged old receipt stops neither a backup nor a prune, and is named", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  for (let n = 0; n < 3; n++) await backup(plan, { now: hour(n) });
  await target.put(`${idAt(0)}.receipt.json`, new TextEncoder().encode("{"));
  const { said, log } = listening();
  await backup(plan.pipe(prune({ keepLast: 1 })), { now: hour(4), log });
  assert.ok(said.some((text) => text.startsWith("evidence") && text.includes(idAt(0))), said.join());
  const ids = (await list(plan)).map((item) => `${item.id} ${item.state}`);
  assert.deepEqual(ids, [`${idAt(0)} damaged`, `${idAt(4)} complete`], "what cannot be read stays");
  await assert.rejects(verify(plan), new RegExp(idAt(0)));
  assert.equal((await verify(plan, { accept: true, now: hour(5) })).ledger, "ok");
});

Deno.test("two targets that are one folder are refused before anything is read", async () => {
  using dir = treeScratch();
  mkdirSync(dir.join("a"));
  symlinkSync("a", dir.join("b"));
  const plan = planOf(dir.join("src"), [store.directory(dir.join("a")), store.directory(dir.join("b"))]);
  await assert.rejects(
    backup(plan),
    (error) => /same folder/.test(findError(error, ConfigError)?.message ?? ""),
  );
});

Deno.test("a store inside the source is left out, and said; the store itself cannot be the source", async () => {
  using dir = treeScratch();
  const target = store.directory(dir.join("src/docs/backups"));
  const plan = planOf(dir.join("src"), target);
  const { said, log } = listening();
  const sizes: number[] = [];
  for (let n = 0; n < 3; n++) {
    const { receipt, status } = await backup(plan, { now: hour(n), log });
    assert.equal(status, "complete");
    sizes.push(receipt.contents.entries);
  }
  assert.deepEqual(sizes, [7, 7, 7]);
  assert.ok(said.includes('info: Left out "src/docs/backups": it is the store of this backup'), said.join());
  await assert.rejects(
    backup(planOf(dir.join("src/docs/backups"), target), { now: hour(9) }),
    /store of this backup/,
  );
});

Deno.test("RESTORE.txt picks a backup of its own name, not of one that begins alike", async () => {
  using dir = treeScratch();
  writeFileSync(dir.join("other"), "other");
  const target = store.directory(dir.join("store"));
  const plain = (source: string, name: string): ReturnType<typeof planOf> =>
    pipeline(collect.files(source)).pipe(archive.tar()).pipe(compress.zstd()).pipe(encrypt.plaintext())
      .pipe(sign.sha256()).pipe(upload({ name, to: target }));
  await backup(plain(dir.join("src"), "s"), { now: hour(0) });
  await backup(plain(dir.join("other"), "s_b"), { now: hour(1) });
  sh(await Deno.readTextFile(dir.join("store/s.RESTORE.txt")), { cwd: dir.join("store") });
  sh(`diff -r --no-dereference '${dir.join("src")}' '${dir.join("store/restored/src")}'`);
});

Deno.test("RESTORE.txt unpacks nothing when the checksum does not agree", async () => {
  using dir = treeScratch();
  const target = store.directory(dir.join("store"));
  const plan = pipeline(collect.files(dir.join("src"))).pipe(archive.tar()).pipe(compress.gzip()).pipe(
    encrypt.plaintext(),
  )
    .pipe(sign.sha256()).pipe(upload({ name: "s", to: target }));
  const { id } = await backup(plan, { now: hour(0) });
  await flip(target, id);
  assert.throws(() => sh(`sh s.RESTORE.txt`, { cwd: dir.join("store") }));
  sh(`test ! -e '${dir.join("store/restored")}'`);
});

Deno.test("a proof stands when it cannot be recorded", async () => {
  using dir = treeScratch();
  const inner = store.memory();
  const plan = planOf(dir.join("src"), inner);
  await backup(plan, { now: T0 });
  const readOnly: Store = {
    ...inner,
    put: () => Promise.reject(new StoreError("Cannot write: mounted read-only")),
  };
  const { said, log } = listening();
  assert.equal((await verify(planOf(dir.join("src"), readOnly), { level: "full", log })).entries, 7);
  await drill(planOf(dir.join("src"), readOnly), { log });
  assert.equal(said.filter((text) => text.startsWith("record")).length, 2, said.join());
});

Deno.test("a backup to quite other keys than the one before is said", async () => {
  using dir = treeScratch();
  const target = store.memory();
  await backup(planOf(dir.join("src"), target), { now: T0 });
  const { recipient } = await encrypt.generateIdentity();
  const plan = pipeline(collect.files(dir.join("src"))).pipe(archive.tar()).pipe(
    encrypt.age({ recipients: [recipient] }),
  )
    .pipe(upload({ name: "app", to: target }));
  const { said, log } = listening();
  await backup(plan, { now: hour(1), log });
  assert.ok(said.some((text) => text.startsWith("recipients")), said.join());
  const again = listening();
  await backup(plan, { now: hour(2), log: again.log });
  assert.deepEqual(again.said.filter((text) => text.startsWith("recipients")), []);
});

Deno.test("pipe() refuses a wrong order at run time too, for plans that nobody has compiled", () => {
  // deno-lint-ignore no-explicit-any -- what an unchecked plan amounts to
  const loose = (stage: unknown): Stage<any, any> => stage as Stage<any, any>;
  const start = pipeline(loose(collect.files("."))).pipe(loose(archive.tar()));
  const wrong: [string, () => unknown][] = [
    ["upload after archive", () => start.pipe(loose(upload({ name: "a", to: store.memory() })))],
    ["sign after compress", () => start.pipe(loose(compress.zstd())).pipe(loose(sign.sha256()))],
    ["compress after encrypt", () => start.pipe(loose(encrypt.plaintext())).pipe(loose(compress.zstd()))],
    ["encrypt after encrypt", () => start.pipe(loose(encrypt.plaintext())).pipe(loose(encrypt.plaintext()))],
    [
      "prune after sign",
      () =>
        start.pipe(loose(encrypt.plaintext())).pipe(loose(sign.sha256())).pipe(loose(prune({ keepLast: 1 }))),
    ],
    ["archive after archive", () => start.pipe(loose(archive.tar()))],
  ];
  for (const [what, make] of wrong) {
    assert.throws(make, /TypeError: Cannot put .* The order is collect, archive/, what);
  }
});
