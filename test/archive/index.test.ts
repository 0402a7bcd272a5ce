import assert from "node:assert/strict";
import { bodyOf, concat, readAll, sha256, toBytes, utf8 } from "../../src/bytes.ts";
import { findError, IntegrityError } from "../../src/errors.ts";
import { comparePaths, type IndexTail, merkleRoot, readIndex, tar } from "../../src/archive/mod.ts";
import { buildIndex } from "../../src/archive/listing.ts";
import { indexEntry } from "../../src/archive/entry.ts";
import { canonicalEntry, leafHash, nonceOf } from "../../src/archive/merkle.ts";
import type { Body, IndexEntry, U8 } from "../../src/stage.ts";
import { inChunks, judged, noise, sh, testContext } from "../support.ts";
import { archiveOf, assemble, entry, pack, zstd } from "./help.ts";

const integrity = (error: unknown): boolean => findError(error, IntegrityError) !== undefined;
const pathOf = (i: number): string => `d/${String(i).padStart(6, "0")}`;

/** Lines of an index without an archive. */
function lines(count: number): IndexEntry[] {
  return Array.from({ length: count }, (_, i) => {
    const made = entry(pathOf(i), { bytes: i, body: new Uint8Array(0) });
    return indexEntry(made, 512 * i, sha256(utf8(String(i))));
  });
}

async function built(entries: readonly IndexEntry[]): Promise<{ bytes: U8; tail: IndexTail; body: Body }> {
  const index = buildIndex();
  for (const line of entries) index.add(line);
  const { body, tail } = index.finish(12345, { note: "é" });
  return { bytes: await readAll(body.read(), 2 ** 30), tail, body };
}

async function collected(body: Body): Promise<IndexEntry[]> {
  const out: IndexEntry[] = [];
  for await (const line of readIndex(body).entries()) out.push(line);
  return out;
}

const streamOnly = (bytes: U8, chunk = 70_000): Body => ({ read: () => inChunks(bytes, chunk) });

Deno.test("readIndex() gives every entry, by ranges and from a stream", async () => {
  for (const count of [0, 1, 4095, 4096, 4097, 9000]) {
    const entries = lines(count);
    const { bytes, tail, body } = await built(entries);
    for (const source of [body, bodyOf(bytes), streamOnly(bytes), streamOnly(bytes, 7919)]) {
      assert.deepEqual(await collected(source), entries);
      assert.deepEqual(await readIndex(source).tail(), tail);
    }
    assert.equal(tail.frames.length, Math.ceil(count / 4096));
    assert.deepEqual([tail.entries, tail.archiveBytes, tail.ordered, tail.notes], [count, 12345, true, {
      note: "é",
    }]);
  }
});

Deno.test("readIndex() finds one frame with three ranged reads", async () => {
  const { bytes, tail } = await built(lines(9000));
  const reads: [number, number][] = [];
  const body: Body = {
    read: () => {
      throw new Error("read whole");
    },
    open: () =>
      Promise.resolve({
        size: bytes.length,
        at: (start, end) => {
          reads.push([start, end]);
          return Promise.resolve(bytes.slice(start, end));
        },
      }),
  };
  const index = readIndex(body);
  const frame = tail.frames[1]!;
  const entries = await index.frame(frame);
  assert.equal(entries[0]?.path, pathOf(4096));
  assert.deepEqual(reads, [
    [bytes.length - 24, bytes.length],
    [reads[1]![0], bytes.length],
    [frame.offset, frame.offset + frame.size],
  ]);
});

Deno.test("readIndex() reads an index too long to keep again from its stream", async () => {
  // Notes that do not compress stand in for a million entries.
  const index = buildIndex();
  const entries = lines(5000);
  for (const line of entries) index.add(line);
  const notes = { filler: noise(33 * 2 ** 20, 5).toBase64() };
  const bytes = await readAll(index.finish(1, notes).body.read(), 2 ** 30);
  let reads = 0;
  const source: Body = {
    read: () => {
      reads++;
      return inChunks(bytes, 1 << 20);
    },
  };
  assert.deepEqual(await collected(source), entries);
  assert.equal(reads, 4);
});

Deno.test("an index's Merkle root is over the leaves in path order, under its salt", async () => {
  const entries = lines(4100);
  const { tail } = await built(entries);
  const leaves = entries.map((line, i) => leafHash(nonceOf(tail.salt, i), canonicalEntry(line)));
  assert.equal(tail.merkleRoot, merkleRoot(leaves));
  assert.equal(tail.frames[1]?.root, merkleRoot(leaves.slice(4096)));
  assert.notEqual((await built(entries)).tail.salt, tail.salt);
});

Deno.test("an index of entries out of order is sorted, with the same lines", async () => {
  const entries = lines(9001);
  const shuffled = entries.toSorted((a, b) => sha256(utf8(a.path)) < sha256(utf8(b.path)) ? -1 : 1);
  const late = [...entries.slice(3), ...entries.slice(0, 3)];
  const early = [...entries.slice(0, 8990), ...entries.slice(8995), ...entries.slice(8990, 8995)];
  for (const order of [shuffled, late, early]) {
    const { body, tail } = await built(order);
    assert.equal(tail.ordered, false);
    assert.deepEqual(await collected(body), entries);
    const leaves = entries.map((line, i) => leafHash(nonceOf(tail.salt, i), canonicalEntry(line)));
    assert.equal(tail.merkleRoot, merkleRoot(leaves));
  }
  await assert.rejects(built([...late, entries[5000]!]), /Cannot archive "d\/005000" twice/);
  await assert.rejects(built([...late, entries[1]!]), /Cannot archive "d\/000001" twice/);
});

Deno.test("readIndex() throws on an index cut anywhere", async () => {
  const { bytes, tail } = await built(lines(4200));
  const cuts = new Set([0, 1, 23, 24, 25, bytes.length - 1, bytes.length - 24]);
  for (const { offset, size } of tail.frames) [offset, offset + size].forEach((cut) => cuts.add(cut));
  for (let at = 0; at < bytes.length; at += 997) cuts.add(at);
  for (const cut of cuts) {
    await assert.rejects(collected(bodyOf(bytes.slice(0, cut))), integrity, `cut at ${cut}`);
    await assert.rejects(collected(streamOnly(bytes.slice(0, cut))), integrity, `cut at ${cut}`);
  }
});

Deno.test("readIndex() throws on a flipped bit, or reads the same", async () => {
  const entries = lines(300);
  const { bytes, tail } = await built(entries);
  let equal = 0;
  for (let at = 0; at < bytes.length; at += at < bytes.length - 500 ? 41 : 1) {
    const flipped = bytes.slice();
    flipped[at]! ^= 1 << at % 8;
    try {
      assert.deepEqual(await collected(bodyOf(flipped)), entries);
      assert.deepEqual(await readIndex(bodyOf(flipped)).tail(), tail);
      equal++;
    } catch (error) {
      if (!integrity(error)) throw error;
    }
  }
  assert.ok(equal < 5, `${equal} flips without effect`);
});

Deno.test("readIndex() throws on trailing bytes, hidden frames and frames that do not agree with the tail", async () => {
  const { bytes, tail } = await built(lines(4200));
  const [first, second] = tail.frames;
  const frame = (i: number): U8 =>
    bytes.slice(tail.frames[i]!.offset, tail.frames[i]!.offset + tail.frames[i]!.size);
  const end = second!.offset + second!.size;
  const remade = (changed: Partial<IndexTail>, ...parts: U8[]): Promise<IndexEntry[]> =>
    collected(bodyOf(assemble({ ...tail, ...changed }, ...parts)));

  // The allowed twin: the same parts, put together by hand.
  assert.equal((await remade({}, frame(0), frame(1))).length, 4200);

  await assert.rejects(collected(bodyOf(concat([bytes, utf8("x")]))), integrity);
  await assert.rejects(collected(bodyOf(concat([bytes, bytes]))), integrity);
  // A frame within a frame's place: the decoder would not see it.
  const hidden = { ...second!, size: second!.size + first!.size };
  await assert.rejects(
    remade({ frames: [first!, hidden] }, frame(0), frame(1), frame(0)),
    /whole zstd frames/,
  );
  await assert.rejects(remade({ frames: [first!] }, frame(0)), /not as many/);
  await assert.rejects(remade({ entries: 4201 }, frame(0), frame(1)), /not as many/);
  await assert.rejects(remade({ bytes: tail.bytes + 1 }, frame(0), frame(1)), /do not add up/);
  await assert.rejects(
    remade({ frames: [first!, { ...second!, count: 103 }], entries: 4199 }, frame(0), frame(1)),
    /103 lines/,
  );
  await assert.rejects(
    remade({ frames: [first!, { ...second!, first: "e" }] }, frame(0), frame(1)),
    /another path/,
  );
  await assert.rejects(
    remade({ frames: [{ ...first!, first: "e" }, second!] }, frame(0), frame(1)),
    /out of order/,
  );
  await assert.rejects(
    remade({ frames: [first!, { ...second!, offset: 0 }] }, frame(0), frame(1)),
    /does not lie/,
  );
  assert.equal(end, first!.size + second!.size);
});

Deno.test("readIndex() throws on lines out of order, doubled, or no entries", async () => {
  const [a, b] = lines(2);
  const { tail } = await built([a!, b!]);
  const one = (...texts: string[]): Promise<IndexEntry[]> => {
    const part = zstd(texts.map((text) => text + "\n").join(""));
    const first = { ...tail.frames[0]!, size: part.length, count: texts.length };
    return collected(bodyOf(assemble({ ...tail, entries: texts.length, frames: [first] }, part)));
  };
  const [x, y] = [JSON.stringify(a), JSON.stringify(b)];
  assert.equal((await one(x, y)).length, 2);
  await assert.rejects(one(x, x), /out of order/);
  await assert.rejects(one(x, x.replace("d/000000", "a")), /out of order/);
  await assert.rejects(one(x, "{"), /not JSON/);
  await assert.rejects(one(x, "[]"), /no entry/);
  await assert.rejects(one(x, y.replace('"mode":420', '"mode":"420"')), /no entry/);
  await assert.rejects(one(x, y.replace('"mode":', '"extra":1,"mode":')), /no entry/);
});

Deno.test("readIndex() refuses a tail of more than 64 MiB before reading it", async () => {
  const { bytes } = await built(lines(2));
  const before = 2 ** 40;
  let asked = 0;
  const claimed = (offset: number): Body => ({
    read: () => streamOnly(bytes).read(),
    open: () =>
      Promise.resolve({
        size: before + bytes.length,
        at: (start, end) => {
          asked = Math.max(asked, end - start);
          const part = bytes.slice(Math.max(0, start - before), end - before);
          if (start >= before + bytes.length - 24) {
            new DataView(part.buffer).setBigUint64(8, BigInt(offset), true);
          }
          return Promise.resolve(part);
        },
      }),
  });
  for (const offset of [0, before / 2, before + bytes.length - 24, before + bytes.length]) {
    await assert.rejects(readIndex(claimed(offset)).tail(), /its last line lies nowhere/);
  }
  assert.equal(asked, 24);
});

Deno.test("an index gives exactly the range that is asked for, or throws", async () => {
  const { bytes, body } = await built(lines(4200));
  const reader = (await body.open!())!;
  assert.equal(reader.size, bytes.length);
  for (const [start, end] of [[0, bytes.length], [5, 5], [1000, bytes.length - 1]] as const) {
    assert.deepEqual(await reader.at(start, end), bytes.slice(start, end));
  }
  await assert.rejects(reader.at(0, bytes.length + 1), RangeError);
  await assert.rejects(reader.at(2, 1), RangeError);
});

Deno.test("readIndex() refuses a frame that unfolds to more than 64 MiB", async () => {
  const [a] = lines(1);
  const { tail } = await built([a!]);
  const index = (bytes: number): U8 => {
    const part = zstd(JSON.stringify(a).padEnd(bytes - 1) + "\n");
    return assemble({ ...tail, frames: [{ ...tail.frames[0]!, size: part.length }] }, part);
  };
  assert.equal((await collected(bodyOf(index(64 * 2 ** 20)))).length, 1);
  await assert.rejects(collected(bodyOf(index(64 * 2 ** 20 + 1))), /damaged or too large/);
});

judged("an index opens with stock zstd and jq", ["zstd", "jq"], async () => {
  const entries = Array.from({ length: 5000 }, (_, i) => entry(pathOf(i)));
  const { archive } = await pack(entries);
  const bytes = await readAll(archive.index!.read(), 2 ** 30);
  sh("zstd -q -t -c -d", { input: bytes });
  const out = new TextDecoder().decode(
    sh("zstd -dc | jq -r 'select(.path) | .path' | sha256sum", { input: bytes }),
  );
  assert.equal(out.slice(0, 64), sha256(utf8(entries.map(({ path }) => path + "\n").join(""))));
  const tail = new TextDecoder().decode(sh("zstd -dc | tail -n 1 | jq -r .schema", { input: bytes }));
  assert.equal(tail, "holdfast.index.v1\n");
});

Deno.test("tar() undo refuses an index beyond the limit on entries", async () => {
  const { archive, bytes } = await pack([entry("a"), entry("b"), entry("c")]);
  const limits = { ...testContext().want.limits, entries: 2 };
  const undo = (entries: number): Promise<unknown> =>
    tar().undo(
      { ...archive, body: archiveOf(bytes).body },
      testContext({ want: { limits: { ...limits, entries } } }),
    );
  await undo(3);
  await assert.rejects(undo(2), /lists 3 entries, the limit is 2/);
});

Deno.test("an index is in comparePaths order though a folder's name sorts between", async () => {
  const { archive } = await pack([
    entry("a!"),
    entry("a", { kind: "directory" }),
    entry("a/b"),
    entry("é"),
    entry("z"),
  ]);
  const paths = (await collected(archive.index!)).map(({ path }) => path);
  assert.deepEqual(paths, paths.toSorted(comparePaths));
  assert.deepEqual(paths, ["a", "a/b", "a!", "z", "é"]);
});

Deno.test("readIndex() passes on what the store says", async () => {
  const body: Body = {
    read: () =>
      toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        yield utf8("x");
        throw new Error("the store is away");
      }),
  };
  await assert.rejects(readIndex(body).tail(), /the store is away/);
});
