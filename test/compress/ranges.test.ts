import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { zstdCompressSync } from "node:zlib";
import { bodyOf, concat, utf8 } from "../../src/bytes.ts";
import { gzip } from "../../src/compress/gzip.ts";
import { frameLength } from "../../src/compress/frames.ts";
import { createTable } from "../../src/compress/seekable.ts";
import { zstd } from "../../src/compress/zstd.ts";
import { findError, IntegrityError } from "../../src/errors.ts";
import type { Reader, U8 } from "../../src/stage.ts";
import { judged, noise, scratch, sh, streamOf, testContext } from "../support.ts";
import { archive, lines, pack } from "./support.ts";

const MIB = 2 ** 20;

/** Opens an object by ranges, and notes what of it is asked for. */
async function opened(object: U8): Promise<{ reader: Reader | undefined; asked: () => number }> {
  const inner = (await bodyOf(object).open!())!;
  let asked = 0;
  const at = (start: number, end: number): Promise<U8> => {
    asked += end - start;
    return inner.at(start, end);
  };
  const body = { read: () => streamOf(object), open: () => Promise.resolve({ size: inner.size, at }) };
  const undone = await zstd().undo({ ...archive(() => streamOf(object)), body }, testContext());
  return { reader: await undone.body.open!(), asked: () => asked };
}

function isIntegrity(error: unknown): boolean {
  assert.ok(findError(error, IntegrityError), String(error));
  return true;
}

/** A frame of known length with a checksum, as zstd() writes it. */
function frameOf(content: U8): U8 {
  const options = { pledgedSrcSize: content.length, chunkSize: content.length + 4096 };
  const frame = new Uint8Array(zstdCompressSync(content, options));
  return frame.slice(0, frameLength(frame));
}

Deno.test("zstd() undone by ranges gives the bytes of each range, and asks for the frames it needs", async () => {
  const plain = concat([lines(5 * MIB), noise(3 * MIB + 77)]);
  const { reader, asked } = await opened(await pack(zstd(), plain));
  assert.equal(reader?.size, plain.length);
  const edges = [0, 1, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 4 * MIB, 7 * MIB, plain.length - 1, plain.length];
  for (const start of edges) {
    for (const end of edges.filter((end) => end >= start)) {
      assert.deepEqual(await reader.at(start, end), plain.slice(start, end), `${start} to ${end}`);
    }
  }
  await assert.rejects(reader.at(0, plain.length + 1), /Cannot read bytes/);
  await reader.at(7 * MIB, 7 * MIB + 1);
  const before = asked();
  for (let i = 1; i < 100; i++) await reader.at(7 * MIB - 1000 * i, 7 * MIB - 900 * i);
  assert.equal(asked(), before, "neighbours come from the frame at hand");
});

Deno.test("ranges need a table: gzip, foreign zstd and frames above 8 MiB have no reader; a clear tar is its own", async () => {
  const plain = lines(3 * MIB);
  assert.equal((await opened(await pack(gzip(), plain))).reader, undefined);
  assert.equal((await opened(new Uint8Array(zstdCompressSync(plain)))).reader, undefined);
  const large = frameOf(lines(9 * MIB));
  const table = createTable();
  table.add(large.length, 9 * MIB);
  assert.equal((await opened(concat([large, table.end()]))).reader, undefined);
  const tar = new Uint8Array(10240);
  tar.set(utf8("ustar"), 257);
  assert.equal((await opened(tar)).reader?.size, 10240);
});

Deno.test("a table that lies about frames gives errors, never more than frames hold", async () => {
  const [a, b] = [lines(MIB), noise(MIB)];
  const [first, second] = [frameOf(a), frameOf(b)];
  const rows = {
    "contents swapped": [[first.length, MIB + 1], [second.length, MIB - 1]],
    "one frame for two": [[first.length + second.length, 2 * MIB]],
    "edges moved": [[first.length + 1, MIB], [second.length - 1, MIB]],
  } as const;
  for (const [name, frames] of Object.entries(rows)) {
    const table = createTable();
    for (const [stored, content] of frames) table.add(stored, content);
    const { reader } = await opened(concat([first, second, table.end()]));
    assert.equal(reader?.size, 2 * MIB);
    await assert.rejects(reader.at(0, 10), isIntegrity, name);
    await assert.rejects(reader.at(MIB + 10, MIB + 20), isIntegrity, name);
  }
  const honest = createTable();
  honest.add(first.length, MIB);
  honest.add(0x10, 0); // a skippable frame between the two
  honest.add(second.length, MIB);
  const skip = new Uint8Array(0x10);
  skip.set([0x50, 0x2a, 0x4d, 0x18, 8]);
  const { reader } = await opened(concat([first, skip, second, honest.end()]));
  assert.deepEqual(await reader!.at(MIB - 5, MIB + 5), concat([a.slice(-5), b.slice(0, 5)]));
});

judged("frames by stock zstd under a table can be read by ranges", ["zstd"], async () => {
  using dir = scratch();
  const table = createTable();
  const parts: U8[] = [];
  const plain = lines(3 * MIB);
  for (let at = 0; at < plain.length; at += MIB) {
    writeFileSync(dir.join("part"), plain.subarray(at, at + MIB));
    sh(`zstd -q -5 --no-check -f '${dir.join("part")}'`);
    parts.push(new Uint8Array(readFileSync(dir.join("part.zst"))));
    table.add(parts.at(-1)!.length, MIB);
  }
  const { reader } = await opened(concat([...parts, table.end()]));
  assert.deepEqual(await reader!.at(MIB - 9, 2 * MIB + 9), plain.slice(MIB - 9, 2 * MIB + 9));
});
