/** What a sweep must not delete, and a commit must not make visible. */
import { strict as assert } from "node:assert";
import { backup, prune, retain, store, verify } from "../../mod.ts";
import type { Store } from "../../mod.ts";
import { formatName } from "../../src/name.ts";
import { keysOf, planOf, treeScratch } from "./support.ts";

const DAY = 24 * 60 * 60 * 1000;
const T0 = new Date("2026-11-20T03:00:00Z");
const idAt = (time: Date): string => formatName("app", time, ".tar.zst.age");

/** A store whose listing still shows the run `id` as under way, since two days ago. */
function late(inner: Store, id: string): Store {
  return {
    ...inner,
    list: async function* (prefix): AsyncGenerator<{ key: string; bytes: number; modified: Date }> {
      for await (const item of inner.list(prefix)) {
        if (item.key === id) {
          yield { key: `${id}.intent`, bytes: 1, modified: new Date(Date.now() - 2 * DAY) };
        }
        if (item.key !== `${id}.receipt.json`) yield item;
      }
    },
  };
}

Deno.test("a listing that comes late does not make a whole backup look dead", async () => {
  using dir = treeScratch();
  const inner = store.memory();
  await backup(planOf(dir.join("src"), inner), { now: T0 });
  await backup(planOf(dir.join("src"), late(inner, idAt(T0))), { now: new Date(Date.now() + DAY) });
  const keys = await keysOf(inner);
  for (const suffix of ["", ".receipt.json", ".index", ".sha256"]) {
    assert.ok(keys.includes(idAt(T0) + suffix));
  }
});

Deno.test("a name that was pruned and given again, by a clock set back, is another backup", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planOf(dir.join("src"), target);
  await backup(plan, { now: T0 });
  const second = new Date(T0.getTime() + 1000);
  await backup(plan, { now: second });
  await retain(plan.pipe(prune({ keepLast: 1 })), { confirm: true, now: second });
  assert.ok(!(await keysOf(target)).includes(idAt(T0)));
  await backup(plan, { now: T0 });
  await backup(plan, { now: new Date(T0.getTime() + 2000) });
  assert.ok((await keysOf(target)).includes(idAt(T0)), "the announcement was of another one");
  await verify(plan);
});

Deno.test("a run whose parts another has swept does not commit", async () => {
  using dir = treeScratch();
  for (const gone of ["", ".intent"]) {
    const inner = store.memory();
    const id = idAt(T0);
    const robbed: Store = {
      ...inner,
      put: async (key, body, options) => {
        await inner.put(key, body, options);
        if (key.endsWith(".index")) queueMicrotask(() => void inner.delete(id + gone));
      },
    };
    await assert.rejects(
      backup(planOf(dir.join("src"), robbed), { now: T0 }),
      /which this run wrote, is gone.*Run the backup again/,
    );
    assert.ok(!(await keysOf(inner)).includes(`${id}.receipt.json`));
  }
});

Deno.test("a run that has lost its lease does not commit", async () => {
  using dir = treeScratch();
  const inner = store.memory();
  const taken = new TextEncoder().encode("another");
  const contested: Store = {
    ...inner,
    put: async (key, body, options) => {
      if (key.endsWith(".sha256")) {
        await inner.put("app.lease", taken);
        await seen.promise;
      }
      await inner.put(key, body, options);
    },
    get: async (key, range) => {
      if (key === "app.lease") timer ??= setTimeout(seen.resolve, 50); // the heartbeat finds another's text
      return await inner.get(key, range);
    },
  };
  const seen = Promise.withResolvers<void>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const awake = setInterval(() => {}, 1000); // a heartbeat keeps no process alive
  const plan = planOf(dir.join("src"), contested, { lease: { heartbeatMs: 10, expiryMs: 20 } });
  await assert.rejects(backup(plan, { now: T0 }), /Lost the lease "app.lease"/).finally(() =>
    clearInterval(awake)
  );
  assert.ok(!(await keysOf(inner)).some((key) => key.startsWith("app_")));
});

Deno.test("upload() refuses times of a lease that cannot work", () => {
  assert.throws(() => planOf(".", store.memory(), { lease: { heartbeatMs: 10, expiryMs: 19 } }), RangeError);
});
