import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { concat, toBytes } from "../../src/bytes.ts";
import { expand, type ExpandOptions } from "../../src/compress/expand.ts";
import { gzip } from "../../src/compress/gzip.ts";
import { zstd } from "../../src/compress/zstd.ts";
import { IntegrityError } from "../../src/errors.ts";
import type { U8 } from "../../src/stage.ts";
import { inChunks, noise } from "../support.ts";
import { all, count, LIMITS, lines, pack, repeated, unpack } from "../compress/support.ts";

const MIB = 1024 * 1024;
const SOAK = Deno.env.get("HOLDFAST_SOAK") === "1";
const INLINE: Partial<ExpandOptions> = { pool: { workers: 0 } };
const CHECKSUM = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };

/** Text and noise, so that frames have compressed, raw and run-length blocks. */
function mixture(size: number): U8 {
  const bytes = lines(size);
  bytes.set(noise(Math.floor(size / 4), 3), Math.floor(size / 3));
  bytes.fill(0, Math.floor(size * 0.8), Math.floor(size * 0.9));
  return bytes;
}

/** A frame without content size: it goes through the stream decoder, a block at a time. */
function unsized(bytes: U8): U8 {
  return new Uint8Array(zstdCompressSync(bytes, { chunkSize: bytes.length + 65536, ...CHECKSUM }));
}

/** Little-endian bytes of a number. */
function le(value: bigint, length: number): number[] {
  return Array.from({ length }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
}

/** Every object in which a guard must find damage: name, bytes, options. */
async function objects(): Promise<[string, U8, Partial<ExpandOptions>][]> {
  const bytes = mixture(5 * MIB);
  const small = mixture(700_000);
  return [
    ["seekable zstd", await pack(zstd(), bytes), { ...INLINE, table: true }],
    ["zstd of unknown size", unsized(small), INLINE],
    ["gzip in members", await pack(gzip({ level: 1 }), bytes.slice(0, 2 * MIB)), INLINE],
  ];
}

Deno.test("expand() throws on every cut", async () => {
  for (const [name, object, options] of await objects()) {
    const cuts = new Set(Array.from({ length: 200 }, (_, i) => Math.floor((object.length * i) / 200)));
    for (let back = 1; back <= 45; back++) cuts.add(object.length - back);
    for (let at = 0; at < 20; at++) cuts.add(at);
    for (const cut of cuts) {
      await assert.rejects(unpack(object.subarray(0, cut), options), IntegrityError, `${name} cut at ${cut}`);
    }
  }
});

Deno.test("expand() throws on a cut at each edge of a frame when there should be a seek table", async () => {
  const object = await pack(zstd(), mixture(9 * MIB));
  let edges = 0;
  for (let at = object.indexOf(0x28); at !== -1; at = object.indexOf(0x28, at + 1)) {
    if (Buffer.from(object.buffer, at, 4).readUInt32LE() !== 0xfd2fb528) continue;
    edges++;
    await assert.rejects(unpack(object.subarray(0, at), { ...INLINE, table: true }), IntegrityError);
  }
  assert.equal(edges, 5);
});

Deno.test("expand() throws on a cut at each edge of a block", async () => {
  const object = unsized(mixture(700_000));
  let at = 6;
  for (let last = false; !last;) {
    await assert.rejects(unpack(object.subarray(0, at)), /it is cut inside frame 0 .*Take another copy$/);
    const header = Buffer.from(object.buffer, at, 3).readUIntLE(0, 3);
    last = (header & 1) === 1;
    at += 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3);
  }
  assert.equal(at + 4, object.length);
});

Deno.test("expand() throws on a flipped bit, or gives the same bytes", async () => {
  for (const [name, object, options] of await objects()) {
    const whole = await unpack(object, options);
    const flips = SOAK ? 5000 : 200;
    const places = Array.from({ length: flips }, (_, i) => Math.floor((object.length * i) / flips));
    for (let at = 0; at < 40; at++) places.push(at, object.length - 1 - at);
    const same: number[] = [];
    for (const [i, at] of places.entries()) {
      const damaged = object.slice();
      damaged[at]! ^= 1 << (i % 8);
      let result: U8 | undefined;
      try {
        result = await unpack(damaged, options);
      } catch (error) {
        assert.ok(error instanceof IntegrityError, `${name}, byte ${at}: ${error}`);
        continue;
      }
      same.push(at);
      assert.ok(Buffer.compare(result, whole) === 0, `${name}: byte ${at} changed the content unseen`);
    }
    // Bits that mean nothing: time, level and system in a gzip header, padding in the entropy tables of zstd.
    assert.ok(same.length <= (SOAK ? 100 : 12), `${name}: ${same} flips unseen`);
  }
});

Deno.test("expand() throws on trailing bytes", async () => {
  for (const [name, object, options] of await objects()) {
    const tails = [[0], [1], [0x28, 0xb5, 0x2f], [...new TextEncoder().encode("garbage")]];
    for (const tail of tails) {
      if (name.startsWith("gzip") && tail[0] === 0) continue;
      await assert.rejects(
        unpack(concat([object, new Uint8Array(tail)]), options),
        IntegrityError,
        `${name}: ${tail}`,
      );
    }
  }
});

Deno.test("expand() throws on anything after a seek table, even a whole frame", async () => {
  const object = await pack(zstd(), lines(1000));
  const message = /trailing bytes follow its seek table/;
  await assert.rejects(unpack(concat([object, object])), message);
  await assert.rejects(unpack(concat([object, unsized(lines(10))])), message);
});

Deno.test("expand() throws when frames were removed, doubled or swapped, because the seek table lists them", async () => {
  const one = await pack(zstd(), lines(2 * MIB));
  const frame = one.slice(0, -25);
  const three = await pack(zstd(), concat([lines(2 * MIB), lines(2 * MIB), noise(100)]));
  const tail = three.slice(2 * frame.length);
  assert.equal((await unpack(concat([frame, frame, tail]))).length, 4 * MIB + 100);
  const message = /its seek table does not (list|agree)/;
  await assert.rejects(unpack(concat([frame, tail])), message);
  await assert.rejects(unpack(concat([frame, frame, frame, tail])), message);
  await assert.rejects(unpack(concat([frame, tail.slice(0, -41), frame, tail.slice(-41)])), message);
});

Deno.test("expand() takes zero bytes after gzip as padding, and nothing behind them", async () => {
  const member = new Uint8Array(gzipSync(lines(100_000)));
  const zeros = new Uint8Array(70_000);
  for (const chunk of [1, 777, member.length, 256 * 1024]) {
    assert.equal((await unpack(concat([member, member, zeros]), {}, chunk)).length, 200_000);
    for (const tail of [member, new Uint8Array([1])]) {
      await assert.rejects(
        unpack(concat([member, zeros, tail]), {}, chunk),
        /trailing bytes follow its gzip data\. Take another copy$/,
        `chunks of ${chunk}`,
      );
    }
    await assert.rejects(unpack(concat([member, new Uint8Array([0x1f])]), {}, chunk), /cut or damaged/);
  }
});

Deno.test("expand() refuses what is neither zstd, gzip nor tar, and says so when it is empty", async () => {
  await assert.rejects(unpack(new Uint8Array(0)), /Cannot unpack the archive: it is empty\./);
  for (const bytes of [noise(5000), lines(5000), new Uint8Array(512), new Uint8Array(3)]) {
    await assert.rejects(
      unpack(bytes, { what: '"x.tar.zst"' }),
      /"x\.tar\.zst": it is neither zstd, gzip nor tar/,
    );
  }
  assert.equal((await unpack(new Uint8Array(1024))).length, 1024);
});

Deno.test("expand() throws on a flip anywhere in the seek table", async () => {
  const object = await pack(zstd(), lines(3 * MIB));
  for (let at = object.length - 8 - 16 - 9; at < object.length; at++) {
    const damaged = object.slice();
    // Not the lowest bits: two of the descriptor mean nothing.
    damaged[at]! ^= 4;
    await assert.rejects(
      unpack(damaged, { table: true }),
      IntegrityError,
      `${object.length - at} from the end`,
    );
  }
});

Deno.test("expand() tells a cut even where no checksum follows", async () => {
  // One segment of 5 bytes, no checksum, a raw block.
  const object = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 5, 5 * 8 + 1, 0, 0, 1, 2, 3, 0, 0];
  assert.deepEqual([...await unpack(new Uint8Array(object))], [1, 2, 3, 0, 0]);
  for (let cut = 4; cut < object.length; cut++) {
    await assert.rejects(unpack(new Uint8Array(object.slice(0, cut))), /it is cut inside frame 0/);
  }
});

/** 10 GiB of zeros as repeated frames, and how much of them was read. */
function bomb(piece: U8, times: number): { read: () => ReturnType<typeof toBytes>; taken: () => number } {
  let taken = 0;
  return {
    taken: () => taken,
    read: () =>
      toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        for await (const chunk of repeated(piece, times)) {
          taken += chunk.length;
          yield chunk;
        }
      }),
  };
}

Deno.test("expand() refuses a bomb early and in flat memory, whatever it is packed with", async () => {
  const zeros = new Uint8Array(2 * MIB);
  const ours = (await pack(zstd(), zeros)).slice(0, -25);
  const endless = unsized(new Uint8Array(64 * MIB));
  const cases: [string, U8, number][] = [
    ["frames of 2 MiB", ours, 5120],
    ["frames of unknown size", endless, 160],
    ["gzip members", new Uint8Array(gzipSync(zeros, { level: 9 })), 5120],
  ];
  for (const [name, piece, times] of cases) {
    const source = bomb(piece, times);
    const before = held();
    await assert.rejects(
      count(expand({ read: source.read }, { limits: LIMITS }).read()),
      /IntegrityError: .*more than 200 times its size.*Raise --limit-ratio \(now 200\)/,
      name,
    );
    // 64 MiB, what is under way, and one piece more.
    assert.ok(source.taken() <= piece.length * (name.includes("unknown") ? 2 : 45), name);
    assert.ok(held() - before < 150 * MIB, name);
  }
});

/** Bytes that this thread's own code holds; the resident memory is that of all tests that run beside this one. */
function held(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

Deno.test("expand() lets through what a limit allows, and nothing more", async () => {
  const object = await pack(zstd(), new Uint8Array(80 * MIB));
  await assert.rejects(unpack(object), /200 times/);
  const stream = expand({ read: () => inChunks(object, MIB) }, { limits: { ...LIMITS, ratio: Infinity } })
    .read();
  assert.equal(await count(stream), 80 * MIB);
  const small = { ...LIMITS, entries: 1, bytes: MIB };
  assert.equal((await unpack(await pack(zstd(), lines(MIB)), { limits: small })).length, MIB);
  for (const stage of [zstd(), gzip()]) {
    const larger = await pack(stage, lines(2 * MIB));
    await assert.rejects(
      unpack(larger, { limits: small }),
      /holds more than 1\.0 MiB\. Raise --limit-bytes \(now 1048576\)/,
    );
  }
});

Deno.test("expand() believes no frame header before it has checked it", async () => {
  const magic = [0x28, 0xb5, 0x2f, 0xfd];
  const emptyBlock = [1, 0, 0];
  const cases: [RegExp, number[]][] = [
    // One segment of 2^60 bytes: that is also the window.
    [/needs 1048576\.0 PiB of memory|needs 1024\.0 PiB of memory/, [
      ...magic,
      0xe0,
      ...le(2n ** 60n, 8),
      ...emptyBlock,
    ]],
    // A small window, 2^60 bytes declared and none there.
    [/declares 115292150460684\d+ bytes and holds 0/, [
      ...magic,
      0xc0,
      0x58,
      ...le(2n ** 60n, 8),
      ...emptyBlock,
    ]],
    [/declares 1000 bytes and holds 0|damaged/, [...magic, 0x60, ...le(744n, 2), ...emptyBlock]],
    [/needs 256\.0 MiB of memory\. Unpack it with "zstd -d --long=28"/, [...magic, 0, 0x90, ...emptyBlock]],
    [/needs dictionary 7\. Unpack it with "zstd -d -D DICTIONARY"/, [...magic, 0x01, 0x58, 7, ...emptyBlock]],
    [/a reserved bit of a frame header is set/, [...magic, 0x08, 0x58, ...emptyBlock]],
    [/a block has the reserved type/, [...magic, 0, 0x58, 7, 0, 0]],
    [/a block claims 131073 bytes, more than 128 KiB/, [...magic, 0, 0x58, ...le(131073n * 8n + 1n, 3)]],
    [/a block claims 2000 bytes, more than its window/, [...magic, 0, 0, ...le(2000n * 8n + 1n, 3)]],
    [/it is cut inside a skippable frame/, [0x50, 0x2a, 0x4d, 0x18, 255, 255, 255, 255, 1]],
    [/its seek table does not list its 0 frames/, [0x5e, 0x2a, 0x4d, 0x18, 255, 255, 255, 255, 1]],
  ];
  for (const [message, bytes] of cases) {
    await assert.rejects(unpack(new Uint8Array(bytes)), (error: Error) => {
      assert.ok(error instanceof IntegrityError);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("expand() gives up on a frame of small declared size that never ends", async () => {
  const head = new Uint8Array([0x28, 0xb5, 0x2f, 0xfd, 0x60, 0, 0]);
  let taken = 0;
  const endless = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield head;
    while (true) {
      taken += 3 * 1024;
      yield new Uint8Array(3 * 1024);
    }
  });
  await assert.rejects(
    all(expand({ read: () => endless }, { limits: LIMITS }).read()),
    /far larger than its content/,
  );
  assert.ok(taken < MIB);
});
