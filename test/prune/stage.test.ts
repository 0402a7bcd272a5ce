/** Retention on a store: what is read, what counts, what is refused. */
import { strict as assert } from "node:assert";
import { backup, drill, list, planDigest, prune, retain, store, verify } from "../../mod.ts";
import type { Plan, Policy, Store, Verdict } from "../../mod.ts";
import { memoryState } from "../../src/context.ts";
import { StoreError } from "../../src/errors.ts";
import { formatName } from "../../src/name.ts";
import { faulty } from "../../src/testing/mod.ts";
import { bytesOf, keysOf, planOf, treeScratch, watched } from "../engine/support.ts";

const hour = (n: number): Date => new Date(Date.UTC(2026, 10, 20, n));
const idAt = (n: number): string => formatName("app", hour(n), ".tar.zst.age");
const going = (verdicts: readonly Verdict[]): string[] =>
  verdicts.filter(({ keep }) => !keep).map(({ id }) => id).sort();
const complete = async (plan: Plan): Promise<string[]> =>
  (await list(plan)).filter(({ state }) => state === "complete").map(({ id }) => id);

interface Filled extends Disposable {
  readonly plan: Plan;
  readonly target: Store;
  /** The plan with retention, on another store. */
  readonly on: (at: Store, policy: Policy) => Plan;
  readonly pruned: (policy: Policy) => Plan;
}

/** A store with backups of so many hours, from 00:00. */
async function filled(hours: number, target: Store = store.memory()): Promise<Filled> {
  const dir = treeScratch();
  const plan = planOf(dir.join("src"), target);
  for (let n = 0; n < hours; n++) await backup(plan, { now: hour(n) });
  const on = (at: Store, policy: Policy): Plan => planOf(dir.join("src"), at).pipe(prune(policy));
  return {
    plan,
    target,
    on,
    pruned: (policy: Policy) => on(target, policy),
    [Symbol.dispose]: dir[Symbol.dispose],
  };
}

Deno.test("a dry run reads the receipts of what stays, and no other", async () => {
  using shelf = await filled(8);
  const seen = watched(shelf.target);
  const verdicts = await retain(shelf.on(seen, { keepLast: 2 }), { now: hour(9) });
  assert.equal(going(verdicts).length, 6);
  assert.deepEqual(
    seen.log.filter((call) => call.startsWith("get")).sort(),
    [6, 7].map((n) => `get ${idAt(n)}.receipt.json`),
  );
  assert.ok(seen.log.every((call) => !/^(put|delete)/.test(call)));
});

Deno.test("the newest verified is found from the newest proof back, and stays", async () => {
  using shelf = await filled(8);
  for (const n of [1, 2, 3]) await verify(shelf.plan, { id: idAt(n), level: "full", now: hour(8 + n) });
  const seen = watched(shelf.target);
  const verdicts = await retain(shelf.on(seen, { keepLast: 1 }), { now: hour(12) });
  assert.deepEqual(verdicts.filter(({ keep }) => keep).map(({ id, reasons }) => [id, reasons.at(-1)]), [
    [idAt(7), "newest"],
    [idAt(3), "newest verified"],
  ]);
  await drill(shelf.plan, { id: idAt(5), now: hour(13) });
  // What was made after every older proof needs none of them.
  await backup(shelf.plan, { now: hour(14) });
  await verify(shelf.plan, { level: "full", now: hour(15) });
  const again = watched(shelf.target);
  await retain(shelf.on(again, { keepLast: 1 }), { now: hour(16) });
  assert.equal(again.log.filter((call) => /^get .*(verify|drill)\.json$/.test(call)).length, 1);
});

Deno.test("a verified backup from the future, where a clock was wrong, does not cost the newest verified one its place", async () => {
  using shelf = await filled(4);
  await verify(shelf.plan, { id: idAt(1), level: "full", now: hour(4) });
  await backup(shelf.plan, { now: hour(20) });
  await verify(shelf.plan, { id: idAt(20), level: "full", now: hour(21) });
  const verdicts = await retain(shelf.pruned({ keepLast: 1 }), { now: hour(5) });
  assert.deepEqual(going(verdicts), [idAt(0), idAt(2)]);
});

Deno.test("a proof of other bytes than those that are there proves nothing", async () => {
  using shelf = await filled(3);
  await verify(shelf.plan, { id: idAt(0), level: "full", now: hour(4) });
  const receipt = `${idAt(0)}.receipt.json`;
  const text = new TextDecoder().decode(await bytesOf(shelf.target, receipt));
  await shelf.target.put(receipt, new TextEncoder().encode(text.replace('"run":"0', '"run":"1')));
  const verdicts = await retain(shelf.pruned({ keepLast: 1 }), { now: hour(5) });
  assert.ok(going(verdicts).includes(idAt(0)));
});

Deno.test("a backup that is shorter than its receipt says takes no whole one's place, and stays", async () => {
  using shelf = await filled(4);
  await shelf.target.put(idAt(3), (await bytesOf(shelf.target, idAt(3))).slice(0, 100));
  const warnings: string[] = [];
  const log = { info: () => {}, warn: (_: string, message: string) => void warnings.push(message) };
  const verdicts = await retain(shelf.pruned({ keepLast: 2 }), { now: hour(5), confirm: true, log });
  assert.deepEqual(verdicts.filter(({ keep }) => keep).map(({ id }) => id), [idAt(2), idAt(1)]);
  assert.match(warnings[0]!, /has 100 of \d+ bytes\. It stays; look into it with `verify`/);
  assert.ok((await keysOf(shelf.target)).includes(`${idAt(3)}.receipt.json`));
});

Deno.test("a proof that cannot be read, and a store that cannot say what it retains, stop a prune", async () => {
  using shelf = await filled(3);
  await verify(shelf.plan, { id: idAt(0), level: "full", now: hour(4) });
  const before = await keysOf(shelf.target);
  const silent = {
    ...shelf.target,
    get: (key: string, options?: Parameters<Store["get"]>[1]) =>
      key.endsWith(".verify.json")
        ? Promise.reject(new StoreError("the network is away"))
        : shelf.target.get(key, options),
  };
  const guarded = { ...shelf.target, retained: () => Promise.reject(new StoreError("the network is away")) };
  for (const at of [silent, guarded]) {
    for (const confirm of [false, true]) {
      const asked = retain(shelf.on(at, { keepLast: 1 }), { now: hour(5), confirm });
      await assert.rejects(asked, /the network is away/);
    }
    assert.deepEqual(await keysOf(shelf.target), before);
  }
});

Deno.test("a verdict says what its removal frees", async () => {
  using shelf = await filled(3);
  const size = async (): Promise<number> => {
    let bytes = 0;
    for await (const item of shelf.target.list("app_")) {
      bytes += item.key.includes(".prune.") ? 0 : item.bytes;
    }
    return bytes;
  };
  const before = await size();
  const verdicts = await retain(shelf.pruned({ keepLast: 1 }), { now: hour(4), confirm: true });
  const freed = verdicts.filter(({ keep }) => !keep).reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(freed > 0);
  assert.equal(before - await size(), freed);
});

Deno.test("the list that was shown is carried out, or nothing is", async () => {
  using shelf = await filled(4);
  const plan = shelf.pruned({ keepLast: 2 });
  const shown = await retain(plan, { now: hour(5) });
  const expect = planDigest(shown);
  assert.equal(planDigest(shown.toReversed()), expect);
  await backup(shelf.plan, { now: hour(5) });
  const before = await keysOf(shelf.target);
  await assert.rejects(
    retain(plan, { now: hour(6), confirm: true, expect }),
    /is no longer what the dry run "[0-9a-f]{16}" showed\. Look at a new dry run\. Nothing was removed/,
  );
  assert.deepEqual(await keysOf(shelf.target), before);
  const again = await retain(plan, { now: hour(6) });
  const done = await retain(plan, { now: hour(7), confirm: true, expect: planDigest(again) });
  assert.deepEqual(done, again);
  assert.deepEqual(await complete(shelf.plan), [idAt(3), idAt(5)]);
});

Deno.test("a list for two stores is refused before either is touched", async () => {
  using shelf = await filled(3);
  const other = store.directory(Deno.makeTempDirSync());
  try {
    const both = planOf(".", [shelf.target, other]).pipe(prune({ keepLast: 1 }));
    for await (const { key } of shelf.target.list()) await other.put(key, await bytesOf(shelf.target, key));
    const shown = await retain(both, { now: hour(4) });
    assert.equal(going(shown).length, 4);
    await other.delete(`${idAt(2)}.receipt.json`);
    const before = await keysOf(shelf.target);
    await assert.rejects(
      retain(both, { now: hour(4), confirm: true, expect: planDigest(shown) }),
      /Nothing was removed/,
    );
    assert.deepEqual(await keysOf(shelf.target), before);
  } finally {
    Deno.removeSync(other.folder!, { recursive: true });
  }
});

Deno.test("a store that changes while it is pruned is left alone", async () => {
  using shelf = await filled(4);
  let lists = 0;
  const changing: Store = {
    ...shelf.target,
    list: async function* (prefix): ReturnType<Store["list"]> {
      // Sweep, plan, and the look before the first deletion.
      if (++lists === 3) {
        await backup(planOf(import.meta.dirname!, shelf.target, { name: "app" }), { now: hour(5) });
      }
      yield* shelf.target.list(prefix);
    } as Store["list"],
  };
  const ids = await complete(shelf.plan);
  const plan = shelf.on({ ...changing, ...apart() }, { keepLast: 1 });
  await assert.rejects(
    retain(plan, { now: hour(6), confirm: true }),
    /has changed since it was decided what to remove\. Another run is at work; prune again\. Nothing was removed/,
  );
  assert.deepEqual(await complete(shelf.plan), [...ids, idAt(5)]);

  /** Leases of its own: the other machine does not see them. */
  function apart(): Pick<Store, "put" | "get" | "delete"> {
    const leases = store.memory();
    const at = (key: string): Store => key.endsWith(".lease") ? leases : shelf.target;
    return {
      put: (key, body, options) => at(key).put(key, body, options),
      get: (key, range) => at(key).get(key, range),
      delete: (key) => at(key).delete(key),
    };
  }
});

Deno.test("a store that lists late is not pruned", async () => {
  using shelf = await filled(0);
  const state = memoryState();
  for (let n = 0; n < 4; n++) await backup(shelf.plan, { now: hour(n), state });
  const late: Store = {
    ...shelf.target,
    list: async function* (prefix): ReturnType<Store["list"]> {
      for await (const item of shelf.target.list(prefix)) if (!item.key.startsWith(idAt(3))) yield item;
    } as Store["list"],
  };
  const plan = shelf.on(late, { keepLast: 1 });
  await assert.rejects(
    retain(plan, { now: hour(6), confirm: true, state }),
    /its listing lacks "app_2026-11-20T03.*", which is there\. The store lists late; prune again in some minutes/,
  );
  assert.equal((await complete(shelf.plan)).length, 4);
});

Deno.test("two machines that prune at once, with other policies and no lease between them, leave whole backups", async () => {
  for (let round = 0; round < 6; round++) {
    using shelf = await filled(6);
    await verify(shelf.plan, { id: idAt(1), level: "full", now: hour(7) });
    const machine = (slow: number): Store => {
      const leases = store.memory();
      const inner = faulty(shelf.target, [{
        on: slow % 2 ? "delete" : "get",
        how: "slow",
        ms: 1 + slow % 3,
      }]);
      const at = (key: string): Store => key.endsWith(".lease") ? leases : inner;
      return {
        ...inner,
        put: (key, body, options) => at(key).put(key, body, options),
        get: (key, range) => at(key).get(key, range),
        delete: (key) => at(key).delete(key),
      };
    };
    const ended = await Promise.allSettled([
      retain(shelf.on(machine(round), { keepLast: 2 }), { now: hour(8), confirm: true }),
      retain(shelf.on(machine(round + 1), { keepLast: 3 }), { now: hour(8), confirm: true }),
    ]);
    assert.ok(ended.some(({ status }) => status === "fulfilled"), JSON.stringify(ended));
    await retain(shelf.pruned({ keepLast: 3 }), { now: hour(9), confirm: true });
    const items = await list(shelf.plan);
    assert.deepEqual(items.filter(({ state }) => state !== "complete"), []);
    const ids = items.map(({ id }) => id);
    for (const n of [1, 5]) assert.ok(ids.includes(idAt(n)), `round ${round}: ${ids}`);
    for (const id of ids) await verify(shelf.plan, { id, level: "full", now: hour(10) });
  }
});

Deno.test("a clock that jumps back removes nothing newer, and one that jumps ahead not the newest", async () => {
  using shelf = await filled(4);
  const back = await retain(shelf.pruned({ keepWithin: "2h" }), { now: hour(1), confirm: true });
  assert.deepEqual(going(back), []);
  const ahead = new Date("2036-01-01T00:00:00Z");
  await retain(shelf.pruned({ keepWithin: "2h" }), { now: ahead, confirm: true });
  assert.ok((await complete(shelf.plan)).includes(idAt(3)));
});
