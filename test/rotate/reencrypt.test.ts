/** A key that leaked: what it reads is encrypted again, and only then removed. */
import { strict as assert } from "node:assert";
import {
  backup,
  decodeReceipt,
  encrypt,
  IntegrityError,
  KeyError,
  keys,
  list,
  reencrypt,
  report,
  restore,
  store,
  verify,
} from "../../mod.ts";
import type { Store } from "../../mod.ts";
import { faulty } from "../../src/testing/mod.ts";
import { sha256 } from "../../src/bytes.ts";
import { memoryState } from "../../src/context.ts";
import { bytesOf, keysOf, treeScratch } from "../engine/support.ts";
import { judged, sh } from "../support.ts";
import { fresh, hour, old, planOf, readable } from "./support.ts";

async function three(source: string, to: Store | readonly Store[], state = memoryState()): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) {
    Deno.writeTextFileSync(`${source}/n`, `${n}`);
    ids.push((await backup(planOf(source, to, old.recipient, old.identity), { now: hour(n), state })).id);
  }
  return ids;
}

Deno.test("a new key for new backups; old ones stay readable with the old", async () => {
  using dir = treeScratch();
  const target = store.memory();
  await three(dir.join("src"), target);
  Deno.writeTextFileSync(dir.join("src/n"), "3");
  await backup(planOf(dir.join("src"), target, fresh.recipient, ""), { now: hour(3) });
  assert.deepEqual(await readable(dir.join("src"), target, old.identity, dir.path), ["0", "1", "2"]);
  assert.deepEqual(await readable(dir.join("src"), target, fresh.identity, dir.path), ["3"]);
});

Deno.test("reencrypt: all of it for the new key, none for the old, time and content as they were, the chain unbroken", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const state = memoryState();
  const ids = await three(dir.join("src"), target, state);
  const before = decodeReceipt(await bytesOf(target, `${ids[1]}.receipt.json`), ids[1]!);
  const plan = planOf(dir.join("src"), target, fresh.recipient, old.identity);
  await verify(plan, { id: ids[2], level: "full", state, now: hour(4) });
  const dry = await reencrypt(plan, { state, now: hour(5) });
  assert.deepEqual(dry.steps.map(({ id, error }) => [id, error]), ids.map((id) => [id, undefined]));
  assert.equal((await list(plan)).length, 3);
  const done = await reencrypt(plan, { state, now: hour(5), confirm: true });
  assert.deepEqual(
    done.steps.map(({ id, error, stores }) => [id, error, stores.length]),
    ids.map((id) => [id, undefined, 1]),
  );
  const successor = done.steps[1]!.successor!;
  assert.equal(successor, ids[1]!.replace("00Z", "01Z"));
  const after = decodeReceipt(await bytesOf(target, `${successor}.receipt.json`), successor);
  assert.ok(before.event === "backup" && after.event === "backup");
  assert.deepEqual(after.replaces?.id, ids[1]);
  assert.deepEqual([after.contents, after.sources], [before.contents, before.sources]);
  assert.deepEqual([after.recipients, after.signer], [[fresh.recipient], before.signer]);
  assert.deepEqual(after.stages, before.stages);
  assert.deepEqual(await readable(dir.join("src"), target, fresh.identity, dir.path), ["0", "1", "2"]);
  assert.deepEqual(await readable(dir.join("src"), target, old.identity, dir.path), []);
  const left = await keysOf(target);
  assert.ok(!left.some((key) => ids.some((id) => key.startsWith(id))), left.join());
  assert.ok(!left.some((key) => key.includes(".verify.json")), "a proof of what is gone stays");
  // This host, one that has seen nothing, and one that had seen the old heads: none takes it for tampering.
  for (const seen of [state, memoryState()]) await verify(plan, { state: seen, now: hour(6) });
  assert.deepEqual((await keys(plan)).keys.filter(({ role }) => role === "reads").map(({ key }) => key), [
    fresh.recipient,
  ]);
  await backup(planOf(dir.join("src"), target, fresh.recipient, fresh.identity), { now: hour(7), state });
  assert.equal(
    (await verify(planOf(dir.join("src"), target, fresh.recipient, fresh.identity), { state, level: "full" }))
      .ledger,
    "ok",
  );
  // From the time of the old run to the end of the new one is not what a backup takes.
  const past = await report(plan, { now: hour(8) });
  assert.deepEqual(past.backups.map(({ durationMs }) => durationMs === undefined), [true, true, true, false]);
  assert.deepEqual(past.measures.find(({ name }) => name === "duration")?.count, 1);
});

Deno.test("reencrypt: only what a given key reads; a key still in use is refused; other keys at hand do nothing", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const ids = await three(dir.join("src"), target);
  const third = await encrypt.generateIdentity();
  const source = dir.join("src");
  const last = (await backup(planOf(source, target, third.recipient, third.identity), { now: hour(3) })).id;
  const plan = planOf(source, target, fresh.recipient, old.identity);
  await assert.rejects(reencrypt(plan, { key: fresh.recipient }), /still encrypts to it/);
  const only = await reencrypt(plan, { key: third.recipient });
  assert.deepEqual(only.steps.map(({ id }) => id), [last]);
  assert.ok(
    only.steps[0]!.error instanceof KeyError || only.steps[0]!.error?.cause instanceof KeyError,
    String(only.steps[0]!.error),
  );
  const done = await reencrypt(plan, { confirm: true, now: hour(5) });
  assert.deepEqual(done.steps.map(({ id, error }) => [id, error === undefined]), [
    ...ids.map((id) => [id, true]),
    [last, false],
  ]);
  assert.ok(
    (await list(plan)).some(({ id, state }) => id === last && state === "complete"),
    "what could not be opened is gone",
  );
});

Deno.test("reencrypt: damage is not carried over, and nothing of a damaged backup is removed", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const ids = await three(dir.join("src"), target);
  const spoilt = (await bytesOf(target, ids[1]!)).slice();
  spoilt[spoilt.length - 100]! ^= 1;
  await target.put(ids[1]!, spoilt);
  const plan = planOf(dir.join("src"), target, fresh.recipient, old.identity);
  const { steps } = await reencrypt(plan, { confirm: true, now: hour(5) });
  assert.deepEqual(steps.map(({ error }) => error === undefined), [true, false, true]);
  assert.ok((await keysOf(target)).includes(`${ids[1]}.receipt.json`));
  assert.equal((await list(plan)).filter(({ state }) => state === "complete").length, 3);
});

Deno.test("reencrypt: a successor that does not read back costs no predecessor", async () => {
  using dir = treeScratch();
  const inner = store.memory();
  const ids = await three(dir.join("src"), inner);
  const target = faulty(inner, [{ on: "put", how: "flip", key: /01Z\.tar\.zst\.age$/, at: 500 }]);
  const { steps } = await reencrypt(planOf(dir.join("src"), target, fresh.recipient, old.identity), {
    confirm: true,
    now: hour(5),
  });
  assert.ok(steps.every(({ error, stores }) => error && stores.length === 0), JSON.stringify(steps));
  assert.deepEqual(await readable(dir.join("src"), inner, old.identity, dir.path), ["0", "1", "2"]);
  assert.ok((await keysOf(inner)).includes(`${ids[0]}.receipt.json`));
});

Deno.test("reencrypt: two targets, one of them down: the next run does what is left", async () => {
  using dir = treeScratch();
  const [a, b] = [store.directory(dir.join("a")), store.directory(dir.join("b"))];
  const ids = await three(dir.join("src"), [a, b]);
  const down = faulty(b, [{ on: "put", how: "fail", key: /01Z/ }]);
  const first = await reencrypt(planOf(dir.join("src"), [a, down], fresh.recipient, old.identity), {
    confirm: true,
    now: hour(5),
  });
  assert.deepEqual(first.steps.map(({ stores }) => stores), ids.map(() => [a.url]));
  assert.ok(first.steps.every(({ error }) => error));
  assert.deepEqual(await readable(dir.join("src"), b, old.identity, dir.path), ["0", "1", "2"]);
  const plan = planOf(dir.join("src"), [a, b], fresh.recipient, old.identity);
  const second = await reencrypt(plan, { confirm: true, now: hour(6) });
  assert.deepEqual(
    second.steps.map(({ stores, error }) => [stores, error]),
    ids.map(() => [[b.url], undefined]),
  );
  for (const target of [a, b]) {
    assert.deepEqual(await readable(dir.join("src"), target, fresh.identity, dir.path), ["0", "1", "2"]);
    await verify(planOf(dir.join("src"), target, fresh.recipient, fresh.identity));
  }
});

Deno.test("reencrypt: a signed backup is not made an unsigned one", async () => {
  using dir = treeScratch();
  const target = store.memory();
  await three(dir.join("src"), target);
  const bare = planOf(dir.join("src"), target, fresh.recipient, old.identity, false);
  const { steps } = await reencrypt(bare, { confirm: true });
  assert.ok(steps.every(({ error }) => error instanceof IntegrityError));
  assert.equal((await keysOf(target)).filter((key) => key.endsWith(".rotate.json")).length, 0);
});

Deno.test("reencrypt: at every failing call of the store, each backup is there at least once", async () => {
  using dir = treeScratch();
  const source = dir.join("src");
  const step = Deno.env.get("HOLDFAST_SOAK") === "1" ? 1 : 17;
  for (let nth = 1, over = false; !over; nth += step) {
    const inner = store.memory();
    await three(source, inner);
    const target = faulty(inner, [{ on: "any", how: "after", from: nth, key: /^app_/ }]);
    await reencrypt(planOf(source, target, fresh.recipient, old.identity), { confirm: true, now: hour(5) })
      .catch(() => {});
    over = target.happened[0] === 0;
    const all = new Set([
      ...await readable(source, inner, old.identity, dir.path),
      ...await readable(source, inner, fresh.identity, dir.path),
    ]);
    assert.deepEqual([...all].sort(), ["0", "1", "2"], `call ${nth}`);
    await reencrypt(planOf(source, inner, fresh.recipient, old.identity), { confirm: true, now: hour(6) });
    assert.deepEqual(
      await readable(source, inner, fresh.identity, dir.path),
      ["0", "1", "2"],
      `call ${nth}, then again`,
    );
    assert.deepEqual(await readable(source, inner, old.identity, dir.path), []);
    await verify(planOf(source, inner, fresh.recipient, fresh.identity));
  }
});

judged(
  "reencrypt: age opens the successor, minisign and sha256sum accept it",
  ["age", "minisign", "zstd"],
  async () => {
    using dir = treeScratch();
    const target = store.directory(dir.join("store"));
    await three(dir.join("src"), target);
    const plan = planOf(dir.join("src"), target, fresh.recipient, old.identity);
    const { steps } = await reencrypt(plan, { confirm: true, now: hour(5) });
    Deno.writeTextFileSync(dir.join("key"), fresh.identity + "\n");
    const { publicKey } = (await import("./support.ts")).signer;
    for (const { successor } of steps) {
      const out = new TextDecoder().decode(sh(
        `sha256sum -c --quiet '${successor}.sha256' && minisign -Vqm '${successor}' -P '${publicKey}' &&
       minisign -Vqm '${successor}.receipt.json' -P '${publicKey}' &&
       age -d -i ../key '${successor}' | zstd -dq | tar xO --wildcards '*/n'`,
        { cwd: dir.join("store") },
      ));
      assert.match(out, /^[012]$/);
    }
    const receipt = await bytesOf(target, `${steps[0]!.successor}.receipt.json`);
    assert.equal(sha256(receipt).length, 64);
    await restore(planOf(dir.join("src"), target, fresh.recipient, fresh.identity), {
      into: dir.join("out"),
    });
  },
);
