/** Each thing `health` finds, made to happen; and that it is silent without. */
import { strict as assert } from "node:assert";
import { archive, collect, encrypt, pipeline, prune, sign, store, upload } from "../../mod.ts";
import { drill } from "../../src/drill.ts";
import { StoreError } from "../../src/errors.ts";
import type { Plan } from "../../src/find.ts";
import { health, type HealthOptions } from "../../src/health.ts";
import { memoryState } from "../../src/context.ts";
import { monitor } from "../../src/monitor.ts";
import { backup } from "../../src/run.ts";
import type { Store } from "../../src/stage.ts";
import { describeSelf, encodeHolder } from "../../src/store/holder.ts";
import { utf8 } from "../../src/bytes.ts";
import { minisignPair } from "../sign/support.ts";
import { noise, scratch } from "../support.ts";
import { planOf, recipient, treeScratch } from "../engine/support.ts";

const HOUR = 3_600_000;
const at = (hours: number): Date => new Date(Date.UTC(2026, 10, 20) + hours * HOUR);

/** "level code" of each finding. */
async function found(plan: Plan, options: HealthOptions): Promise<string[]> {
  const { findings } = await health(plan, options);
  for (const { message, next } of findings) {
    assert.ok(message.length > 20 && next.length > 20 && !/undefined|NaN/.test(message + next), message);
  }
  return findings.map(({ level, code }) => `${level} ${code}`);
}

/** Counts every call to a store. */
function counting(inner: Store): Store & { calls: string[] } {
  const calls: string[] = [];
  return {
    ...inner,
    calls,
    get: (key, range) => (calls.push(`get ${key}`), inner.get(key, range)),
    head: (key) => (calls.push(`head ${key}`), inner.head(key)),
    list: (prefix) => (calls.push(`list ${prefix}`), inner.list(prefix)),
  };
}

Deno.test("health() is silent when all is well, and asks little", async () => {
  using dir = treeScratch();
  const inner = store.memory();
  for (let i = 0; i < 12; i++) await backup(planOf(dir.join("src"), inner), { now: at(i * 24) });
  await drill(planOf(dir.join("src"), inner), { now: at(270) });
  const target = counting(inner);
  const result = await health(planOf(dir.join("src"), target), { now: at(275) });
  assert.deepEqual([result.status, result.findings], ["healthy", []]);
  assert.equal(result.stores[0]!.backups, 12);
  assert.equal(result.newest!.time, at(264).toISOString());
  assert.ok(result.drilledAt);
  assert.deepEqual(target.calls.map((call) => call.split(" ")[0]).sort(), ["get", "get", "head", "list"]);
});

Deno.test("health() finds that there is no backup, an old one, one from the future", async () => {
  using dir = treeScratch();
  const plan = planOf(dir.join("src"), store.memory());
  assert.deepEqual(await found(plan, { now: at(0) }), ["problem missing"]);
  await backup(plan, { now: at(0) });
  assert.deepEqual(await found(plan, { now: at(25.9) }), []);
  assert.deepEqual(await found(plan, { now: at(26.1) }), ["problem old"]);
  assert.deepEqual(await found(plan, { now: at(26.1), limits: { maxAge: "27h" } }), []);
  assert.deepEqual(await found(plan, { now: at(26.1), limits: { maxAge: "off" } }), []);
  assert.deepEqual(await found(plan, { now: at(-2) }), ["warning clock"]);
  const weekly = monitor(plan, { health: { maxAge: "8d" } });
  assert.deepEqual(await found(weekly, { now: at(7 * 24) }), []);
  assert.deepEqual(await found(weekly, { now: at(9 * 24) }), ["problem old"]);
  const required = { ...plan, shelf: { ...plan.shelf!, require: { maxAge: "3d" } } };
  assert.deepEqual(await found(required, { now: at(70) }), []);
  assert.deepEqual(await found(required, { now: at(73) }), ["problem old"]);
  const { findings } = await health(plan, { now: at(100) });
  assert.match(findings[0]!.message, /"app_2026-11-20T00-00-00Z\S+", is 4.2 days old, the limit is 26 h$/);
});

Deno.test("health() finds a size that is off, in both directions", async () => {
  using dir = scratch();
  Deno.mkdirSync(dir.join("src"));
  const plan = planOf(dir.join("src"), store.memory());
  const make = async (bytes: number, hours: number): Promise<void> => {
    Deno.writeFileSync(dir.join("src", "data"), noise(bytes, hours + 1));
    await backup(plan, { now: at(hours) });
  };
  for (let i = 0; i < 2; i++) await make(200_000, i);
  await make(20_000, 2);
  assert.deepEqual(await found(plan, { now: at(3) }), [], "two say nothing of what is usual");
  await make(200_000, 3);
  await make(90_000, 4);
  assert.deepEqual(await found(plan, { now: at(5) }), ["warning size"]);
  assert.deepEqual(await found(plan, { now: at(5), limits: { sizeShare: 0.6 } }), []);
  assert.deepEqual(await found(plan, { now: at(5), limits: { sizeShare: 0 } }), []);
  await make(320_000, 5);
  const { findings } = await health(plan, { now: at(6) });
  assert.match(findings[0]!.message, /has \d+ bytes, 59 % more than is usual/);
});

Deno.test("health() finds that a drill is due, and that the last one failed", async () => {
  using dir = treeScratch();
  const plan = planOf(dir.join("src"), store.memory());
  await backup(plan, { now: at(0) });
  const limits = { maxAge: "off", maxDrillAge: "10d" };
  assert.deepEqual(
    await found(plan, { now: at(9 * 24), limits }),
    [],
    "not before the first backup is that old",
  );
  assert.deepEqual(await found(plan, { now: at(11 * 24), limits }), ["warning drill"]);
  await assert.rejects(drill(plan, { now: at(12 * 24), assert: ["false"] }));
  assert.deepEqual(await found(plan, { now: at(13 * 24), limits }), [
    "problem drill-failed",
    "warning drill",
  ]);
  await drill(plan, { now: at(13 * 24) });
  // A drill's receipt says when it ended by the clock of now, not by that of the run.
  const after = new Date(Date.now() + 9 * 24 * HOUR);
  assert.deepEqual(await found(plan, { now: after, limits }), []);
  assert.deepEqual(await found(plan, { now: new Date(after.getTime() + 48 * HOUR), limits }), [
    "warning drill",
  ]);
});

Deno.test("health() finds a target that is behind, and one that cannot be looked at", async () => {
  using dir = treeScratch();
  const a = store.memory();
  const b = { ...store.memory(), url: "memory:b" };
  await backup(planOf(dir.join("src"), [a, b]), { now: at(0) });
  await backup(planOf(dir.join("src"), a), { now: at(1) });
  const { id } = await backup(planOf(dir.join("src"), a), { now: at(2) });
  const both = planOf(dir.join("src"), [a, b]);
  const { findings } = await health(both, { now: at(3) });
  assert.deepEqual(findings.map(({ code, store }) => [code, store]), [["behind", "memory:b"]]);
  assert.match(findings[0]!.message, /misses the newest 2 backups: the last it has is "app_2026-11-20T00/);
  await b.put(`${id}.intent`, utf8("{}"));
  assert.deepEqual(await found(both, { now: at(3) }), [], "a run is just bringing it there");
  const broken: Store = {
    ...b,
    list: () => {
      throw new StoreError("Cannot list: no route to host");
    },
  };
  assert.deepEqual(await found(planOf(dir.join("src"), [a, broken]), { now: at(3) }), [
    "problem unreachable",
  ]);
  const halfway: Store = { ...a, get: () => Promise.reject(new StoreError("Cannot read: reset")) };
  assert.deepEqual(await found(planOf(dir.join("src"), halfway), { now: at(3) }), ["problem unreachable"]);
});

Deno.test("health() finds what dead runs left and what is stuck", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  const { id } = await backup(plan, { now: new Date(Date.now() - 2 * HOUR) });
  await target.put("app_2026-11-20T09-00-00Z.tar.zst.age.intent", utf8("{}"));
  const later = (hours: number): HealthOptions => ({
    now: new Date(Date.now() + hours * HOUR),
    limits: { maxAge: "off", maxRunTime: "5h", maxDrillAge: "off" },
  });
  assert.deepEqual(await found(plan, later(4)), []);
  assert.deepEqual(await found(plan, later(6)), ["warning unfinished"]);
  await target.delete("app_2026-11-20T09-00-00Z.tar.zst.age.intent");
  await target.put("app.lease", utf8(encodeHolder(describeSelf("01JDB2K3M4N5P6Q7R8S9T0V1W2"))));
  assert.deepEqual(await found(plan, later(4)), []);
  const held = await health(plan, later(6));
  assert.match(
    held.findings[0]!.message,
    /^run 01JDB2K3\S+ on host .* has held the lease of "app" in .* for 6 h$/,
  );
  const dead = { ...describeSelf("01JDB2K3M4N5P6Q7R8S9T0V1W2"), pid: 4_194_304, processStart: "1" };
  await target.put("app.lease", utf8(encodeHolder(dead)));
  if (dead.machine !== undefined) {
    assert.match((await health(plan, later(6))).findings[0]!.message, /died and left/);
  }
  await target.put("app.lease", new Uint8Array([0xff]));
  assert.deepEqual(await found(plan, later(6)), ["warning lock"]);
  await target.delete("app.lease");
  const uploads = [{ key: `${id}.part`, begun: new Date() }, { key: "other_x", begun: new Date(0) }];
  const bucket: Store = { ...target, unfinished: () => Promise.resolve(uploads) };
  assert.deepEqual(await found(planOf(dir.join("src"), bucket), later(4)), []);
  assert.deepEqual(await found(planOf(dir.join("src"), bucket), later(6)), ["warning unfinished"]);
});

Deno.test("health() finds what was taken away, and what is not signed as the plan asks", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const { publicKey, secretKey } = minisignPair();
  const plan = pipeline(collect.files(dir.join("src"))).pipe(archive.tar())
    .pipe(encrypt.age({ recipients: [recipient] })).pipe(
      sign.minisign({ publicKey, secretKey: () => secretKey }),
    )
    .pipe(upload({ name: "app", to: target }));
  await backup(plan, { now: at(0) });
  const { id } = await backup(plan, { now: at(1) });
  assert.deepEqual(await found(plan, { now: at(2) }), []);
  await target.delete(`${id}.receipt.json.minisig`);
  assert.deepEqual(await found(plan, { now: at(2) }), ["problem untrusted"]);
  await target.delete(`${id}.receipt.json`);
  assert.deepEqual(await found(plan, { now: at(2) }), ["problem damaged"]);
});

Deno.test("health() finds a key that has been in use for long, also when retention took the evidence", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  const state = memoryState();
  const limits = { maxAge: "off", maxDrillAge: "off", maxKeyAge: "30d" };
  const first = await backup(plan, { now: at(0) });
  await backup(plan, { now: at(24) });
  assert.deepEqual(await found(plan, { now: at(25), limits, state }), []);
  assert.deepEqual(await found(plan, { now: at(31 * 24), limits }), ["warning key"]);
  for (const key of ["", ".receipt.json", ".sha256", ".index"]) await target.delete(first.id + key);
  await backup(plan, { now: at(30 * 24 + 12) });
  assert.deepEqual(await found(plan, { now: at(30 * 24 + 13), limits, state }), ["warning key"]);
  assert.deepEqual(
    await found(plan, { now: at(30 * 24 + 13), limits: { ...limits, maxKeyAge: "off" }, state }),
    [],
  );
});

Deno.test("monitor() and health() refuse limits that cannot be understood", async () => {
  using dir = treeScratch();
  const plan = planOf(dir.join("src"), store.memory());
  assert.throws(() => monitor(plan, { health: { maxAge: "26" } }), /maxAge = "26": write a span such as/);
  assert.throws(() => monitor(plan, { health: { sizeShare: -1 } }), RangeError);
  assert.throws(() => monitor(plan, { health: { maxage: "1d" } as never }), /"maxage": it is not known/);
  await assert.rejects(health(plan, { limits: { maxKeyAge: "1m" } }), TypeError);
});

Deno.test("health() finds that a backup this host has seen is gone, and not what a prune of another host removed", async () => {
  using dir = treeScratch();
  const here = memoryState();
  const target = store.memory();
  const base = pipeline(collect.files(dir.join("src"))).pipe(archive.tar()).pipe(encrypt.plaintext())
    .pipe(upload({ name: "app", to: target }));
  const plan: Plan = base;
  const options = { now: at(2), state: here };
  await backup(plan, { now: at(0), state: here });
  await backup(plan, { now: at(1), state: here });
  assert.deepEqual(await found(plan, options), []);
  await backup(base.pipe(prune({ keepLast: 1 })), { now: at(2), state: memoryState() });
  assert.equal((await health(plan, options)).stores[0]!.backups, 1);
  assert.deepEqual(await found(plan, options), []);

  await backup(plan, { now: at(3), state: here });
  for await (const { key } of target.list("app_2026-11-20T03")) await target.delete(key);
  assert.deepEqual(await found(plan, options), ["problem vanished"]);
  assert.deepEqual(await found(plan, { now: at(2), state: memoryState() }), []);
});
