/** Buffers that change hands: none is seen by two, and used ones leave no trace. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { tar } from "../src/archive/mod.ts";
import {
  giveBack,
  giveBackRoom,
  keepRoom,
  pass,
  share,
  takeBlock,
  takeRoom,
  withFill,
} from "../src/blocks.ts";
import { work } from "../src/compress/codec.ts";
import { createInput } from "../src/compress/input.ts";
import { tee } from "../src/upload/tee.ts";
import { toBytes } from "../src/bytes.ts";
import { zstdOn } from "../src/compress/zstd.ts";
import type { Archive, Bytes, Entry, FactSheet, Files, U8 } from "../src/stage.ts";
import { testContext } from "./support.ts";

const MIB = 1024 * 1024;

function dirty(size: number): U8 {
  return new Uint8Array(size).fill(0xff);
}

Deno.test("giveBack() detaches a marked chunk, and leaves any other alone", () => {
  const own = dirty(100);
  giveBack(own);
  assert.equal(own.length, 100);
  const marked = pass(dirty(100));
  giveBack(marked);
  assert.equal(marked.length, 0);
  const shared = share(pass(dirty(100)));
  giveBack(shared);
  assert.equal(shared.length, 100);
  const block = takeBlock(2 * MIB);
  const view = block.subarray(10, 20);
  giveBack(view);
  assert.equal(block.length, 0);
  assert.equal(takeBlock(2 * MIB).length, 2 * MIB);
});

/** A small content in the shared buffer. */
function small(size: number, byte: number): U8 {
  return keepRoom(takeRoom(size + 1).fill(byte), size);
}

/** Fills what is left of the shared buffer, so that the next room is in another one, or in the same anew. */
function useUp(): void {
  const { buffer } = takeRoom(0);
  for (let at = 0; at < MIB && takeRoom(100_001).buffer === buffer; at += 100_000) {
    giveBackRoom(keepRoom(takeRoom(100_001), 100_000));
  }
}

Deno.test("small contents share a buffer, which is used again when all of them have been given back", () => {
  takeRoom(MIB / 8);
  useUp();
  const first = small(1000, 1);
  const second = small(1000, 2);
  assert.equal(second.buffer, first.buffer);
  giveBackRoom(first);
  useUp();
  assert.ok(second.length === 1000 && second.every((byte) => byte === 2), "one is still looked at");
  const third = small(1000, 3);
  assert.notEqual(third.buffer, second.buffer);
  giveBackRoom(dirty(1000));
  useUp();
  assert.equal(third.length, 1000);
  const fourth = small(1000, 4);
  giveBackRoom(fourth);
  useUp();
  assert.equal(fourth.length, 0, "nobody sees other bytes in what was given back");
});

Deno.test("tar gives back small contents, each once it is archived", async () => {
  takeRoom(MIB / 8);
  useUp();
  const contents = [1, 2, 3].map((byte) => small(1000, byte));
  const files = filesOf(contents.map((body, i) => fileOf(`${i}`, 1000, body)));
  const { body } = await tar().run(files, testContext());
  for await (const _ of body.read()) assert.equal(contents[2]!.length, 1000);
  useUp();
  assert.deepEqual(contents.map(({ length }) => length), [0, 0, 0]);
});

Deno.test("a stream for two readers is given back by neither", async () => {
  const source = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for (let i = 0; i < 3; i++) yield pass(dirty(1000));
  });
  const read = async (bytes: Bytes): Promise<number> => {
    let size = 0;
    for await (const chunk of bytes) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      size += chunk.length;
      giveBack(chunk);
    }
    return size;
  };
  assert.deepEqual(await Promise.all(tee(source, 2).map(read)), [3000, 3000]);
});

function filesOf(entries: readonly Entry[]): Files {
  return {
    kind: "files",
    entries: async function* (): AsyncGenerator<Entry, void, undefined> {
      yield* entries;
    },
    facts: () => ({ sources: [], stages: [] }),
  };
}

function fileOf(path: string, bytes: number, body: Entry["body"]): Entry {
  return { path, kind: "file", mode: 0o644, mtimeMs: 0, uid: 0, gid: 0, uname: "", gname: "", bytes, body };
}

/** Body and fill give different bytes, so that it shows which was used. */
function twoWays(bytes: number): () => Bytes {
  const body = (): Bytes =>
    toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      yield new Uint8Array(bytes).fill(1);
    });
  let left = bytes;
  return withFill(body, (target) => {
    const size = Math.min(target.length, left);
    left -= size;
    return Promise.resolve(target.fill(2, 0, size).length && size);
  });
}

async function digest(entries: readonly Entry[]): Promise<string> {
  const archive = await tar().run(filesOf(entries), testContext());
  const hash = createHash("sha256");
  for await (const chunk of archive.body.read()) hash.update(chunk);
  return hash.digest("hex");
}

Deno.test("tar() reads into its blocks where a body offers it, and never when a stage has put another body in its place", async () => {
  const size = 3 * MIB + 100;
  const streamed = (value: number): Entry =>
    fileOf("a", size, () =>
      toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        yield new Uint8Array(size).fill(value);
      }));
  const original = fileOf("a", size, twoWays(size));
  assert.equal(await digest([original]), await digest([streamed(2)]));
  const body = twoWays(size);
  const replaced = { ...original, body: (): Bytes => body() };
  assert.equal(await digest([replaced]), await digest([streamed(1)]));
  await assert.rejects(digest([fileOf("a", size, twoWays(size - 1))]), /it gave .* of .* bytes/);
});

Deno.test("tar() writes the same into blocks that have been used before", async () => {
  const entries = Array.from({ length: 700 }, (_, i) => fileOf(`f${i}`, i, new Uint8Array(i).fill(7)));
  const before = await digest(entries);
  for (let i = 0; i < 4; i++) giveBack(pass(dirty(2 * MIB)));
  assert.equal(await digest(entries), before);
});

Deno.test("a frame is the same however much room the one before it took", () => {
  const text = new TextEncoder().encode(
    "a line like any other, and number ".repeat(70_000).slice(0, 2 * MIB),
  );
  const mixed = crypto.getRandomValues(new Uint8Array(60_000));
  const hard = new Uint8Array(2 * MIB).map((_, i) =>
    mixed[(i * 7 + (i >> 9)) % mixed.length]! & (i % 3 ? 0x7f : 0xff)
  );
  const job = (bytes: U8): U8 => work({ op: "zstd", bytes, value: 3 });
  const [first, second] = [job(text), job(hard)];
  assert.ok(second.length > 4 * first.length);
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(job(hard), second);
    assert.deepEqual(job(text), first);
  }
});

Deno.test("createInput() goes on after a chunk that it has given back", async () => {
  const source = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield pass(dirty(10));
    yield takeBlock(2 * MIB);
    yield pass(dirty(10));
  });
  const input = createInput(source.getReader());
  assert.equal(await input.fill(new Uint8Array(10)), 10);
  assert.equal((await input.peek(1)).length, 1);
  assert.equal(await input.fill(new Uint8Array(2 * MIB)), 2 * MIB);
  assert.equal((await input.block(10)).length, 10);
  assert.equal((await input.peek(1)).length, 0);
  assert.equal(input.taken(), 2 * MIB + 20);
});

Deno.test("zstd() transfers blocks that were made to be passed on, and copies any other", async () => {
  for (const [chunk, left] of [[dirty(2 * MIB), 2 * MIB], [takeBlock(2 * MIB), 0]] as const) {
    const source = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      yield chunk;
    });
    const facts = (): FactSheet => ({ sources: [], stages: [] });
    const archive: Archive = { kind: "archive", suffix: ".tar", body: { read: () => source }, facts };
    const packed = await zstdOn({ workers: 1, inlineBytes: 0 }).run(archive, testContext());
    for await (const _ of packed.body.read());
    assert.equal(chunk.length, left);
  }
});
