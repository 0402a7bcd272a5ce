/** Targets that missed backups are brought up to date, and what they hold is compared. */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import {
  archive,
  backup,
  collect,
  compare,
  compress,
  copy,
  encrypt,
  pipeline,
  prune,
  restore,
  retain,
  sign,
  store,
  upload,
  verify,
} from "../../mod.ts";
import type { Plan, State, Store } from "../../mod.ts";
import { exitCode } from "../../src/cli/exit.ts";
import { memoryState } from "../../src/context.ts";
import { BusyError, ConfigError, IntegrityError, KeyError, NotFoundError } from "../../src/errors.ts";
import { acquireLease } from "../../src/store/lease.ts";
import { bytesOf, identity, keysOf, recipient, treeScratch } from "../engine/support.ts";
import { minisignPair } from "../sign/support.ts";
import { sh, testContext } from "../support.ts";
import { hour, idAt } from "./scene.ts";

const pair = minisignPair();
/** A signed plan; without `secret` it can only check. */
function planOf(
  source: string,
  to: readonly Store[],
  options: { secret?: false; keepLast?: number; require?: "none" } = {},
): Plan {
  const chain = pipeline(collect.files(source))
    .pipe(archive.tar())
    .pipe(compress.zstd())
    .pipe(encrypt.age({ recipients: [recipient], identities: () => identity }))
    .pipe(sign.sha256())
    .pipe(sign.minisign({
      publicKey: pair.publicKey,
      secretKey: options.secret === false ? undefined : () => pair.secretKey,
    }))
    .pipe(upload({ name: "app", to, require: options.require ?? { signature: true, encryption: true } }));
  return options.keepLast === undefined ? chain : chain.pipe(prune({ keepLast: options.keepLast }));
}

interface Scene extends Disposable {
  readonly source: string;
  readonly a: Store;
  readonly b: Store;
  readonly state: State;
  readonly join: (...parts: string[]) => string;
  /** A backup at an hour into these stores. */
  readonly run: (n: number, ...to: Store[]) => Promise<void>;
}

function scene(): Scene {
  const dir = treeScratch();
  const state = memoryState();
  const source = dir.join("src");
  return {
    source,
    state,
    a: store.directory(dir.join("a")),
    b: store.directory(dir.join("b")),
    join: dir.join,
    run: async (n, ...to) => {
      await Deno.writeTextFile(`${source}/n`, `${n}`);
      await backup(planOf(source, to), { now: hour(n), state });
    },
    [Symbol.dispose]: dir[Symbol.dispose],
  };
}

/** Each backup of the store verifies to the last byte, and the ledger is whole. */
async function sound(scene: Scene, target: Store, hours: readonly number[]): Promise<void> {
  const plan = planOf(scene.source, [target]);
  for (const n of hours) {
    const { ledger } = await verify(plan, {
      id: idAt(n),
      level: "full",
      state: scene.state,
      now: hour(50 + n),
    });
    assert.equal(ledger, "ok");
  }
  const leftovers = (await keysOf(target)).filter((key) => key.endsWith(".intent"));
  assert.deepEqual(leftovers, []);
}

Deno.test("copy brings a target up to date that missed runs, and its ledger is whole", async () => {
  using it = scene();
  const { a, b, state } = it;
  const both = planOf(it.source, [a, b]);
  await it.run(0, a, b);
  await it.run(1, a);
  await it.run(2, a);
  await it.run(3, a, b); // b went on without 1 and 2
  assert.deepEqual((await compare(both)).differences.map(({ id, store, what }) => [id, store, what]), [
    [idAt(1), b.url, "missing"],
    [idAt(2), b.url, "missing"],
  ]);
  const before = await keysOf(b);
  const dry = await copy(both, { dryRun: true, state });
  assert.deepEqual(dry.copied.map(({ id, from, to }) => [id, from, to]), [
    [idAt(1), a.url, b.url],
    [idAt(2), a.url, b.url],
  ]);
  assert.deepEqual(await keysOf(b), before);
  const done = await copy(both, { state });
  assert.deepEqual(done, { copied: dry.copied, troubles: [] });
  assert.deepEqual(await compare(both), { backups: 4, differences: [], unreachable: [] });
  assert.deepEqual(await copy(both, { state }), { copied: [], troubles: [] });
  await sound(it, b, [0, 1, 2, 3]);
  await sound(it, a, [0, 1, 2, 3]);
  await restore(planOf(it.source, [b]), { id: idAt(1), into: it.join("out"), state });
  assert.equal(await Deno.readTextFile(it.join("out", "src", "n")), "1");
  // The stock tools open a copy as they open a backup.
  sh(`cd '${it.join("b")}' && sha256sum --quiet -c ${idAt(1)}.sha256`);
  // The host that remembers the copy sees its deletion.
  for (const key of await keysOf(b)) if (key.startsWith(idAt(2))) await b.delete(key);
  await assert.rejects(verify(planOf(it.source, [b]), { state }), IntegrityError);
});

Deno.test("copy needs no secret key where the receipt stays the same, and says so where it does not", async () => {
  using it = scene();
  const { a, b, state } = it;
  await it.run(0, a, b);
  await it.run(1, a);
  const keyless = planOf(it.source, [a, b], { secret: false });
  assert.equal((await copy(keyless, { state })).copied.length, 1);
  for (const key of (await keysOf(a)).filter((key) => key.startsWith(idAt(1)))) {
    assert.deepEqual(await bytesOf(b, key), await bytesOf(a, key), key);
  }
  await it.run(2, a);
  await it.run(3, b);
  const before = await keysOf(b);
  const { copied, troubles } = await copy(keyless, { state, to: [b] });
  assert.deepEqual(copied, []);
  assert.equal(exitCode(troubles[0]!.error), 4, String(troubles[0]!.error));
  // What is there is no backup, and the next copy goes on with it.
  assert.deepEqual((await compare(keyless)).differences.map(({ what }) => what), ["unfinished", "missing"]);
  assert.ok(before.every((key) => key !== idAt(2)));
  assert.equal((await copy(planOf(it.source, [a, b]), { state })).copied.length, 2);
  await sound(it, b, [0, 1, 2, 3]);
});

Deno.test("copy without the plan does not strip the signature of a receipt", async () => {
  using it = scene();
  await it.run(0, it.a);
  await it.run(1, it.b);
  const bare = pipeline(collect.files(it.source)).pipe(archive.tar()).pipe(
    encrypt.detect({ identities: () => identity }),
  )
    .pipe(upload({ name: "app", to: [it.a, it.b] }));
  const { copied, troubles } = await copy(bare, { to: [it.b] });
  assert.deepEqual(copied, []);
  assert.ok(troubles[0]!.error instanceof KeyError, String(troubles[0]!.error));
  assert.match(troubles[0]!.error.message, /must be signed again\. Copy with the plan that signs/);
  const fresh = store.directory(it.join("c"));
  assert.equal((await copy(bare, { from: [it.a], to: [fresh], state: it.state })).copied.length, 1); // the first of its ledger: nothing changes
  await sound(it, fresh, [0]);
});

Deno.test("copy does not put back what retention removed, unless nobody trusted has signed that", async () => {
  using it = scene();
  const { a, b, state } = it;
  for (const n of [0, 1, 2]) await it.run(n, a, b);
  await retain(planOf(it.source, [b], { keepLast: 1 }), { confirm: true, now: hour(4), state });
  const both = planOf(it.source, [a, b]);
  assert.deepEqual((await compare(both)).differences.map(({ id, store, what }) => [id, store, what]), [
    [idAt(0), a.url, "extra"],
    [idAt(1), a.url, "extra"],
  ]);
  assert.deepEqual(await copy(both, { state }), { copied: [], troubles: [] });
  const [event] = (await keysOf(b)).filter((key) => key.endsWith(".prune.json"));
  await b.delete(`${event}.minisig`);
  assert.deepEqual((await compare(both)).differences.map(({ what }) => what), ["missing", "missing"]);
});

Deno.test("copy takes nothing damaged, and another source where there is one", async () => {
  using it = scene();
  const { a, b, state } = it;
  const c = store.directory(it.join("c"));
  await it.run(0, a, c);
  const bytes = await bytesOf(a, idAt(0));
  bytes[bytes.length >> 1]! ^= 1;
  await a.put(idAt(0), bytes);
  const alone = await copy(planOf(it.source, [a, b]), { state });
  assert.equal(exitCode(alone.troubles[0]!.error), 5, String(alone.troubles[0]!.error));
  assert.deepEqual(await keysOf(b), []);
  const { copied, troubles } = await copy(planOf(it.source, [a, c]), { from: [a, c], to: [b], state });
  assert.deepEqual(troubles, []);
  assert.equal(copied[0]!.from, c.url);
  await sound(it, b, [0]);
});

Deno.test("copy refuses a receipt that another key has signed", async () => {
  using it = scene();
  const { a, b } = it;
  await it.run(0, a);
  const thief = minisignPair();
  const forged = pipeline(collect.files(it.source)).pipe(archive.tar()).pipe(compress.zstd())
    .pipe(encrypt.age({ recipients: [recipient] })).pipe(sign.sha256())
    .pipe(sign.minisign({ publicKey: thief.publicKey, secretKey: () => thief.secretKey }))
    .pipe(upload({ name: "app", to: a, require: "none" }));
  await backup(forged, { now: hour(1) });
  const { copied, troubles } = await copy(planOf(it.source, [a, b]), {});
  assert.deepEqual(copied.map(({ id }) => id), [idAt(0)]);
  assert.equal(exitCode(troubles[0]!.error), 5);
  assert.match(String(troubles[0]!.error), /none of the trusted ones/);
  assert.ok((await keysOf(b)).every((key) => !key.startsWith(idAt(1))));
  for (const options of [{}, { require: "none" }] as const) {
    const { differences } = await compare(planOf(it.source, [a, b], options));
    const [untrusted] = differences.filter(({ store }) => store === a.url);
    assert.deepEqual([untrusted?.id, untrusted?.what], [idAt(1), "differing"]);
  }
});

Deno.test("copy that is cancelled leaves nothing, and does not begin during a run", async () => {
  using it = scene();
  const { a, b, state } = it;
  await it.run(0, a);
  await Deno.mkdir(it.join("b"));
  const stop = new AbortController();
  const gone = new Error("Cancelled by the test");
  const slow: Store = {
    ...b,
    put: (key, body, options) => {
      if (key.endsWith(".sha256")) stop.abort(gone);
      return b.put(key, body, options);
    },
  };
  await assert.rejects(
    copy(planOf(it.source, [a, slow]), { signal: stop.signal, state }),
    (error) => error === gone,
  );
  assert.deepEqual((await keysOf(b)).filter((key) => !key.endsWith("RESTORE.txt")), []);
  const { signal, log } = testContext();
  const lease = await acquireLease(b, "app", { run: "other", signal, log });
  const { troubles } = await copy(planOf(it.source, [a, b]), { state });
  assert.ok(troubles[0]!.error instanceof BusyError, String(troubles[0]!.error));
  await lease.release();
  assert.equal((await copy(planOf(it.source, [a, b]), { state })).copied.length, 1);
});

Deno.test("copy by name, and what cannot be copied is told", async () => {
  using it = scene();
  const { a, b, state } = it;
  for (const n of [0, 1]) await it.run(n, a);
  const both = planOf(it.source, [a, b]);
  await assert.rejects(copy(planOf(it.source, [a])), ConfigError);
  await assert.rejects(compare(planOf(it.source, [a])), ConfigError);
  await assert.rejects(copy(both, { id: idAt(7) }), NotFoundError);
  assert.deepEqual((await copy(both, { id: "latest", state })).copied.map(({ id }) => id), [idAt(1)]);
  await b.put(idAt(0), await bytesOf(a, idAt(0))); // an archive that nothing explains is not touched
  const { troubles } = await copy(both, { state });
  assert.match(String(troubles[0]!.error), /an archive without a receipt of that name lies there/);
  assert.deepEqual((await compare(both)).differences.map(({ what, why }) => [what, why]), [
    ["differing", "its receipt is gone"],
  ]);
});

Deno.test("compare names what differs: another backup of the name, wrong lengths", async () => {
  using it = scene();
  const { a, b } = it;
  await it.run(0, a);
  await it.run(0, b);
  const both = planOf(it.source, [a, b]);
  const [other] = (await compare(both)).differences;
  assert.match(other!.why!, /it is not the backup that .*a has/);
  cpSync(it.join("a"), it.join("c"), { recursive: true });
  const c = store.directory(it.join("c"));
  await c.put(idAt(0), new Uint8Array(3));
  const [cut] = (await compare(both, { stores: [a, c] })).differences;
  assert.equal(cut!.what, "differing");
  assert.match(cut!.why!, /it has 3 bytes, its receipt says/);
});

Deno.test("copy goes on with an archive that is whole, and writes one anew that is not", async () => {
  using it = scene();
  const { a, b } = it;
  await it.run(0, a);
  const id = idAt(0);
  const whole = await bytesOf(a, id);
  const spoilt = whole.slice();
  spoilt[whole.length >> 1]! ^= 1;
  const none = new Uint8Array();
  for (const [there, puts] of [[whole, 0], [spoilt, 1], [whole.slice(1), 1], [none, 1]] as const) {
    const state = memoryState(); // the rounds know nothing of each other
    await b.put(`${id}.intent`, none);
    await b.put(id, there.slice());
    await b.put(`${id}.sha256`, none);
    await b.put(`${id}.receipt.json.minisig`, none);
    const keys: string[] = [];
    const watched: Store = {
      ...b,
      put: (key, body, options) => {
        keys.push(key);
        return b.put(key, body, options);
      },
    };
    const { copied, troubles } = await copy(planOf(it.source, [a, watched]), { state });
    assert.deepEqual([copied.length, troubles], [1, []]);
    assert.equal(keys.filter((key) => key === id).length, puts);
    await sound({ ...it, state }, b, [0]);
    for (const key of await keysOf(b)) await b.delete(key);
  }
});

Deno.test("examples/catch_up.ts copies what a target has missed", async () => {
  using it = scene();
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "examples/catch_up.ts", it.source, it.a.url, it.b.url],
    cwd: new URL("../../", import.meta.url),
    env: { NO_COLOR: "1" },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.match(new TextDecoder().decode(stdout), /^docs_\S+ from \S+a to \S+b\n1 in all, 0 differences\n$/);
});
