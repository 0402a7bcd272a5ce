/** What a drill measures and records: the newest backup, an older one, a success, a failure. */
import { strict as assert } from "node:assert";
import { encrypt } from "../../mod.ts";
import { drill } from "../../src/drill.ts";
import { findError, KeyError } from "../../src/errors.ts";
import { decodeReceipt, type ProofReceipt } from "../../src/receipt.ts";
import { list } from "../../src/list.ts";
import { backup } from "../../src/run.ts";
import { memory } from "../../src/store/mod.ts";
import type { Store } from "../../src/stage.ts";
import { lines, run } from "../cli/support.ts";
import { scratch } from "../support.ts";
import { bytesOf, identity, keysOf, planOf, recipient, treeScratch } from "./support.ts";

const hour = (count: number): Date => new Date(Date.UTC(2026, 10, 20, count));

async function drills(store: Store): Promise<ProofReceipt[]> {
  const keys = (await keysOf(store)).filter((key) => key.endsWith(".drill.json"));
  return await Promise.all(
    keys.map(async (key) => decodeReceipt(await bytesOf(store, key), key) as ProofReceipt),
  );
}

Deno.test("drill() records where the time went, what was restored and the remark", async () => {
  using dir = treeScratch();
  const target = memory();
  const plan = planOf(dir.join("src"), target);
  await backup(plan, { now: hour(0) });
  const result = await drill(plan, {
    now: hour(26),
    note: "Q4 drill",
    assert: ["sh", "-c", "sleep 0.3; test -f src/docs/readme.md"],
  });
  const { phases, rtoMs } = result;
  assert.deepEqual(Object.keys(phases).sort(), [
    "check",
    "decrypt",
    "extract",
    "fetch",
    "find",
    "start",
    "verify",
  ]);
  assert.ok(phases.check >= 300, "the assertion's time is its own");
  assert.ok(phases.extract > 0);
  const sum = Object.values(phases).reduce((a, b) => a + b, 0);
  assert.ok(Math.abs(sum - rtoMs) <= rtoMs / 5 + 20, `${sum} is about ${rtoMs}`);
  const [receipt] = await drills(target);
  assert.equal(receipt!.outcome, "complete");
  const { proven: _, verdict, note, ...facts } = receipt!.facts;
  assert.deepEqual([verdict, note], ["restored", "Q4 drill"]);
  assert.equal(facts.negative, "failed as it must");
  const { id: _id, others, ...measured } = result;
  assert.deepEqual(facts, measured);
  assert.deepEqual([others, measured.which, measured.entries], [0, "newest", 7]);
  assert.ok(measured.storedBytes > 0);
});

Deno.test("drill() measures the phase that is slow", async () => {
  using dir = treeScratch();
  const inner = memory();
  await backup(planOf(dir.join("src"), inner), { now: hour(0) });
  const slow: Store = {
    ...inner,
    get: async (key, range) => {
      if (/\.age$/.test(key)) await new Promise((resolve) => setTimeout(resolve, 700));
      return await inner.get(key, range);
    },
  };
  const { phases } = await drill(planOf(dir.join("src"), slow), { now: hour(1) });
  assert.ok(phases.fetch >= 650, JSON.stringify(phases));
  assert.ok(phases.verify < phases.fetch && phases.decrypt < phases.fetch, JSON.stringify(phases));
});

Deno.test("drill() of an older backup never takes the newest, and says when there is none", async () => {
  using dir = treeScratch();
  const plan = planOf(dir.join("src"), memory());
  const first = await backup(plan, { now: hour(0) });
  await assert.rejects(
    drill(plan, { id: "older", now: hour(1) }),
    /older backup of "app": there are 1 in all/,
  );
  await backup(plan, { now: hour(1) });
  for (let i = 2; i < 6; i++) {
    const { id, which, others } = await drill(plan, { id: "older", now: hour(i) });
    assert.deepEqual([id, which, others], [first.id, "older", 1]);
  }
});

Deno.test("a drill that fails is recorded as a failure, which proves nothing", async () => {
  using dir = treeScratch();
  const target = memory();
  const plan = planOf(dir.join("src"), target);
  await backup(plan, { now: hour(0) });
  await assert.rejects(drill(plan, { assert: ["false"], now: hour(1) }), /does not hold/);
  const [receipt] = await drills(target);
  assert.deepEqual([receipt!.outcome, receipt!.facts["verdict"]], ["failed", "failed"]);
  assert.deepEqual((await list(plan)).map(({ verified }) => verified), [undefined]);
  const stranger = (await encrypt.generateIdentity()).identity;
  const keyless = planOf(dir.join("src"), target, { identities: () => stranger });
  await assert.rejects(drill(keyless, { now: hour(2) }), (error) => findError(error, KeyError) !== undefined);
  const controller = new AbortController();
  controller.abort();
  await assert.rejects(drill(plan, { now: hour(3), signal: controller.signal }));
  assert.equal((await drills(target)).length, 1, "neither a missing key nor a cancelled drill is a verdict");
  await assert.rejects(drill(plan, { note: "x".repeat(1001) }), RangeError);
});

Deno.test("drill() without a place for its scratch folder says how to name one", async () => {
  using dir = treeScratch();
  const plan = planOf(dir.join("src"), memory());
  await backup(plan, { now: hour(0) });
  await assert.rejects(
    drill(plan, { scratch: dir.join("no") }),
    /no scratch folder can be made in "\S+no": ENOENT.*as "scratch"/,
  );
});

Deno.test("drill without an ID takes the newest and an older one", async () => {
  using dir = treeScratch();
  using home = scratch();
  Deno.writeTextFileSync(dir.join("key"), `${identity}\n`);
  Deno.writeTextFileSync(
    dir.join("backup.toml"),
    `[plan.app]
collect = { files = ["src"] }
encrypt = { age = { recipients = ["${recipient}"], identityFile = "key" } }
upload = { to = "store" }
`,
  );
  const user = { home: home.path, cwd: dir.path };
  for (let i = 0; i < 2; i++) {
    const { code, err } = await run(user, "backup", ["--quiet"]);
    assert.equal(code, 0, err);
    await new Promise((resolve) => setTimeout(resolve, 1000)); // names are to the second
  }
  const { code, out, err } = await run(user, "drill", ["--json", "--note", "by hand"]);
  assert.equal(code, 0, err);
  const results = lines(out);
  assert.deepEqual(results.map(({ which }) => which), ["newest", "older"]);
  assert.ok(results.every(({ phases }) => phases.extract >= 0));
  const one = await run(user, "drill", ["latest"]);
  assert.match(one.out, /^app_\S+ {2}newest: restored .*RTO .*\(.*extract.*\) {2}RPO .*assertion: none\n$/);
});
