import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { FRAME_BYTES, zstd } from "../../src/compress/zstd.ts";
import { gzip } from "../../src/compress/gzip.ts";
import { concat } from "../../src/bytes.ts";
import type { U8 } from "../../src/stage.ts";
import { judged, noise, scratch, sh } from "../support.ts";
import { lines, pack, unpack } from "../compress/support.ts";

const MIB = 1024 * 1024;
const SIZES = [0, 1, 65535, 65536, 65537, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 9 * MIB];

/** What a tool makes of these bytes. They go by a file: a large input by pipe can block when the output is large too. */
function through(line: string, input: Uint8Array): U8 {
  using dir = scratch();
  writeFileSync(dir.join("in"), input);
  return new Uint8Array(sh(`${line} <in`, { cwd: dir.path }));
}

/** Text with noise in it. */
function sample(size: number): U8 {
  const bytes = lines(size);
  bytes.set(noise(Math.floor(size / 5), 9), Math.floor(size / 2));
  return bytes;
}

judged("zstd() objects open with zstd -d, zstd -t and pzstd -d", ["zstd", "pzstd"], async () => {
  for (const size of SIZES) {
    const bytes = sample(size);
    const input = await pack(zstd({ level: size > MIB ? 3 : 19 }), bytes);
    assert.deepEqual(through("zstd -d -q -c", input), bytes, `zstd -d, ${size} bytes`);
    assert.deepEqual(through("pzstd -d -q -c", input), bytes, `pzstd -d, ${size} bytes`);
    through("zstd -t -q", input);
  }
});

judged("zstd() objects list their frames and sizes with zstd -l", ["zstd"], async () => {
  using dir = scratch();
  writeFileSync(dir.join("a.zst"), await pack(zstd(), sample(5 * MIB)));
  const listing = new TextDecoder().decode(sh("zstd -l -v a.zst", { cwd: dir.path }));
  assert.match(listing, /# Zstandard Frames: 3/);
  assert.match(listing, /# Skippable Frames: 1/);
  assert.match(listing, /Decompressed Size: .*\(5242880 B\)/);
  assert.match(listing, /Check: XXH64/);
});

judged("gzip() objects open with gzip -d, gzip -t and pigz", ["gzip", "pigz"], async () => {
  for (const size of SIZES) {
    const bytes = sample(size);
    const input = await pack(gzip(), bytes);
    assert.deepEqual(through("gzip -d -c", input), bytes, `gzip -d, ${size} bytes`);
    assert.deepEqual(through("pigz -d -c", input), bytes, `pigz -d, ${size} bytes`);
    through("gzip -t", input);
    through("pigz -t", input);
  }
});

const FOREIGN: readonly (readonly [line: string, tools: readonly string[]])[] = [
  ["zstd -3 -q -c in", ["zstd"]],
  ["zstd -19 --long=27 -q -c in", ["zstd"]],
  ["zstd --no-check -q -c in", ["zstd"]],
  ["zstd -1 --fast=5 -q -c in", ["zstd"]],
  ["zstd -T0 -q -c in", ["zstd"]],
  ["zstd -q -c <in", ["zstd"]],
  ["zstd --no-content-size -q -c in", ["zstd"]],
  ["zstd -B65536 --long=20 -T2 -q -c <in", ["zstd"]],
  ["pzstd -q -c in", ["pzstd"]],
  ["pzstd -p 3 -q -c <in", ["pzstd"]],
  ["(head -c 1000000 in | zstd -q -c; tail -c +1000001 in | zstd -q -c)", ["zstd"]],
  ["(head -c 2000000 in >a; tail -c +2000001 in >b; zstd -q a b; cat a.zst b.zst)", ["zstd"]],
  ["(zstd -q -c in; : | zstd -q -c)", ["zstd"]],
  ["gzip -c in", ["gzip"]],
  ["gzip -9 -c in", ["gzip"]],
  ["pigz -c in", ["pigz"]],
  ["pigz -i -b 128 -c in", ["pigz"]],
  ["(head -c 1000000 in | gzip -c; tail -c +1000001 in | gzip -c)", ["gzip"]],
  ["(gzip -c in; head -c 10240 /dev/zero)", ["gzip"]],
];

for (const [line, tools] of FOREIGN) {
  judged(`undo opens the output of ${line}`, tools, async () => {
    using dir = scratch();
    for (const size of [0, 1, 65536, 2 * MIB + 700_007]) {
      const bytes = sample(size);
      writeFileSync(dir.join("in"), bytes);
      for (const name of ["a", "b", "a.zst", "b.zst"]) sh(`rm -f ${name}`, { cwd: dir.path });
      const object = sh(line, { cwd: dir.path });
      assert.deepEqual(await unpack(object), bytes, `${size} bytes`);
      if (size <= 65536) assert.deepEqual(await unpack(object, {}, 1), bytes, `${size} bytes, one by one`);
    }
  });
}

judged(
  "undo opens a frame whose size is a multiple of 16 KiB and one that is not, in a row",
  ["zstd"],
  async () => {
    const parts = [16384, 16385, 32768, 1, 131072, 131073, 0, 300_000].map(sample);
    const frames = parts.map((input) => through("zstd -q -c", input));
    assert.deepEqual(await unpack(concat(frames)), concat(parts));
  },
);

judged("undo opens one frame that declares 20 MiB, a block at a time", ["zstd"], async () => {
  const bytes = sample(20 * MIB);
  assert.deepEqual(await unpack(through("zstd -1 -q -c --stream-size=20971520", bytes)), bytes);
});

judged("undo refuses a window of more than 128 MiB, and says what opens it", ["zstd"], async () => {
  const object = sh("head -c 9000000 /dev/zero | zstd -q -c --long=28");
  await assert.rejects(unpack(object), /needs 256\.0 MiB of memory\. Unpack it with "zstd -d --long=28"/);
});

judged("undo takes a plain tar, also an old one without ustar", ["tar"], async () => {
  using dir = scratch();
  writeFileSync(dir.join("in"), lines(100_000));
  for (const format of ["v7", "ustar", "gnu", "posix"]) {
    const object = new Uint8Array(sh(`tar --format=${format} -cf - in`, { cwd: dir.path }));
    assert.deepEqual(await unpack(object), object, format);
  }
  const empty = new Uint8Array(sh("tar -cf - -T /dev/null"));
  assert.deepEqual(await unpack(empty), empty);
});
