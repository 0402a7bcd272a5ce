import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { sha256, utf8 } from "../../src/bytes.ts";
import { BusyError, StoreError } from "../../src/errors.ts";
import type { Log, Store } from "../../src/stage.ts";
import { acquireLease, type Lease, type LeaseOptions } from "../../src/store/lease.ts";
import { describeSelf, encodeHolder, type Holder } from "../../src/store/holder.ts";
import { directory, memory } from "../../src/store/mod.ts";
import { faulty } from "../../src/testing/faulty.ts";
import { bytesOf, keysOf } from "../contract/store.ts";
import { noise, scratch } from "../support.ts";

const CHILD = new URL("./child.ts", import.meta.url).pathname;
const TIMES = { heartbeatMs: 30, expiryMs: 180 };

/** A lease with short times; `infos` sees what is said. */
function lease(
  store: Store,
  run: string,
  options: Partial<LeaseOptions> & { infos?: string[] } = {},
): Promise<Lease> {
  const log: Log = { info: (message) => void options.infos?.push(message), warn: () => {} };
  return acquireLease(store, "app", { run, signal: new AbortController().signal, log, ...TIMES, ...options });
}

/** What another host's run left: nothing here can tell whether it is alive. */
function stranger(changes: Partial<Holder> = {}): Uint8Array<ArrayBuffer> {
  const { machine: _, processStart: __, ...self } = describeSelf("01OTHER");
  return utf8(encodeHolder({ ...self, host: "far", pid: 7, ...changes }));
}

function daysAgo(days: number): string {
  return new Date(Date.now() - days * 86_400_000).toISOString();
}

for (
  const [name, make] of [
    ["lock", (path: string): Store => directory(path)],
    ["object", (): Store => memory()],
    ["object in a folder", (path: string): Store => faulty(directory(path), [])],
  ] as const
) {
  Deno.test(`acquireLease() by ${name} refuses a second run and names the first`, async () => {
    using dir = scratch();
    const store = make(dir.path);
    const first = await lease(store, "01FIRST");
    await assert.rejects(lease(store, "01SECOND"), (error) => {
      assert.ok(error instanceof BusyError);
      const pattern = new RegExp(
        `^Cannot back up "app": run 01FIRST on host \\S+ \\(pid ${Deno.pid}\\) has held the lease since ` +
          `\\d{4}-.*Z\\. Wait for it to end, or pass --wait$`,
      );
      assert.match(error.message, pattern);
      return true;
    });
    await assert.rejects(lease(store, "01SECOND", { action: "prune" }), /^BusyError: Cannot prune "app"/);
    assert.deepEqual(await keysOf(store), []);
    await first.release();
    await first.release();
    const second = await lease(store, "01SECOND");
    assert.equal(first.lost.aborted, false);
    await second.release();
    assert.equal(await store.head("app.lease"), undefined);
  });

  Deno.test(`acquireLease() by ${name} waits, says for whom, and follows at once`, async () => {
    using dir = scratch();
    const store = make(dir.path);
    const first = await lease(store, "01FIRST");
    const infos: string[] = [];
    let got = false;
    const waiting = lease(store, "01SECOND", { wait: true, infos }).then((second) => {
      got = true;
      return second;
    });
    await sleep(2 * TIMES.expiryMs);
    assert.equal(got, false, "a lease that is renewed was taken over");
    assert.equal(infos.length, 1);
    assert.match(infos[0]!, /^Waiting for run 01FIRST on host .*, which holds the lease of "app"$/);
    await first.release();
    await (await waiting).release();
    assert.equal(first.lost.aborted, false);
  });

  Deno.test(`acquireLease() by ${name} stops waiting when it is cancelled`, async () => {
    using dir = scratch();
    const store = make(dir.path);
    const first = await lease(store, "01FIRST");
    const controller = new AbortController();
    const waiting = lease(store, "01SECOND", { wait: true, signal: controller.signal });
    const reason = new Error("Cancelled by the test");
    setTimeout(() => controller.abort(reason), 30);
    await assert.rejects(waiting, (error) => error === reason);
    await assert.rejects(lease(store, "01THIRD", { signal: controller.signal }), (error) => error === reason);
    await first.release();
  });

  Deno.test(`acquireLease() by ${name} gives it to one run after another, never to two`, async () => {
    using dir = scratch();
    const store = make(dir.path);
    let holders = 0;
    await Promise.all(Array.from({ length: 8 }, async (_, i) => {
      const mine = await lease(store, `01RUN${i}`, { wait: true });
      assert.equal(++holders, 1);
      await sleep(10);
      holders--;
      assert.equal(mine.lost.aborted, false);
      await mine.release();
    }));
  });
}

Deno.test("acquireLease() by lock follows a run that was killed, at once", async () => {
  using dir = scratch();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", CHILD, "lease", dir.path],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  const pattern = new RegExp(`run 01CHILD on host .* \\(pid ${child.pid}\\)`);
  await assert.rejects(lease(directory(dir.path), "01MINE"), pattern);
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  assert.ok(existsSync(dir.join("app.lease")));
  await (await lease(directory(dir.path), "01MINE")).release();
  assert.equal(existsSync(dir.join("app.lease")), false);
});

Deno.test("acquireLease() uses an object where the file system has no locks", async () => {
  const inner = memory();
  const cause = Object.assign(new Error("No locks available"), { code: "ENOLCK" });
  const store: Store = {
    ...inner,
    lock: () => Promise.reject(new StoreError("Cannot lock", { cause })),
  };
  const first = await lease(store, "01FIRST");
  await assert.rejects(lease(store, "01SECOND"), /run 01FIRST/);
  await first.release();
  const broken: Store = { ...inner, lock: () => Promise.reject(new StoreError("Cannot lock: made to fail")) };
  await assert.rejects(lease(broken, "01FIRST"), /made to fail/);
});

Deno.test("acquireLease() by object renews it", async () => {
  const store = memory();
  const held = await lease(store, "01FIRST");
  const before = await bytesOf(store, "app.lease");
  await sleep(4 * TIMES.heartbeatMs);
  const after = await bytesOf(store, "app.lease");
  assert.notDeepEqual(after, before);
  await held.release();
  await sleep(2 * TIMES.heartbeatMs);
  assert.equal(await store.head("app.lease"), undefined);
});

Deno.test("acquireLease() by object takes over what stays unchanged for the expiry, and not before", async () => {
  for (
    const content of [stranger(), stranger({ renewedAt: daysAgo(-400) }), utf8("not a lease"), noise(100)]
  ) {
    const store = memory();
    await store.put("app.lease", content);
    const begin = performance.now();
    const mine = await lease(store, "01MINE", { wait: true });
    assert.ok(performance.now() - begin >= TIMES.expiryMs, `${performance.now() - begin} ms`);
    await assert.rejects(lease(store, "01SECOND"), /run 01MINE/);
    await mine.release();
  }
});

Deno.test("acquireLease() by object without waiting is busy, or watches a lease that looks old", async () => {
  const store = memory();
  await store.put("app.lease", stranger());
  const begin = performance.now();
  await assert.rejects(lease(store, "01MINE"), /run 01OTHER on host far \(pid 7\)/);
  assert.ok(performance.now() - begin < TIMES.expiryMs);
  for (const renewedAt of [daysAgo(1), daysAgo(-1), "never"]) {
    await store.put("app.lease", stranger({ renewedAt }));
    await (await lease(store, "01MINE")).release();
  }
  // Its clock is wrong, but it is alive.
  await store.put("app.lease", stranger({ renewedAt: daysAgo(1) }));
  const alive = setInterval(() => store.put("app.lease", stranger({ renewedAt: daysAgo(1) })), 30);
  await assert.rejects(lease(store, "01MINE"), BusyError);
  clearInterval(alive);
});

Deno.test("acquireLease() by object recognises a dead process of this machine at once", async () => {
  const self = describeSelf("01OTHER");
  if (self.machine === undefined) return; // not Linux: expiry decides
  const dead = new Deno.Command("true").spawn();
  await dead.status;
  const longAgo = { ...self, processStart: "1" }; // its number has been given to this process since
  for (const holder of [{ ...self, pid: dead.pid }, longAgo]) {
    const store = memory();
    await store.put("app.lease", utf8(encodeHolder(holder)));
    const begin = performance.now();
    const mine = await lease(store, "01MINE");
    assert.ok(performance.now() - begin < TIMES.expiryMs, `${performance.now() - begin} ms`);
    await mine.release();
  }
  for (const holder of [self, { ...self, pid: dead.pid, machine: "another boot or container" }]) {
    const store = memory();
    await store.put("app.lease", utf8(encodeHolder(holder)));
    await assert.rejects(lease(store, "01MINE"), BusyError);
  }
});

Deno.test("acquireLease() by object lets one of many waiters take over, on a store with delays", async () => {
  const delays = noise(100_000, 5);
  let at = 0;
  const delay = (): Promise<void> => sleep(delays[at++]! / 40);
  for (let round = 0; round < 4; round++) {
    const inner = memory();
    const store: Store = {
      ...inner,
      put: async (key, body, options) => {
        await delay();
        await inner.put(key, body, options);
        await delay();
      },
      get: async (key) => {
        await delay();
        const stream = await inner.get(key);
        await delay();
        return stream;
      },
      delete: async (key) => {
        await delay();
        await inner.delete(key);
        await delay();
      },
    };
    await inner.put("app.lease", stranger());
    let holders = 0;
    await Promise.all(Array.from({ length: 6 }, async (_, i) => {
      const mine = await lease(store, `01RUN${i}`, { wait: true });
      assert.equal(++holders, 1);
      await sleep(20);
      assert.equal(holders--, 1);
      assert.equal(mine.lost.aborted, false);
      await mine.release();
    }));
    assert.equal(await inner.head("app.lease"), undefined);
  }
});

Deno.test("acquireLease() by object does not take over what a faster waiter took over meanwhile", async () => {
  const inner = memory();
  await inner.put("app.lease", stranger());
  const gate = Promise.withResolvers<void>();
  const store = faulty(inner, [{ on: "put", key: /\+/, nth: 1, how: "stall", until: gate.promise }]);
  const controller = new AbortController();
  const slow = lease(store, "01SLOW", { wait: true, signal: controller.signal });
  while (!store.calls.some((call) => call.startsWith("put app+"))) await sleep(10);
  const fast = await lease(inner, "01FAST", { wait: true });
  gate.resolve();
  await sleep(2 * TIMES.expiryMs);
  assert.equal(fast.lost.aborted, false);
  await assert.rejects(lease(inner, "01THIRD"), /run 01FAST/);
  controller.abort(new Error("Done"));
  await assert.rejects(slow, /Done/);
  await fast.release();
});

Deno.test("acquireLease() by object gets past the claim of a waiter that died", async () => {
  const store = memory();
  const stale = stranger();
  const claim = `app+${sha256(stale).slice(0, 16)}.lease`;
  await store.put("app.lease", stale);
  await store.put(claim, stranger({ run: "01DEAD" }));
  const mine = await lease(store, "01MINE", { wait: true });
  assert.equal(await store.head(claim), undefined);
  await mine.release();
});

Deno.test("acquireLease() by object tells a holder that it lost its lease, and leaves the other's alone", async () => {
  const store = memory();
  const mine = await lease(store, "01MINE");
  await store.put("app.lease", stranger());
  await fired(mine.lost);
  assert.match(
    String(mine.lost.reason),
    /^BusyError: Lost the lease "app\.lease": run 01OTHER on host far \(pid 7\) has/,
  );
  await mine.release();
  assert.deepEqual(JSON.parse(new TextDecoder().decode(await bytesOf(store, "app.lease"))).run, "01OTHER");
});

Deno.test("acquireLease() by object survives lost answers, and is lost when it cannot be renewed", async () => {
  const infos: string[] = [];
  const shaky = faulty(memory(), [{ on: "put", nth: 2, how: "after" }, { on: "get", nth: 1, how: "fail" }]);
  const first = await lease(shaky, "01FIRST", { infos });
  await sleep(8 * TIMES.heartbeatMs);
  assert.equal(first.lost.aborted, false);
  assert.equal(infos.length, 2);
  await first.release();
  const down = faulty(memory(), [{ on: "get", how: "fail" }]);
  const second = await lease(down, "01SECOND", { infos });
  await fired(second.lost);
  assert.match(String(second.lost.reason), /it could not be renewed/);
  await second.release();
  assert.match(infos.at(-1)!, /Cannot remove the lease "app\.lease", it will expire/);
});

Deno.test("acquireLease() by object writes it again when someone removed it", async () => {
  const store = memory();
  const mine = await lease(store, "01MINE");
  await store.delete("app.lease");
  await sleep(4 * TIMES.heartbeatMs);
  await assert.rejects(lease(store, "01OTHER"), /run 01MINE/);
  await mine.release();
});

Deno.test("acquireLease() repeats nothing that could drive a terminal", async () => {
  const store = memory();
  const flicker = setInterval(() => store.put("app.lease", stranger({ host: "\u001b[2Jfar" })), 20);
  await store.put("app.lease", stranger({ host: "\u001b[2Jfar" }));
  await assert.rejects(lease(store, "01MINE"), (error) => {
    assert.ok(error instanceof BusyError && !error.message.includes("\u001b"), String(error));
    return true;
  });
  clearInterval(flicker);
});

Deno.test("acquireLease() refuses times that cannot work", async () => {
  for (const times of [{ heartbeatMs: 0 }, { heartbeatMs: 100, expiryMs: 150 }, { heartbeatMs: NaN }]) {
    await assert.rejects(lease(memory(), "01MINE", times), RangeError);
  }
});

async function fired(signal: AbortSignal): Promise<void> {
  for (let waited = 0; !signal.aborted; waited += 10) {
    assert.ok(waited < 5000, "the signal did not fire");
    await sleep(10);
  }
}
