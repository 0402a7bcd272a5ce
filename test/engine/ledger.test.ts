import { strict as assert } from "node:assert";
import { backup, list, prune, restore, retain, store, verify } from "../../mod.ts";
import { memoryState } from "../../src/context.ts";
import { findError, IntegrityError } from "../../src/errors.ts";
import { decodeReceipt } from "../../src/receipt.ts";
import type { Store } from "../../src/stage.ts";
import { sha256 } from "../../src/bytes.ts";
import { bytesOf, keysOf, planOf, treeScratch, watched } from "./support.ts";

const T0 = new Date("2026-11-20T03:00:00Z");
const hour = (n: number): Date => new Date(T0.getTime() + n * 3600_000);
const idAt = (n: number): string =>
  `app_${hour(n).toISOString().slice(0, 19).replaceAll(":", "-")}Z.tar.zst.age`;

async function receiptAt(target: Store, id: string): Promise<{ parents: readonly string[]; digest: string }> {
  const bytes = await bytesOf(target, `${id}.receipt.json`);
  return { parents: decodeReceipt(bytes, id).parents, digest: sha256(bytes) };
}

Deno.test("each receipt names the one before", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  for (let n = 0; n < 3; n++) await backup(plan, { now: hour(n) });
  const [a, b, c] = await Promise.all([0, 1, 2].map((n) => receiptAt(target, idAt(n))));
  assert.deepEqual(a!.parents, []);
  assert.deepEqual(b!.parents, [a!.digest]);
  assert.deepEqual(c!.parents, [b!.digest]);
});

Deno.test("two heads are joined by the next run", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const other = store.memory();
  const plan = planOf(dir.join("src"), target);
  await backup(plan, { now: hour(0) });
  // Another host, which saw the first backup only, writes at the same time: its object appears afterwards.
  for await (const item of target.list("app_")) await other.put(item.key, await bytesOf(target, item.key));
  await backup(planOf(dir.join("src"), other), { now: hour(2) });
  await backup(plan, { now: hour(1) });
  for await (const item of other.list(idAt(2))) await target.put(item.key, await bytesOf(other, item.key));
  await backup(plan, { now: hour(3) });
  const heads = await Promise.all([1, 2].map(async (n) => (await receiptAt(target, idAt(n))).digest));
  assert.deepEqual((await receiptAt(target, idAt(3))).parents, heads.sort());
});

Deno.test("a backup deleted from the middle is noticed", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  for (let n = 0; n < 3; n++) await backup(plan, { now: hour(n) });
  for (const key of await keysOf(target)) if (key.startsWith(idAt(1))) await target.delete(key);
  await assert.rejects(verify(plan), /the receipt before .* is gone/);
});

Deno.test("deletion of the newest is noticed by a host that remembers it, and not claimed to be fine by one that does not", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  const state = memoryState();
  for (let n = 0; n < 2; n++) await backup(plan, { now: hour(n), state });
  assert.equal((await verify(plan, { state })).ledger, "ok");
  for (const key of await keysOf(target)) if (key.startsWith(idAt(1))) await target.delete(key);
  assert.equal((await verify(plan)).ledger, "cannot tell");
  await assert.rejects(verify(plan, { state }), (error) => findError(error, IntegrityError) !== undefined);
});

Deno.test("what went missing stays evidence through later backups, until it is accepted", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  const state = memoryState();
  for (let n = 0; n < 2; n++) await backup(plan, { now: hour(n), state });
  for (const key of await keysOf(target)) if (key.startsWith(idAt(1))) await target.delete(key);
  for (let n = 2; n < 4; n++) await backup(plan, { now: hour(n), state });
  const missing = new RegExp(`"${idAt(1)}" is gone`);
  await assert.rejects(verify(plan, { state }), missing);
  await assert.rejects(verify(plan, { state }), missing);
  assert.equal((await verify(plan, { state, accept: true, now: hour(4) })).ledger, "ok");
  assert.equal((await verify(plan, { state })).ledger, "ok");
  await backup(plan, { now: hour(5), state });
  assert.equal((await verify(plan, { state })).ledger, "ok");
});

Deno.test("restore of the latest says when a newer one is damaged, and list shows a cut archive as damaged", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  for (let n = 0; n < 2; n++) await backup(plan, { now: hour(n) });
  await target.delete(idAt(1));
  const warnings: string[] = [];
  const log = {
    info: () => {},
    warn: (kind: string, text: string) => void warnings.push(`${kind}: ${text}`),
  };
  const { id } = await restore(plan, { into: dir.join("out"), log });
  assert.equal(id, idAt(0));
  assert.ok(warnings.some((text) => text.startsWith("evidence") && text.includes(idAt(1))), String(warnings));
  await target.put(idAt(0), (await bytesOf(target, idAt(0))).subarray(1));
  assert.deepEqual((await list(plan)).map((item) => item.state), ["damaged", "damaged"]);
});

Deno.test("list shows the stores that can be read, and warns of one that cannot", async () => {
  using dir = treeScratch();
  const target = store.memory();
  await backup(planOf(dir.join("src"), target), { now: hour(0) });
  const warnings: string[] = [];
  const log = { info: () => {}, warn: (kind: string) => void warnings.push(kind) };
  const away = store.directory(dir.join("away/store"));
  assert.equal((await list(planOf(dir.join("src"), [away, target]), { log })).length, 1);
  assert.deepEqual(warnings, ["target"]);
  await assert.rejects(list(planOf(dir.join("src"), away)), /away/);
});

Deno.test("a renamed backup is refused", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  await backup(plan, { now: hour(0) });
  for (const key of await keysOf(target)) {
    if (key.startsWith(idAt(0))) await target.put(key.replace(idAt(0), idAt(9)), await bytesOf(target, key));
  }
  await assert.rejects(verify(plan), /renamed or swapped/);
});

Deno.test("prune leaves tombstones, and the ledger still verifies", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const state = memoryState();
  const plan = planOf(dir.join("src"), target).pipe(prune({ keepLast: 2 }));
  for (let n = 0; n < 5; n++) await backup(plan, { now: hour(n), state });
  const items = await list(plan);
  assert.deepEqual(items.map((item) => item.id), [idAt(3), idAt(4)]);
  assert.equal((await verify(plan, { state })).ledger, "ok");
  assert.equal((await verify(plan)).ledger, "cannot tell");
});

Deno.test("the newest verified backup stays, however old", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const bare = planOf(dir.join("src"), target);
  await backup(bare, { now: hour(0) });
  await verify(bare, { level: "full", now: hour(1) });
  const plan = bare.pipe(prune({ keepLast: 1 }));
  for (let n = 2; n < 5; n++) await backup(plan, { now: hour(n) });
  assert.deepEqual((await list(plan)).map((item) => item.id), [idAt(0), idAt(4)]);
});

Deno.test("retain() without confirm only decides", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  for (let n = 0; n < 3; n++) await backup(plan, { now: hour(n) });
  const before = await keysOf(target);
  const verdicts = await retain(plan.pipe(prune({ keepLast: 1 })), { now: hour(4) });
  assert.deepEqual(verdicts.filter((verdict) => !verdict.keep).map((verdict) => verdict.id).sort(), [
    idAt(0),
    idAt(1),
  ]);
  assert.deepEqual(await keysOf(target), before);
});

Deno.test("a prune that dies at any call is finished by a later one, and the ledger verifies at every point", async () => {
  using dir = treeScratch();
  const probe = store.memory();
  const fill = async (target: Store): Promise<void> => {
    for (let n = 0; n < 4; n++) await backup(planOf(dir.join("src"), target), { now: hour(n) });
  };
  const pruned = (target: Store): ReturnType<typeof planOf> =>
    planOf(dir.join("src"), target).pipe(prune({ keepLast: 2 }));
  await fill(probe);
  const counting = watched(probe);
  await retain(pruned(counting), { confirm: true, now: hour(5) });
  const wanted = (await keysOf(probe)).filter((key) => !key.endsWith(".prune.json"));
  for (let failAt = 1; failAt <= counting.log.length; failAt++) {
    const target = store.memory();
    await fill(target);
    await retain(pruned(watched(target, { failAt, except: ".lease" })), { confirm: true, now: hour(5) })
      .catch(() => {});
    await verify(planOf(dir.join("src"), target));
    await retain(pruned(target), { confirm: true, now: hour(6) });
    await verify(planOf(dir.join("src"), target));
    const keys = (await keysOf(target)).filter((key) => !key.endsWith(".prune.json"));
    assert.deepEqual(keys, wanted, `died at call ${failAt}`);
  }
});

Deno.test("names that do not belong are never touched", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const foreign = [
    "app_notes.txt",
    "app_2026-13-40T99-00-00Z.tar",
    "appendix_2026-01-01T00-00-00Z.tar.zst.age",
    "x/app_y",
  ];
  for (const key of foreign) await target.put(key, new Uint8Array([1]));
  const plan = planOf(dir.join("src"), target).pipe(prune({ keepLast: 1 }));
  for (let n = 0; n < 3; n++) await backup(plan, { now: hour(n) });
  const keys = await keysOf(target);
  for (const key of foreign) assert.ok(keys.includes(key), key);
});

Deno.test("a host that was away for several prunes finds what it had seen among their tombstones", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  const [away, busy] = [memoryState(), memoryState()];
  await backup(plan, { now: hour(0), state: away });
  const pruned = plan.pipe(prune({ keepLast: 1 }));
  for (let n = 1; n < 5; n++) await backup(pruned, { now: hour(n), state: busy });
  await verify(plan, { now: hour(6), state: away });
  for (const key of (await keysOf(target)).filter((key) => key.endsWith(".prune.json")).slice(0, 3)) {
    await target.delete(key);
  }
  await assert.rejects(verify(plan, { now: hour(6), state: busy }), IntegrityError);
});
