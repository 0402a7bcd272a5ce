/**
 * get: whole, in parts, and given up.
 *
 * @module
 */
import assert from "node:assert/strict";
import { concat, readAll } from "../../bytes.ts";
import type { U8 } from "../../stage.ts";
import { bytesOf, type Check, MIB, noise } from "./help.ts";

/** Sentences about reads. */
export function testGet(check: Check): void {
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
