import assert from "node:assert/strict";
import { ExistsError, StoreError } from "../../src/errors.ts";
import type { Bytes, U8 } from "../../src/stage.ts";
import { memory } from "../../src/store/mod.ts";
import { faulty } from "../../src/testing/faulty.ts";
import { bytesOf, keysOf } from "../contract/store.ts";
import { inChunks, noise } from "../support.ts";

Deno.test("faulty() fails the nth call of a kind and a key, and no other", async () => {
  const error = (): Error => new ExistsError("Mine");
  const store = faulty(memory(), [
    { on: "put", key: /\.intent$/, nth: 2, how: "fail", error },
    { on: "put", key: /late/, how: "after" },
    { on: "delete", how: "fail" },
    { on: "head", nth: 1, how: "fail" },
  ]);
  await store.put("a.intent", noise(1));
  await store.put("app", noise(1));
  await assert.rejects(store.put("b.intent", noise(1)), /Mine/);
  await store.put("b.intent", noise(1));
  await assert.rejects(store.put("late", noise(1)), StoreError);
  await assert.rejects(store.delete("app"), StoreError);
  await assert.rejects(store.head("app"), StoreError);
  assert.equal((await store.head("app"))?.bytes, 1);
  assert.deepEqual(await keysOf(store), ["a.intent", "app", "b.intent", "late"]);
  assert.deepEqual(store.calls.slice(0, 3), ["put a.intent", "put app", "put b.intent"]);
});

Deno.test("faulty() leaves no stream open that nobody gets or reads", async () => {
  let open = 0;
  const inner = memory();
  await inner.put("app", noise(10));
  const counting = {
    ...inner,
    get: (): Promise<Bytes> => {
      open++;
      return Promise.resolve(new ReadableStream<U8>({ cancel: () => void open-- }));
    },
  };
  const store = faulty(counting, [{ on: "get", nth: 1, how: "after" }, { on: "get", how: "slow", ms: 1 }]);
  await assert.rejects(store.get("app"), StoreError);
  assert.equal(open, 0, "the answer got lost");
  await (await store.get("app")).cancel();
  assert.equal(open, 0, "cancelled before it was read");
});

Deno.test("faulty() tears, cuts and flips", async () => {
  const inner = memory();
  const store = faulty(inner, [
    { on: "put", key: /torn/, how: "tear", at: 700 },
    { on: "put", key: /short/, how: "cut", at: 700 },
    { on: "get", key: /app/, nth: 1, how: "cut", at: 300 },
    { on: "get", key: /app/, nth: 2, how: "flip", at: 300 },
    { on: "get", key: /app/, nth: 3, how: "tear", at: 300 },
    { on: "list", nth: 1, how: "cut", at: 1 },
    { on: "list", nth: 2, how: "tear", at: 1 },
  ]);
  const bytes = noise(1000);
  await store.put("app", inChunks(bytes, 64));
  await assert.rejects(store.put("torn", inChunks(bytes, 64)), StoreError);
  await store.put("short", inChunks(bytes, 64));
  assert.deepEqual(await bytesOf(inner, "short"), bytes.slice(0, 700));
  assert.deepEqual(await bytesOf(store, "app"), bytes.slice(0, 300));
  const flipped = await bytesOf(store, "app");
  assert.equal(flipped[300]! ^ bytes[300]!, 1);
  await assert.rejects(bytesOf(store, "app"), StoreError);
  assert.deepEqual(await bytesOf(store, "app"), bytes);
  assert.deepEqual(await keysOf(store), ["app"]);
  await assert.rejects(keysOf(store), StoreError);
  assert.deepEqual(await keysOf(store), ["app", "short"]);
});

Deno.test("faulty() stalls until it is told, or cancelled", async () => {
  const gate = Promise.withResolvers<void>();
  const store = faulty(memory(), [{ on: "put", how: "stall", at: 500, until: gate.promise, nth: 1 }]);
  let done = false;
  const putting = store.put("app", noise(1000)).then(() => done = true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(done, false);
  gate.resolve();
  await putting;
  assert.deepEqual(await bytesOf(store, "app"), noise(1000));
});
