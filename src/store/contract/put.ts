/**
 * put: what is written is there, whole.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ExistsError, NotFoundError } from "../../errors.ts";
import { bytesOf, type Check, gated, inChunks, keysOf, MIB, noise } from "./help.ts";

/** Sentences about writes that succeed or are refused. */
export function testPut(check: Check): void {
  for (const size of [0, 1, 65_536, MIB - 1, MIB, MIB + 1, 3 * MIB + 7]) {
    check(`put takes a stream of unknown length: ${size} bytes`, async ({ store }) => {
      const bytes = noise(size, size + 1);
      await store.put("app", inChunks(bytes, 100_003));
      assert.deepEqual(await bytesOf(store, "app"), bytes);
      assert.equal((await store.head("app"))?.bytes, size);
    });
  }

  check("put takes bytes, and does not keep the caller's", async ({ store }) => {
    const bytes = noise(1000);
    await store.put("app", bytes);
    const expected = bytes.slice();
    bytes.fill(0);
    assert.deepEqual(await bytesOf(store, "app"), expected);
  });

  check("put replaces", async ({ store }) => {
    await store.put("app", noise(3000, 1));
    await store.put("app", noise(2000, 2));
    assert.deepEqual(await bytesOf(store, "app"), noise(2000, 2));
    assert.deepEqual(await keysOf(store), ["app"]);
  });

  check(
    "put with ifAbsent creates, then fails, and leaves the object as it is",
    async ({ store, debris }) => {
      await store.put("app", inChunks(noise(3000, 1), 1000), { ifAbsent: true });
      const before = await store.head("app");
      for (const other of [noise(3000, 2), noise(10, 1), noise(0)]) {
        await assert.rejects(store.put("app", other, { ifAbsent: true }), ExistsError);
        await assert.rejects(store.put("app", inChunks(other, 7), { ifAbsent: true }), ExistsError);
      }
      assert.deepEqual(await store.head("app"), before);
      assert.deepEqual(await bytesOf(store, "app"), noise(3000, 1));
      assert.deepEqual(await debris(), []);
    },
  );

  check("put with ifAbsent that meets its own bytes succeeds", async ({ store, debris }) => {
    for (const size of [0, 10, 2 * MIB + 5]) {
      await store.put(`app${size}`, noise(size), { ifAbsent: true });
      await store.put(`app${size}`, inChunks(noise(size), 99_991), { ifAbsent: true });
    }
    assert.deepEqual(await debris(), []);
  });

  check("of concurrent puts with ifAbsent exactly one wins", async ({ store, debris }) => {
    for (let round = 0; round < 5; round++) {
      const bodies = Array.from({ length: 8 }, (_, i) => noise(5000, 100 * round + i + 1));
      const results = await Promise.allSettled(
        bodies.map((body) => store.put(`app${round}`, inChunks(body, 1000), { ifAbsent: true })),
      );
      const winners = bodies.filter((_, i) => results[i]!.status === "fulfilled");
      assert.equal(winners.length, 1);
      assert.deepEqual(await bytesOf(store, `app${round}`), winners[0]);
      for (const result of results) {
        if (result.status === "rejected") {
          assert.ok(result.reason instanceof ExistsError, String(result.reason));
        }
      }
    }
    assert.deepEqual(await debris(), []);
  });

  check("put shows readers the old object, or none, until it is whole", async ({ store }) => {
    await store.put("old", noise(500, 1));
    for (const [key, expected] of [["old", noise(500, 1)], ["new", undefined]] as const) {
      const gate = gated(noise(3 * MIB, 9), 100_000);
      const putting = store.put(key, gate.body);
      await gate.reached;
      assert.equal((await store.head(key))?.bytes, expected?.length);
      assert.deepEqual((await keysOf(store)).includes(key), expected !== undefined);
      if (expected) assert.deepEqual(await bytesOf(store, key), expected);
      else await assert.rejects(store.get(key), NotFoundError);
      gate.open();
      await putting;
      assert.deepEqual(await bytesOf(store, key), noise(3 * MIB, 9));
    }
  });

  check("put of many keys at once keeps them apart", async ({ store }) => {
    await Promise.all(
      Array.from({ length: 12 }, (_, i) => store.put(`f/${i}`, inChunks(noise(9000, i + 1), 1000))),
    );
    for (let i = 0; i < 12; i++) assert.deepEqual(await bytesOf(store, `f/${i}`), noise(9000, i + 1));
  });
}
