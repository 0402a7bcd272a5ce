import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { bodyOf, toBytes } from "../../src/bytes.ts";
import { frameLength, parseFrameHeader } from "../../src/compress/frames.ts";
import { gzip, gzipOn } from "../../src/compress/gzip.ts";
import { FRAME_BYTES, zstd, zstdOn } from "../../src/compress/zstd.ts";
import { readSeekTable } from "../../src/compress/seekable.ts";
import { StageError } from "../../src/errors.ts";
import type { Archive, Stage, U8 } from "../../src/stage.ts";
import { noise, streamOf, testContext } from "../support.ts";
import { all, archive, lines, pack, unpack } from "./support.ts";

const MIB = 1024 * 1024;
const SIZES = [0, 1, 65535, 65536, 65537, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 20 * MIB];

Deno.test("zstd() and gzip() refuse a wrong level when they are made", () => {
  assert.throws(
    () => zstd({ level: 0 }),
    /RangeError: Cannot make zstd\(\): level 0 is not a whole number from 1 to 19/,
  );
  assert.throws(() => zstd({ level: 20 }), RangeError);
  assert.throws(() => zstd({ level: 2.5 }), RangeError);
  assert.throws(() => zstd({ level: "3" as unknown as number }), TypeError);
  assert.throws(() => gzip({ level: 10 }), RangeError);
  assert.throws(() => gzip({ level: NaN }), RangeError);
});

Deno.test("zstd() run only builds: nothing is read before the first pull", async () => {
  let opened = 0;
  const input: Archive = {
    ...archive(() => {
      opened++;
      return streamOf(lines(1000));
    }),
    index: { read: () => streamOf() },
  };
  const out = await zstd().run(input, testContext());
  const stream = out.body.read();
  assert.equal(opened, 0);
  assert.equal(out.suffix, ".tar.zst");
  assert.equal(out.index, input.index);
  assert.deepEqual(out.facts().stages, [
    { verb: "compress", tool: "zstd", options: { level: 3, frameBytes: 2097152 } },
  ]);
  await stream.cancel();
  assert.equal(opened, 0);
});

Deno.test("zstd() and gzip() add to the suffix, and undo takes it off", async () => {
  for (const [stage, suffix] of [[zstd(), ".zst"], [gzip(), ".gz"]] as const) {
    const out = await stage.run(archive(() => streamOf()), testContext());
    assert.equal(out.suffix, `.tar${suffix}`);
    assert.equal((await stage.undo(out, testContext())).suffix, ".tar");
    assert.equal((await stage.undo(archive(() => streamOf()), testContext())).suffix, ".tar");
  }
  assert.deepEqual((await gzip({ level: 9 }).run(archive(() => streamOf()), testContext())).facts().stages, [
    { verb: "compress", tool: "gzip", options: { level: 9 } },
  ]);
});

for (const [name, make] of [["zstd", zstdOn], ["gzip", gzipOn]] as const) {
  Deno.test(`${name}() undo gives back what run took, at every edge`, async () => {
    for (const size of SIZES) {
      const bytes = size > 3 * MIB ? lines(size) : noise(size, size);
      const object = await pack(make({}), bytes);
      assert.deepEqual(await unpack(object), bytes, `${size} bytes`);
    }
  });

  Deno.test(`${name}() gives equal bytes whatever the workers and the chunks`, async () => {
    const bytes = new Uint8Array(9 * MIB + 12345);
    bytes.set(lines(5 * MIB));
    bytes.set(noise(3 * MIB), 5 * MIB);
    const alone = await pack(make({ workers: 0 }), bytes);
    for (const [workers, inlineBytes, chunk] of [[1, 0, 65536], [3, 3 * MIB, 2 * MIB + 1], [2, 0, 999_983]]) {
      const object = await pack(make({ workers, inlineBytes }), bytes, chunk);
      assert.ok(Buffer.compare(object, alone) === 0, `${workers} workers`);
      assert.deepEqual(
        await unpack(object, { pool: { workers: workers!, inlineBytes: inlineBytes! } }),
        bytes,
      );
    }
  });

  Deno.test(`${name}() works byte by byte both ways`, async () => {
    const bytes = lines(70_000);
    const object = await pack(make({}), bytes, 1);
    assert.deepEqual(object, await pack(make({}), bytes));
    assert.deepEqual(await unpack(object, { table: name === "zstd" }, 1), bytes);
  });
}

Deno.test("zstd() writes frames of 2 MiB with content size and checksum, and lists them", async () => {
  const bytes = lines(5 * MIB);
  const object = await pack(zstd(), bytes);
  const table = await readSeekTable((await bodyOf(object).open!())!);
  assert.equal(table?.frames, 3);
  for (let i = 0; i < 3; i++) {
    const frame = object.subarray(table.stored[i], table.stored[i + 1]);
    const header = parseFrameHeader(frame);
    assert.equal(header?.contentBytes, i < 2 ? FRAME_BYTES : MIB);
    assert.equal(header?.checksumBytes, 4);
    assert.deepEqual(
      new Uint8Array(zstdDecompressSync(frame)),
      bytes.slice(table.content[i], table.content[i + 1]),
    );
  }
});

Deno.test("zstd() writes one frame a block, whatever length it comes out with", async () => {
  const text = lines(2 * MIB);
  // A little over 256 KiB packed, where node:zlib needs a second chunk for the end.
  for (let size = 1_080_000; size < 1_180_000; size += 10_000) {
    const object = await pack(zstd(), text.slice(0, size));
    const table = await readSeekTable((await bodyOf(object).open!())!);
    assert.equal(frameLength(object), table?.stored[1]);
    assert.equal(table?.frames, 1);
  }
});

Deno.test("zstd() writes one empty frame and its table for an empty archive", async () => {
  const object = await pack(zstd(), new Uint8Array(0));
  const table = await readSeekTable((await bodyOf(object).open!())!);
  assert.equal(table?.frames, 1);
  assert.equal(table.content[1], 0);
  assert.equal((await unpack(object, { table: true })).length, 0);
});

Deno.test("zstd() does not search noise, finds what repeats, and keeps text between noise small", async () => {
  const fresh = noise(2 * MIB, 5);
  assert.ok((await pack(zstd({ level: 19 }), fresh)).length < fresh.length + 200);
  const repeats = new Uint8Array(2 * MIB);
  for (let at = 0; at < repeats.length; at += 256 * 1024) repeats.set(fresh.subarray(0, 256 * 1024), at);
  const packed = await pack(zstd({ level: 19 }), repeats);
  assert.ok(packed.length < MIB);
  assert.deepEqual(packed, await pack(zstd({ level: 1 }), repeats));
  const text = lines(MIB);
  assert.ok(
    (await pack(zstd({ level: 9 }), text)).length < (await pack(zstd({ level: 1 }), text)).length,
  );
  const mixed = noise(2 * MIB, 6);
  mixed.set(lines(MIB), MIB);
  assert.ok((await pack(zstd(), mixed)).length < 1.4 * MIB);
});

Deno.test("gzip() writes members without name, time and system", async () => {
  const object = await pack(gzip(), lines(3 * MIB));
  assert.deepEqual([...object.subarray(0, 10)], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
  assert.equal(gunzipSync(object).length, 3 * MIB);
  assert.equal((await pack(gzip(), new Uint8Array(0))).length, 20);
});

Deno.test("zstd() passes the source's error on with the source's label, in both directions", async () => {
  const failing = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield lines(3 * MIB);
    throw new StageError("tar", new Error("The disk is gone"));
  });
  const out = await zstdOn({ workers: 1, inlineBytes: 0 }).run(archive(() => failing), testContext());
  await assert.rejects(all(out.body.read()), (error: Error) => error.message === "tar: The disk is gone");

  const object = await pack(zstd(), lines(3 * MIB));
  const broken = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield object.slice(0, 100);
    throw new StageError("age", new Error("Cannot decrypt"));
  });
  const back = await zstd().undo(archive(() => broken, ".tar.zst"), testContext());
  await assert.rejects(all(back.body.read()), (error: Error) => error.message === "age: Cannot decrypt");
});

Deno.test("zstd() undo labels its own errors and names the object", async () => {
  const object = await pack(zstd(), lines(10_000));
  const input: Archive = {
    ...archive(() => streamOf(object.slice(0, 500)), ".tar.zst"),
    proof: {
      id: "app_2026-11-20T03-00-00Z.tar.zst",
      receipt: object,
      sidecar: () => Promise.resolve(undefined),
    },
  };
  const back = await zstd().undo(input, testContext());
  await assert.rejects(all(back.body.read()), (error: Error) => {
    assert.ok(error instanceof StageError);
    assert.equal(error.stage, "zstd");
    assert.match(
      error.message,
      /Cannot unpack "app_2026-11-20T03-00-00Z\.tar\.zst": it is cut inside frame 0/,
    );
    return true;
  });
});

Deno.test("zstd() undo asks for the seek table when the receipt says that there is one", async () => {
  const object = await pack(zstd(), lines(5 * MIB));
  const table = await readSeekTable((await bodyOf(object).open!())!);
  const bare = object.slice(0, table!.stored[3]);
  const said = [{ verb: "compress", tool: "zstd", options: { level: 3, frameBytes: FRAME_BYTES } }];
  const read = (stage: Stage<Archive, Archive>, stages: typeof said): Promise<U8> =>
    stage.undo(archive(() => streamOf(bare), ".tar.zst", stages), testContext())
      .then((back) => all(back.body.read()));
  await assert.rejects(read(zstd(), said), /it is cut: its seek table is missing/);
  await assert.rejects(read(gzip(), said), /it is cut: its seek table is missing/);
  assert.equal((await read(zstd(), [])).length, 5 * MIB);
});
