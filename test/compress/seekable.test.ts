import assert from "node:assert/strict";
import { bodyOf } from "../../src/bytes.ts";
import { createTable, readSeekTable, type SeekTable } from "../../src/compress/seekable.ts";
import { IntegrityError } from "../../src/errors.ts";
import type { U8 } from "../../src/stage.ts";

/** An object of frames with these stored and content sizes, and its table. */
function object(...sizes: (readonly [stored: number, content: number])[]): U8 {
  const table = createTable();
  let stored = 0;
  for (const [size, content] of sizes) {
    table.add(size, content);
    stored += size;
  }
  const end = table.end();
  const bytes = new Uint8Array(stored + end.length);
  bytes.set(end, stored);
  return bytes;
}

async function read(bytes: U8): Promise<SeekTable | undefined> {
  return await readSeekTable((await bodyOf(bytes).open!())!);
}

Deno.test("createTable() writes the format's bytes", () => {
  const bytes = object([3, 2097152], [2, 258]).subarray(5);
  // deno-fmt-ignore -- magic, length 25, two entries, two frames, no flags, footer
  assert.deepEqual([...bytes], [
    0x5e, 0x2a, 0x4d, 0x18, 25, 0, 0, 0,
    3, 0, 0, 0, 0, 0, 0x20, 0,
    2, 0, 0, 0, 2, 1, 0, 0,
    2, 0, 0, 0, 0, 0xb1, 0xea, 0x92, 0x8f,
  ]);
});

Deno.test("readSeekTable() gives both offsets of each frame, and the frame of a byte", async () => {
  const sizes = Array.from({ length: 1000 }, (_, i) => [10 + i % 7, i % 5 === 0 ? 0 : 100 + i] as const);
  const table = await read(object(...sizes));
  assert.equal(table?.frames, 1000);
  assert.equal(table.stored[1000], sizes.reduce((sum, [size]) => sum + size, 0));
  for (let i = 0; i < 1000; i++) {
    assert.equal(table.stored[i + 1]! - table.stored[i]!, sizes[i]![0]);
    if (sizes[i]![1] === 0) continue;
    assert.equal(table.at(table.content[i]!), i);
    assert.equal(table.at(table.content[i + 1]! - 1), i);
  }
  assert.throws(() => table.at(table.content[1000]!), RangeError);
  assert.throws(() => table.at(-1), RangeError);
});

Deno.test("readSeekTable() takes the checksums of other writers and passes over them", async () => {
  const plain = object([4, 50], [6, 60]);
  const bytes = new Uint8Array(plain.length + 8);
  bytes.set(plain.subarray(0, 18 + 8));
  bytes.set(plain.subarray(18 + 8, 18 + 16), 18 + 12);
  bytes.set(plain.subarray(-9), bytes.length - 9);
  bytes[bytes.length - 5] = 0x80;
  bytes[14] = 12 * 2 + 9;
  const table = await read(bytes);
  assert.deepEqual([...table!.stored], [0, 4, 10]);
  assert.deepEqual([...table!.content], [0, 50, 110]);
});

Deno.test("readSeekTable() is undefined without a table and throws on one that does not fit", async () => {
  assert.equal(await read(new Uint8Array(100)), undefined);
  assert.equal(await read(new Uint8Array(0)), undefined);
  const good = object([40, 50], [6, 60]);
  for (let at = 46; at < good.length; at++) {
    // Content sizes can only be checked against the content: expand() does.
    if ((at >= 58 && at < 62) || (at >= 66 && at < 70)) continue;
    const bytes = good.slice();
    bytes[at]! ^= 4;
    if (at >= good.length - 5) assert.equal(await read(bytes), undefined, `byte ${at}`);
    else await assert.rejects(read(bytes), IntegrityError, `byte ${at}`);
  }
  const crowded = good.slice();
  crowded[crowded.length - 8] = 1;
  const strict = {
    size: crowded.length,
    at: (start: number, end: number): Promise<U8> => {
      assert.ok(start >= 0, "more entries than the object has bytes");
      return Promise.resolve(crowded.slice(start, end));
    },
  };
  await assert.rejects(readSeekTable(strict), IntegrityError);
  await assert.rejects(
    read(good.slice(1)),
    /Cannot read the seek table of the archive: its sizes do not add up/,
  );
});
