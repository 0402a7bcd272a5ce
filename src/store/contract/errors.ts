/**
 * What is absent, what is wrong, and who holds a lock.
 *
 * @module
 */
import assert from "node:assert/strict";
import { NotFoundError, StoreError } from "../../errors.ts";
import { type Check, inChunks, keysOf, noise } from "./help.ts";

/** Sentences about errors. */
export function testErrors(check: Check): void {
  check("tells what is absent: NotFoundError from get, undefined from head", async ({ store }) => {
    await store.put("a/b", noise(1));
    for (const key of ["app", "a", "a/c", "a/b/c"]) {
      await assert.rejects(store.get(key), NotFoundError, key);
      await assert.rejects(store.get(key, { start: 0, end: 0 }), NotFoundError, key);
      assert.equal(await store.head(key), undefined, key);
    }
  });

  check("never takes its own failure for absence", async ({ store, vanish }) => {
    await store.put("app", noise(10));
    if (!vanish) return;
    await vanish();
    const failed = (error: unknown): boolean =>
      error instanceof StoreError && error.message.includes(store.url);
    await assert.rejects(store.get("app"), failed);
    await assert.rejects(store.head("app"), failed);
    await assert.rejects(store.head("other"), failed);
    await assert.rejects(keysOf(store), failed);
    await assert.rejects(store.delete("app"), failed);
    await assert.rejects(store.put("app", inChunks(noise(10), 3)), failed);
  });

  check("refuses keys that are not safe", async ({ store, debris }) => {
    const long = "x".repeat(256);
    const keys = [
      "",
      "/",
      "/a",
      "a/",
      "a//b",
      ".",
      "..",
      "../a",
      "a/../b",
      "a/./b",
      "a\\b",
      "a\0",
      "a\nb",
      "\u007f",
    ];
    for (
      const key of [...keys, "\ud800", "a\ufffd", long, "y/".repeat(512) + "z", ".a.tmp-0123456789abcdef"]
    ) {
      await assert.rejects(store.put(key, noise(1)), TypeError, JSON.stringify(key));
      await assert.rejects(store.get(key), TypeError, JSON.stringify(key));
      await assert.rejects(store.head(key), TypeError, JSON.stringify(key));
      await assert.rejects(store.delete(key), TypeError, JSON.stringify(key));
    }
    assert.deepEqual(await keysOf(store), []);
    assert.deepEqual(await debris(), []);
    await store.put("x".repeat(230), noise(1)); // the allowed twin
  });

  check("tells its free space as a whole number, or not at all", async ({ store }) => {
    const free = await store.space?.();
    assert.ok(free === undefined || (Number.isSafeInteger(free) && free > 0));
  });
}

/** The sentence about locks. */
export function testLock(check: Check): void {
  check("lock, where there is one, has one holder at a time and shows its text", async ({ store }) => {
    if (!store.lock) return;
    const first = await store.lock("app.lease", "one");
    assert.ok(first.held);
    assert.deepEqual(await store.lock("app.lease", "two"), { held: false, holder: "one" });
    const other = await store.lock("other.lease", "three");
    assert.ok(other.held);
    await first.release();
    await first.release();
    const second = await store.lock("app.lease", "four");
    assert.ok(second.held);
    assert.deepEqual(await keysOf(store), []);
    await second.release();
    await other.release();
    await assert.rejects(store.lock("app", "five"), TypeError);
    await assert.rejects(store.lock("../app.lease", "six"), TypeError);
  });
}
