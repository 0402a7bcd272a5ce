/**
 * put: what fails leaves no trace.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Store } from "../../stage.ts";
import { bytesOf, type Check, failing, gated, keysOf, MIB, noise, type Place } from "./help.ts";

/** Sentences about writes that fail or are cancelled. */
export function testFailedPut(check: Check): void {
  for (const ifAbsent of [false, true]) {
    const how = ifAbsent ? "with ifAbsent" : "that replaces";
    check(`put ${how} whose source fails leaves the store as it was`, async ({ store, debris }) => {
      if (!ifAbsent) await store.put("app", noise(100));
      for (const size of [0, 100_000, 3 * MIB]) {
        const failure = new Error("Made to fail");
        for (const key of ["app", "f/g/app"]) {
          await assert.rejects(
            store.put(key, failing(size, failure), { ifAbsent }),
            (error) => error === failure,
          );
        }
      }
      await assertAsBefore(store, ifAbsent, debris);
    });

    check(`put ${how} that is cancelled leaves the store as it was`, async ({ store, debris }) => {
      if (!ifAbsent) await store.put("app", noise(100));
      for (const size of [0, 100_000, 3 * MIB]) {
        const gate = gated(noise(4 * MIB), size);
        const controller = new AbortController();
        const reason = new Error("Cancelled by the test");
        const putting = store.put("app", gate.body, { ifAbsent, signal: controller.signal });
        await gate.reached;
        controller.abort(reason);
        await assert.rejects(putting, (error) => error === reason);
        assert.ok(gate.cancelled(), "the source was not told");
      }
      await assertAsBefore(store, ifAbsent, debris);
    });
  }

  check("put does not begin when it is cancelled already", async ({ store, debris }) => {
    const gate = gated(noise(10), 0);
    const signal = AbortSignal.abort(new Error("Cancelled before"));
    await assert.rejects(store.put("app", gate.body, { signal }), /Cancelled before/);
    assert.ok(gate.cancelled(), "the source was not told");
    await assert.rejects(store.put("app", noise(10), { signal }), /Cancelled before/);
    assert.deepEqual(await keysOf(store), []);
    assert.deepEqual(await debris(), []);
  });
}

async function assertAsBefore(store: Store, absent: boolean, debris: Place["debris"]): Promise<void> {
  if (absent) assert.equal(await store.head("app"), undefined);
  else assert.deepEqual(await bytesOf(store, "app"), noise(100));
  assert.deepEqual(await keysOf(store), absent ? [] : ["app"]);
  assert.deepEqual(await debris(), []);
}
