import { strict as assert } from "node:assert";
import { readFileSync, writeFileSync } from "node:fs";
import {
  backup,
  collect,
  type Entry,
  list,
  pipeline,
  prune,
  restore,
  type Store,
  store,
  verify,
} from "../../mod.ts";
import { BusyError, ExistsError, findError, StageError } from "../../src/errors.ts";
import { standardNaming } from "../../src/name.ts";
import { acquireLease } from "../../src/store/lease.ts";
import { noise, sh, testContext } from "../support.ts";
import { bytesOf, keysOf, planOf, treeScratch, watched } from "./support.ts";

const T0 = new Date("2026-11-20T03:00:00Z");
const ID = "app_2026-11-20T03-00-00Z.tar.zst.age";
const after = (seconds: number): Date => new Date(T0.getTime() + seconds * 1000);

Deno.test("backup() then restore() gives the same tree", async () => {
  using dir = treeScratch();
  const plan = planOf(dir.join("src"), store.directory(dir.join("store")));
  const result = await backup(plan, { now: T0 });
  assert.equal(result.id, ID);
  assert.equal(result.status, "complete");
  await restore(plan, { into: dir.join("out") });
  sh(`diff -r --no-dereference '${dir.join("src")}' '${dir.join("out")}/src'`);
});

Deno.test("backup() writes the intent first, the receipt last, and then removes the intent", async () => {
  using dir = treeScratch();
  const target = watched(store.memory());
  await backup(planOf(dir.join("src"), target), { now: T0 });
  const puts = target.log.filter((line) => /^(put|delete) app_/.test(line));
  assert.deepEqual(puts.map((line) => line.replace(ID, "X")), [
    "put X.intent",
    "put X",
    "put X.sha256",
    "put X.index",
    "put X.receipt.json",
    "delete X.intent",
  ]);
  const lease = target.log.filter((line) => line.includes(".lease"));
  assert.ok(target.log.indexOf(lease[0]!) < target.log.indexOf(`put ${ID}.intent`), "the lease comes first");
});

Deno.test("backup() asks for the room that the last one took, unless it stores only what has changed", async () => {
  for (const since of [undefined, "latest"] as const) {
    using dir = treeScratch();
    writeFileSync(dir.join("src/noise"), noise(500_000));
    const target = store.memory();
    const small = { ...target, space: () => Promise.resolve(400_000) };
    const planTo = (to: Store): ReturnType<typeof planOf> => {
      const source = collect.files(dir.join("src"), since && { since, indexDir: dir.join("since") });
      const chain = pipeline(source) as unknown as ReturnType<typeof planOf>;
      return planOf(dir.join("src"), to).stages.slice(1).reduce((chain, stage) => chain.pipe(stage), chain);
    };
    await backup(planTo(target), { now: T0 });
    writeFileSync(dir.join("src/new"), "new");
    const next = backup(planTo(small), { now: after(3600) });
    if (since) assert.equal((await next).status, "complete");
    else {await assert.rejects(
        next,
        /390\.6 KiB are free, the last backup took 4\d\d\.\d KiB\. Free some space/,
      );}
    assert.equal((await keysOf(target)).filter((key) => key.endsWith(".age")).length, since ? 2 : 1);
  }
});

Deno.test("backup() reads nothing when the target cannot be used", async () => {
  using dir = treeScratch();
  let read = false;
  const plan = pipeline({
    name: "probe",
    run: () =>
      Promise.resolve({
        kind: "files" as const,
        entries: () => {
          read = true;
          throw new Error("read");
        },
        facts: () => ({ sources: [], stages: [] }),
      }),
    undo: () => Promise.resolve(),
  });
  const rest = planOf(dir.join("src"), store.directory(dir.join("no/such/folder")));
  let chain = plan as unknown as typeof rest;
  for (const stage of rest.stages.slice(1)) chain = chain.pipe(stage);
  await assert.rejects(backup(chain), /no\/such/);
  assert.equal(read, false);
});

Deno.test("backup() fails on a name that exists and leaves the object as it is", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  await backup(plan, { now: T0 });
  const before = await bytesOf(target, ID);
  const keys = await keysOf(target);
  await assert.rejects(backup(plan, { now: T0 }), (error) => findError(error, ExistsError) !== undefined);
  assert.deepEqual(await bytesOf(target, ID), before);
  assert.deepEqual(await keysOf(target), keys);
});

Deno.test("backup() whose intent cannot be removed is whole, in every target, and says what stays", async () => {
  using dir = treeScratch();
  const memory = store.memory();
  const stuck = {
    ...memory,
    delete: (key: string) =>
      key.endsWith(".intent") ? Promise.reject(new Error("denied")) : memory.delete(key),
  };
  const seen: string[] = [];
  const log = {
    info: () => {},
    warn: (kind: string, message: string) => void seen.push(`${kind}: ${message}`),
  };
  const plan = planOf(dir.join("src"), [stuck, store.directory(dir.join("store"))]);
  const { status, copies } = await backup(plan, { now: T0, log });
  assert.equal(status, "warnings");
  assert.deepEqual(copies.map(({ error }) => error), [undefined, undefined]);
  assert.deepEqual(seen, [`intent: "${ID}" in ${memory.url} is whole, but a mark of its run stays: denied`]);
  assert.deepEqual((await list(plan)).map(({ state }) => state), ["complete", "complete"]);
  assert.equal((await backup(plan, { now: after(1), log })).copies.length, 2);
});

Deno.test("backup() takes the next second for a name that is taken in this one", async () => {
  using dir = treeScratch();
  const plan = planOf(dir.join("src"), [store.memory(), store.directory(dir.join("store"))]);
  const results = [await backup(plan), await backup(plan), await backup(plan)];
  assert.equal(new Set(results.map(({ id }) => id)).size, 3);
  assert.deepEqual(
    results.map(({ status, copies }) => [status, copies.length]),
    Array(3).fill(["complete", 2]),
  );
  const times = results.map(({ id }) => standardNaming.parse(id)!.time.getTime());
  assert.ok(times[2]! - times[0]! < 60_000 && times[0]! < times[1]! && times[1]! < times[2]!);
  for (const { id } of results) assert.equal((await verify(plan, { id })).stores.length, 2);
  // To the retention of its own run such a backup is not one from the future.
  const last = await backup(plan.pipe(prune({ keepLast: 1 })));
  assert.ok(
    last.verdicts.every(({ id, keep, reasons }) =>
      keep === (id === last.id) && !reasons.includes("in the future")
    ),
  );
});

Deno.test("backup() fails with BusyError while another run holds the lease, and waits with wait", async () => {
  using dir = treeScratch();
  const target = store.directory(dir.join("store"));
  const plan = planOf(dir.join("src"), target);
  await backup(plan, { now: T0 });
  const { signal, log } = testContext();
  const lease = await acquireLease(target, "app", { run: "01JTEST", signal, log });
  await assert.rejects(
    backup(plan, { now: after(5) }),
    (error) => /01JTEST/.test(findError(error, BusyError)?.message ?? ""),
  );
  const waiting = backup(plan, { now: after(10), wait: true });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await lease.release();
  assert.equal((await waiting).status, "complete");
});

Deno.test("backup() leaves nothing visible whichever store call fails", async () => {
  using dir = treeScratch();
  const clean = watched(store.memory());
  await backup(planOf(dir.join("src"), clean), { now: T0 });
  const calls = clean.log.length;
  let failed = 0;
  for (let failAt = 1; failAt <= calls; failAt++) {
    const inner = store.memory();
    const target = watched(inner, { failAt });
    const plan = planOf(dir.join("src"), target);
    const result = await backup(plan, { now: T0 }).catch((error: Error) => error);
    const keys = (await keysOf(inner)).filter((key) => key.startsWith("app_"));
    if (result instanceof Error) {
      failed++;
      assert.ok(
        !keys.some((key) => key.endsWith(".receipt.json")),
        `call ${failAt}: a failed run is visible: ${keys}`,
      );
      assert.ok(keys.length === 0 || keys.includes(`${ID}.intent`), `call ${failAt} leaves ${keys}`);
    } else {
      assert.ok(keys.includes(`${ID}.receipt.json`));
    }
    const items = await list(planOf(dir.join("src"), inner));
    assert.equal(items.filter((item) => item.state === "complete").length, result instanceof Error ? 0 : 1);
  }
  assert.ok(failed >= 8, `only ${failed} of ${calls} failures were felt`);
});

Deno.test("backup() leaves nothing behind when it is cancelled at any point", async () => {
  using dir = treeScratch();
  writeFileSync(dir.join("src/big.bin"), noise(6 << 20));
  for (let at = 1; at <= 40; at += 3) {
    const inner = store.memory();
    const cancel = new AbortController();
    let steps = 0;
    const target = watched(inner);
    const tick = (): void => {
      if (++steps === at) cancel.abort();
    };
    const progress = tick;
    const result = await backup(planOf(dir.join("src"), target), { now: T0, signal: cancel.signal, progress })
      .catch((error: Error) => error);
    if (!(result instanceof Error)) continue;
    assert.equal(cancel.signal.aborted, true);
    assert.deepEqual((await keysOf(inner)).filter((key) => key.startsWith("app_")), [], `cancelled at ${at}`);
  }
});

Deno.test("backup() to two targets: one failing is reported, the other is complete", async () => {
  using dir = treeScratch();
  const good = store.memory();
  const bad = watched(store.directory(dir.join("bad")), { failAt: 2, only: "put" });
  const plan = planOf(dir.join("src"), [good, bad]);
  const warnings: string[] = [];
  const log = { info: () => {}, warn: (kind: string) => void warnings.push(kind) };
  const result = await backup(plan, { now: T0, log });
  assert.equal(result.status, "warnings");
  assert.deepEqual(warnings, ["target"]);
  assert.deepEqual(result.copies.map((copy) => copy.error !== undefined), [false, true]);
  assert.equal((await keysOf(bad)).filter((key) => key.startsWith("app_")).length, 0);
  const restored = await restore(plan, { into: dir.join("out") });
  assert.equal(restored.id, ID);
});

Deno.test("backup() to two targets stores the same bytes in both, the receipt included", async () => {
  using dir = treeScratch();
  const a = store.memory();
  const b = store.directory(dir.join("b"));
  await backup(planOf(dir.join("src"), [a, b]), { now: T0 });
  const keys = (await keysOf(a)).filter((key) => key.startsWith("app_"));
  assert.deepEqual((await keysOf(b)).filter((key) => key.startsWith("app_")), keys);
  for (const key of keys) assert.deepEqual(await bytesOf(a, key), await bytesOf(b, key), key);
});

Deno.test("backup() fails when every target fails", async () => {
  using dir = treeScratch();
  const bad = (name: string): ReturnType<typeof watched> =>
    watched(store.directory(dir.join(name)), { failAt: 2, only: "put" });
  await assert.rejects(backup(planOf(dir.join("src"), [bad("a"), bad("b")]), { now: T0 }), /Injected/);
});

Deno.test("a failing source names its stage and leaves nothing", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const rest = planOf(dir.join("src"), target);
  let chain = pipeline({
    name: "broken",
    run: () =>
      Promise.resolve({
        kind: "files" as const,
        entries: async function* (): AsyncGenerator<Entry> {
          yield* [];
          await Promise.reject(new Error("disk on fire"));
        },
        facts: () => ({ sources: [], stages: [] }),
      }),
    undo: () => Promise.resolve(),
  }) as unknown as typeof rest;
  for (const stage of rest.stages.slice(1)) chain = chain.pipe(stage);
  await assert.rejects(
    backup(chain, { now: T0 }),
    (error) => error instanceof StageError && /disk on fire/.test(error.message),
  );
  assert.deepEqual((await keysOf(target)).filter((key) => key.startsWith("app_")), []);
});

Deno.test("a run that died is swept after the grace period, not before", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const dead = "app_2026-11-19T03-00-00Z.tar.zst.age";
  await target.put(`${dead}.intent`, new TextEncoder().encode("{}\n"));
  await target.put(dead, noise(100));
  const soon = new Date(Date.now() + 60_000);
  const late = new Date(Date.now() + 25 * 3600_000);
  await backup(planOf(dir.join("src"), target), { now: soon });
  assert.ok((await keysOf(target)).includes(dead));
  await backup(planOf(dir.join("src"), target), { now: late });
  assert.ok(!(await keysOf(target)).some((key) => key.startsWith(dead)));
});

Deno.test("an archive with neither intent nor receipt is evidence: it stays, and is not restored", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  await backup(plan, { now: T0 });
  await target.delete(`${ID}.receipt.json`);
  await backup(plan, { now: after(60 * 60 * 24 * 30) });
  assert.ok((await keysOf(target)).includes(ID));
  await assert.rejects(restore(plan, { id: ID, into: dir.join("out") }), /no receipt/);
});

Deno.test("RESTORE.txt, run as written, gives the same tree", async () => {
  using dir = treeScratch();
  const plan = planOf(dir.join("src"), store.directory(dir.join("store")));
  await backup(plan, { now: T0 });
  const { identity } = await import("./support.ts");
  writeFileSync(dir.join("store/identity.txt"), identity + "\n");
  const script = readFileSync(dir.join("store/app.RESTORE.txt"), "utf8");
  sh(script, { cwd: dir.join("store") });
  sh(`diff -r --no-dereference '${dir.join("src")}' '${dir.join("store/restored/src")}'`);
});

Deno.test("verify() accepts what backup() wrote, and says when it cannot tell", async () => {
  using dir = treeScratch();
  const plan = planOf(dir.join("src"), store.directory(dir.join("store")));
  await backup(plan, { now: T0 });
  const quick = await verify(plan);
  assert.equal(quick.ledger, "cannot tell");
  const full = await verify(plan, { level: "full", now: after(9) });
  assert.equal(full.entries, 7);
  const [item] = await list(plan);
  assert.equal(item?.verified?.event, "verify");
});
