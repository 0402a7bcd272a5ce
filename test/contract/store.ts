/** The contract of every store: one test for each sentence. A new store is tested by one call of `testStore`. */
import assert from "node:assert/strict";
import { concat, readAll, toBytes } from "../../src/bytes.ts";
import { ExistsError, NotFoundError, StoreError } from "../../src/errors.ts";
import type { Bytes, Store, StoreItem, U8 } from "../../src/stage.ts";
import { inChunks, noise } from "../support.ts";

const MIB = 1024 * 1024;

/** A store to test. */
export interface Fixture {
  /** Empty, and nobody else's. */
  readonly store: Store;
  /** Takes the place away, so that every call must fail: a folder removed, a server stopped. */
  readonly vanish?: () => Promise<void>;
  /** What lies there that a listing does not show, lock files aside: parts, temporary files. */
  readonly debris: () => Promise<readonly string[]>;
  /** Removes everything. */
  readonly close: () => Promise<void>;
}

/** Options of {@linkcode testStore}. */
export interface ContractOptions {
  /** How many objects make a long listing. Default: 1,100, more than a page of S3. */
  readonly many?: number;
}

/** Registers the contract's tests for a store. */
export function testStore(name: string, make: () => Promise<Fixture>, options: ContractOptions = {}): void {
  const check = (sentence: string, run: (fixture: Fixture) => Promise<void>): void => {
    Deno.test({
      name: `${name} ${sentence}`,
      sanitizeResources: true, // a file left open is a failure
      sanitizeOps: true,
      fn: async () => {
        const fixture = await make();
        try {
          await run(fixture);
        } finally {
          await fixture.close();
        }
      },
    });
  };
  testPut(check);
  testFailedPut(check);
  testGet(check);
  testList(check, options.many ?? 1100);
  testDelete(check);
  testErrors(check);
  testLock(check);
}

type Check = (sentence: string, run: (fixture: Fixture) => Promise<void>) => void;

function testPut(check: Check): void {
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

function testFailedPut(check: Check): void {
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

async function assertAsBefore(store: Store, absent: boolean, debris: Fixture["debris"]): Promise<void> {
  if (absent) assert.equal(await store.head("app"), undefined);
  else assert.deepEqual(await bytesOf(store, "app"), noise(100));
  assert.deepEqual(await keysOf(store), absent ? [] : ["app"]);
  assert.deepEqual(await debris(), []);
}

function testGet(check: Check): void {
  check("get gives ranges", async ({ store }) => {
    const bytes = noise(3 * MIB + 17);
    await store.put("app", bytes);
    const ends = [0, 1, 65_536, MIB, MIB + 1, bytes.length - 1, bytes.length];
    for (const start of ends) {
      for (const end of ends.filter((end) => end >= start)) {
        const part = await readAll(await store.get("app", { start, end }), 2 ** 30);
        assert.deepEqual(part, bytes.slice(start, end), `${start} to ${end}`);
      }
    }
  });

  check("get refuses ranges that are wrong or end behind the object", async ({ store }) => {
    await store.put("app", noise(10));
    for (const [start, end] of [[-1, 3], [3, 2], [0.5, 2], [0, NaN], [0, 11], [10, 11], [11, 11]] as const) {
      await assert.rejects(store.get("app", { start, end }), RangeError, `${start} to ${end}`);
    }
    assert.deepEqual(await bytesOf(store, "app"), noise(10));
  });

  check("get gives chunks of at most 1 MiB, none of them empty", async ({ store }) => {
    await store.put("app", noise(2 * MIB + 1));
    for await (const chunk of await store.get("app")) assert.ok(chunk.length > 0 && chunk.length <= MIB);
  });

  check("get gives bytes that are the reader's own", async ({ store }) => {
    await store.put("app", noise(1000));
    for await (const chunk of await store.get("app")) chunk.fill(0);
    assert.deepEqual(await bytesOf(store, "app"), noise(1000));
  });

  check("get can be cancelled before, between and while reading", async ({ store }) => {
    await store.put("app", noise(4 * MIB));
    await (await store.get("app")).cancel();
    const between = (await store.get("app")).getReader();
    await between.read();
    await between.cancel();
    const during = (await store.get("app")).getReader();
    const reading = during.read();
    await during.cancel();
    await reading;
  });

  check("get under way is not mixed with a replacement", async ({ store }) => {
    const [old, young] = [noise(4 * MIB, 1), noise(4 * MIB, 2)];
    await store.put("app", old);
    const reader = (await store.get("app")).getReader();
    const chunks: U8[] = [(await reader.read()).value!];
    await store.put("app", young);
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) chunks.push(next.value);
    } catch {
      return; // an error is fine, a mixture is not
    }
    assert.deepEqual(concat(chunks), old);
  });
}

function testList(check: Check, many: number): void {
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

function testDelete(check: Check): void {
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

function testErrors(check: Check): void {
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

function testLock(check: Check): void {
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

/** All bytes of an object. */
export async function bytesOf(store: Store, key: string): Promise<U8> {
  return await readAll(await store.get(key), 2 ** 30);
}

/** All keys of a listing. */
export async function keysOf(store: Store, prefix?: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const item of store.list(prefix)) keys.push(item.key);
  return keys;
}

function compareBytes(a: string, b: string): number {
  const [x, y] = [new TextEncoder().encode(a), new TextEncoder().encode(b)];
  const at = x.findIndex((byte, i) => byte !== y[i]);
  return at === -1 ? x.length - y.length : x[at]! - (y[at] ?? -1);
}

/** Gives `size` bytes and fails. */
function failing(size: number, failure: Error): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for await (const chunk of inChunks(noise(size), 64_000)) yield chunk;
    throw failure;
  });
}

/** Gives at least `size` of the bytes, and waits for `open` before it gives the rest. */
function gated(bytes: U8, size: number): {
  body: Bytes;
  reached: Promise<void>;
  open: () => void;
  cancelled: () => boolean;
} {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  let at = 0;
  let cancelled = false;
  const body = new ReadableStream<U8>({
    async pull(controller): Promise<void> {
      if (at >= size) {
        reached.resolve();
        await opened.promise;
      }
      if (cancelled) return;
      const chunk = bytes.slice(at, at + 64_000);
      at += chunk.length;
      if (chunk.length > 0) controller.enqueue(chunk);
      else controller.close();
    },
    cancel(): void {
      cancelled = true;
      opened.resolve();
    },
  }, { highWaterMark: 0 });
  return { body, reached: reached.promise, open: opened.resolve, cancelled: () => cancelled };
}
