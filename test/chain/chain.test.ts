/** The walk through the whole ledger: whole, missing, changed, unexplained, out of order, left over, unsigned; and at scale. */
import { strict as assert } from "node:assert";
import { backup, chain, store, verify } from "../../mod.ts";
import type { Plan, Store, StoreItem } from "../../mod.ts";
import { sha256 } from "../../src/bytes.ts";
import { memoryState } from "../../src/context.ts";
import { announce, headOf } from "../../src/ledger.ts";
import { type BackupReceipt, decodeReceipt, encodeReceipt } from "../../src/receipt.ts";
import { lines, run } from "../cli/support.ts";
import { bytesOf, keysOf, planOf, treeScratch } from "../engine/support.ts";
import { planOf as signedPlan } from "../rotate/support.ts";
import { fresh } from "../rotate/support.ts";
import { testContext } from "../support.ts";

const T0 = Date.UTC(2026, 10, 20, 3);
const hour = (n: number): Date => new Date(T0 + n * 3_600_000);
const idAt = (n: number): string =>
  `app_${hour(n).toISOString().slice(0, 19).replaceAll(":", "-")}Z.tar.zst.age`;

/** Three backups, a sweep that removed a fourth, two more; the plan, and a state that has seen it all. */
async function ledger(
  source: string,
  target: Store,
): Promise<{ plan: Plan; state: ReturnType<typeof memoryState> }> {
  const plan = planOf(source, target);
  const state = memoryState();
  for (const n of [0, 1, 2]) await backup(plan, { now: hour(n), state });
  const heads = await Promise.all(
    [0, 1, 2].map(async (n) => headOf(idAt(n), await bytesOf(target, `${idAt(n)}.receipt.json`))),
  );
  const context = { ...testContext(), state, now: hour(3) };
  await announce(target, plan.shelf!, context, {
    event: "prune",
    tombstones: [heads[0]!],
    live: heads.slice(1),
  });
  for (const key of await keysOf(target)) if (key.startsWith(idAt(0))) await target.delete(key);
  for (const n of [4, 5]) await backup(plan, { now: hour(n), state });
  await verify(plan, { state, now: hour(6) });
  return { plan, state };
}

type Row = readonly [
  string,
  (target: Store) => Promise<void>,
  "missing" | "unexplained" | "outOfOrder" | "leftovers",
  RegExp,
];

async function remove(target: Store, id: string): Promise<void> {
  for (const key of await keysOf(target)) if (key.startsWith(id)) await target.delete(key);
}

async function change(target: Store, n: number, edit: (receipt: BackupReceipt) => object): Promise<void> {
  const key = `${idAt(n)}.receipt.json`;
  const receipt = decodeReceipt(await bytesOf(target, key), idAt(n)) as BackupReceipt;
  await target.put(key, encodeReceipt({ ...receipt, ...edit(receipt) }));
}

const TABLE: readonly Row[] = [
  [
    "one that the sweep kept is gone",
    (to) => remove(to, idAt(1)),
    "missing",
    /04-00-00Z[^ ]* is gone, which "app_.*prune/,
  ],
  [
    "one that the sweep kept is another",
    (to) => change(to, 1, () => ({ warnings: { odd: 1 } })),
    "missing",
    /is not what it was when/,
  ],
  [
    "one after the sweep is gone",
    (to) => remove(to, idAt(4)),
    "missing",
    /the receipt before "app_2026-11-20T08/,
  ],
  [
    "the newest is gone",
    (to) => remove(to, idAt(5)),
    "missing",
    /08-00-00Z[^ ]* is gone, which this host had seen/,
  ],
  [
    "one appears that leads nowhere",
    async (to) => {
      const receipt = decodeReceipt(await bytesOf(to, `${idAt(5)}.receipt.json`), idAt(5));
      await to.put(`${idAt(9)}.receipt.json`, encodeReceipt({ ...receipt, id: idAt(9), parents: [] }));
    },
    "unexplained",
    /12-00-00Z[^ ]* names nothing before it/,
  ],
  [
    "one is renamed",
    async (to) => {
      await to.put(`${idAt(9)}.receipt.json`, new Uint8Array(await bytesOf(to, `${idAt(5)}.receipt.json`)));
    },
    "unexplained",
    /renamed or swapped/,
  ],
  [
    "one is no receipt",
    (to) => to.put(`${idAt(9)}.receipt.json`, new TextEncoder().encode("{}")),
    "unexplained",
    /Cannot read the receipt/,
  ],
  [
    "one is dated before its parent",
    async (to) => {
      await change(to, 5, () => ({ completedAt: "2020-01-01T00:00:00Z" }));
    },
    "outOfOrder",
    /08-00-00Z[^ ]* is dated before "app_2026-11-20T07/,
  ],
];

Deno.test("verify --chain: a whole ledger is whole, on this host and on one that has seen nothing", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const { plan, state } = await ledger(dir.join("src"), target);
  const [found] = await chain(plan, { state });
  assert.deepEqual([found!.missing, found!.unexplained, found!.outOfOrder, found!.leftovers], [
    [],
    [],
    [],
    [],
  ]);
  assert.deepEqual([found!.receipts, found!.ledger, found!.from?.endsWith(".prune.json")], [5, "ok", true]);
  assert.equal((await chain(plan))[0]!.ledger, "cannot tell");
  const head = headOf(idAt(5), await bytesOf(target, `${idAt(5)}.receipt.json`));
  await remove(target, idAt(5));
  assert.match((await chain(plan, { heads: [head] }))[0]!.missing.join(), /the head you gave/);
});

for (const [name, attack, where, says] of TABLE) {
  Deno.test(`verify --chain: ${name}`, async () => {
    using dir = treeScratch();
    const target = store.memory();
    const { plan, state } = await ledger(dir.join("src"), target);
    await attack(target);
    const [found] = await chain(plan, { state });
    assert.match(found![where].join("\n"), says, JSON.stringify(found));
  });
}

Deno.test("verify --chain: what was announced as removed and is there is left over", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const kept = new Map<string, Uint8Array>();
  const watching: Store = {
    ...target,
    delete: async (key) => {
      if (key.startsWith(idAt(0)) && !key.endsWith(".intent")) kept.set(key, await bytesOf(target, key));
      await target.delete(key);
    },
  };
  const { plan, state } = await ledger(dir.join("src"), watching);
  for (const [key, bytes] of kept) await target.put(key, new Uint8Array(bytes));
  const [found] = await chain(plan, { state });
  assert.match(found!.leftovers.join(), /03-00-00Z[^ ]* was announced as removed/);
  assert.deepEqual(found!.missing, []);
});

Deno.test("verify --chain: a head that nobody trusted has signed is unexplained", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = signedPlan(dir.join("src"), target, fresh.recipient, fresh.identity);
  for (const n of [0, 1]) await backup(plan, { now: hour(n) });
  assert.deepEqual((await chain(plan))[0]!.unexplained, []);
  await target.delete(`${idAt(1)}.receipt.json.minisig`);
  assert.match((await chain(plan))[0]!.unexplained.join(), /is not signed/);
});

Deno.test("task verify --chain: lines, --json and exit codes", async () => {
  using dir = treeScratch();
  const user = { home: dir.path, cwd: dir.path };
  const target = store.directory(dir.join("backups"));
  await ledger(dir.join("src"), target);
  const whole = await run(user, "verify", ["--chain"]);
  assert.equal(whole.code, 0, whole.err);
  assert.match(whole.out, /5 receipts, from "app_.*prune\.json": the chain is whole {2}ledger: cannot tell/);
  await remove(target, idAt(4));
  const broken = await run(user, "verify", ["--chain", "--json"]);
  assert.equal(broken.code, 5, broken.err);
  assert.equal(lines(broken.out)[0].missing.length, 1);
  assert.equal((await run(user, "verify", ["--chain", "--accept"])).code, 2);
});

Deno.test({
  name: "verify --chain: 87,600 hourly receipts with their events, 20 ms a request, in under 90 s",
  ignore: Deno.env.get("HOLDFAST_SOAK") !== "1",
  fn: async () => {
    using dir = treeScratch();
    const inner = store.memory();
    const plan = planOf(dir.join("src"), inner);
    await backup(plan, { now: hour(0) });
    let last = await bytesOf(inner, `${idAt(0)}.receipt.json`);
    const first = decodeReceipt(last, idAt(0)) as BackupReceipt;
    let count = 1;
    const put = async (id: string, key: string, more: object): Promise<void> => {
      last = encodeReceipt({ ...first, id, parents: [sha256(last)], ...more } as BackupReceipt);
      await inner.put(key, last);
      count++;
    };
    for (let n = 1; n < 87_600; n++) {
      await inner.put(idAt(n), new Uint8Array(1));
      await put(idAt(n), `${idAt(n)}.receipt.json`, {});
      if (n % 168 !== 0) continue;
      const id = idAt(n).replace(/\.tar.*/, ".verify.json");
      const { schema, name, run, createdAt, completedAt, outcome } = first;
      last = encodeReceipt({
        schema,
        name,
        run,
        createdAt,
        completedAt,
        outcome,
        id,
        event: "verify",
        parents: [sha256(last)],
        subject: { id: idAt(n), sha256: sha256(last) },
        facts: {},
      });
      await inner.put(id, last);
      count++;
    }
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
    const slow: Store = {
      ...inner,
      get: (key, range) => pause().then(() => inner.get(key, range)),
      head: (key) => pause().then(() => inner.head(key)),
      list: async function* (prefix): AsyncGenerator<StoreItem> {
        let n = 0;
        for await (const item of inner.list(prefix)) {
          if (n++ % 1000 === 0) await pause();
          yield item;
        }
      },
    };
    const started = Date.now();
    const [found] = await chain(planOf(dir.join("src"), slow));
    const seconds = (Date.now() - started) / 1000;
    console.log(`      ${count} receipts in ${seconds.toFixed(1)} s`);
    assert.deepEqual([found!.receipts, found!.missing, found!.unexplained], [count, [], []]);
    assert.ok(seconds < 90, `${seconds} s`);
  },
});
