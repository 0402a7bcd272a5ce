/**
 * list and delete.
 *
 * @module
 */
import assert from "node:assert/strict";
import { NotFoundError } from "../../errors.ts";
import type { StoreItem } from "../../stage.ts";
import { bytesOf, type Check, compareBytes, keysOf, noise } from "./help.ts";

/** Sentences about listings. */
export function testList(check: Check, many: number): void {
  check("list gives nothing for an empty store or a foreign prefix", async ({ store }) => {
    assert.deepEqual(await keysOf(store), []);
    await store.put("app", noise(1));
    for (const prefix of ["b", "app/", "appp", "../", "/"]) assert.deepEqual(await keysOf(store, prefix), []);
  });

  check("list sorts by the bytes of the keys, across folders", async ({ store }) => {
    const keys = [
      "a-b",
      "a/b",
      "a/b/c.d",
      "a.b",
      "a b",
      "ab",
      "B",
      "é",
      "日本/語",
      "\u{1f600}",
      "\uff5e",
      "a/Z",
      "a0",
    ];
    // A file "a/b" and a folder "a/b" cannot both be in a folder, though they can be on S3: not part of the contract.
    const usable = keys.filter((key) => key !== "a/b");
    for (const key of usable) await store.put(key, noise(key.length));
    const sorted = usable.toSorted((a, b) => compareBytes(a, b));
    assert.deepEqual(await keysOf(store), sorted);
    for (const prefix of ["a", "a/", "a/b", "a/b/c", "a ", "日"]) {
      assert.deepEqual(await keysOf(store, prefix), sorted.filter((key) => key.startsWith(prefix)), prefix);
    }
  });

  check("list gives size and time, as head does", async ({ store }) => {
    await store.put("app", noise(1234));
    const items: StoreItem[] = [];
    for await (const item of store.list()) items.push(item);
    assert.deepEqual(items, [await store.head("app")]);
    assert.equal(items[0]!.bytes, 1234);
    assert.ok(Math.abs(items[0]!.modified.getTime() - Date.now()) < 60_000);
  });

  check(`list gives all of ${many} objects`, async ({ store }) => {
    const keys = Array.from({ length: many }, (_, i) => `app_${String(i).padStart(6, "0")}`);
    const left = [...keys];
    await Promise.all(Array.from({ length: 16 }, async () => {
      for (let key = left.pop(); key !== undefined; key = left.pop()) await store.put(key, new Uint8Array(1));
    }));
    assert.deepEqual(await keysOf(store, "app_"), keys);
    for await (const item of store.list()) {
      assert.equal(item.key, keys[0]);
      break; // leaving early releases the listing
    }
  });

  check("list does not show leases, which otherwise are objects", async ({ store }) => {
    await store.put("app.lease", noise(10), { ifAbsent: true });
    await store.put("f/app.lease", noise(10));
    assert.deepEqual(await keysOf(store), []);
    assert.deepEqual(await bytesOf(store, "app.lease"), noise(10));
    assert.equal((await store.head("app.lease"))?.bytes, 10);
    await store.delete("app.lease");
    assert.equal(await store.head("app.lease"), undefined);
  });
}

/** Sentences about deletions. */
export function testDelete(check: Check): void {
  check("delete removes one object, and its name is free again", async ({ store, debris }) => {
    await store.put("a/app", noise(10));
    await store.put("a/app2", noise(10));
    await store.delete("a/app");
    assert.deepEqual(await keysOf(store), ["a/app2"]);
    await assert.rejects(store.get("a/app"), NotFoundError);
    await store.put("a/app", noise(20), { ifAbsent: true });
    await store.delete("a/app");
    await store.delete("a/app2");
    await store.put("a", noise(20), { ifAbsent: true }); // no folder stands in its way
    assert.deepEqual(await debris(), []);
  });

  check("delete of nothing is fine", async ({ store }) => {
    for (const key of ["app", "a/b/c"]) {
      await store.delete(key);
      await store.delete(key);
    }
  });
}
