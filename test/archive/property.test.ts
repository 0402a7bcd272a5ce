import assert from "node:assert/strict";
import fc from "fast-check";
import { toBytes } from "../../src/bytes.ts";
import { comparePaths } from "../../src/archive/mod.ts";
import type { Entry, U8 } from "../../src/stage.ts";
import { inChunks, noise } from "../support.ts";
import { archiveOf, entry, pack, plain, streamed, unpack } from "./help.ts";
import { findError, IntegrityError } from "../../src/errors.ts";

const SOAK = Deno.env.get("HOLDFAST_SOAK") === "1";
const RUNS = SOAK ? 3000 : 120;

const part = fc.oneof(
  { weight: 6, arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "x".repeat(99),
      "y".repeat(100),
      "z".repeat(101),
      "ü".repeat(130),
      "\n",
      "😀",
      "...",
    ),
  },
).filter((text) => !/[/\0]/.test(text) && text !== "." && text !== ".." && text.isWellFormed());
const path = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join("/"));
const name = fc.oneof(
  fc.constantFrom("", "root", "a".repeat(31), "b".repeat(32)),
  fc.string({ unit: "grapheme", maxLength: 8 }),
)
  .filter((text) => !text.includes("\0") && text.isWellFormed());
const id = fc.constantFrom(0, 1000, 0o7777777, 0o7777777 + 1, 2 ** 32 - 1);
const mtimeMs = fc.oneof(
  fc.integer({ min: -5000, max: 5000 }),
  fc.integer({ min: -(2 ** 41), max: 2 ** 42 }),
  fc.constantFrom(0o77777777777 * 1000, 0o77777777777 * 1000 + 1000, -62_135_596_800_000),
);
const size = fc.oneof(
  fc.integer({ min: 0, max: 1500 }),
  fc.constantFrom(65535, 65536, 65537, 1048576, 1048577),
);

const anyEntry: fc.Arbitrary<Entry> = fc.record({
  path,
  mode: fc.integer({ min: 0, max: 0o7777 }),
  mtimeMs,
  uid: id,
  gid: id,
  uname: name,
  gname: name,
  kind: fc.constantFrom("file", "file", "file", "directory", "symlink", "hardlink"),
  size,
  asStream: fc.boolean(),
  target: path,
}).map(({ kind, size, asStream, target, path, ...rest }) => {
  if (kind === "directory") return entry(path, { ...rest, kind });
  if (kind !== "file") return entry(path, { ...rest, kind, target });
  const content = noise(size, size + 1);
  const file = asStream
    ? streamed(path, content, 1 + size / 3 | 0)
    : entry(path, { body: content, bytes: size });
  return { ...file, ...rest };
});

/** Trees without doubles and without content below what is no folder. */
const tree = fc.array(anyEntry, { maxLength: 25 }).map((entries) => {
  const kept: Entry[] = [];
  const clash = (a: Entry, b: Entry): boolean =>
    a.path === b.path || (a.kind !== "directory" && b.path.startsWith(a.path + "/"));
  for (const one of entries) {
    if (!kept.some((other) => clash(one, other) || clash(other, one))) kept.push(one);
  }
  return kept;
});

Deno.test("tar() any tree: what is written is read, in any chunks", async () => {
  await fc.assert(
    fc.asyncProperty(tree, fc.integer({ min: 1, max: 9000 }), fc.boolean(), async (entries, chunk, sort) => {
      const ordered = sort ? entries.toSorted((a, b) => comparePaths(a.path, b.path)) : entries;
      const { archive, bytes } = await pack(ordered);
      const source = bytes.length < 60_000
        ? inChunks(bytes, Math.max(1, chunk % 700))
        : inChunks(bytes, chunk + 1000);
      assert.deepEqual(await unpack({ ...archive, body: archiveOf(source).body }), await plain(ordered));
    }),
    { seed: 3, numRuns: RUNS },
  );
});

Deno.test("tar() any tree: deterministic archives do not depend on order", async () => {
  const links = (entries: readonly Entry[]): Entry[] => entries.filter(({ kind }) => kind !== "hardlink");
  await fc.assert(
    fc.asyncProperty(tree, async (entries) => {
      const one = await pack(links(entries), { deterministic: true });
      const two = await pack(links(entries).reverse(), { deterministic: true });
      assert.deepEqual(one.bytes, two.bytes);
    }),
    { seed: 4, numRuns: RUNS / 4 | 0 },
  );
});

const sample: readonly Entry[] = [
  entry("dir", { kind: "directory" }),
  entry("dir/é", { body: noise(700), bytes: 700, mtimeMs: 1_234 }),
  entry("dir/link", { kind: "symlink", target: "é" }),
  entry("e", { body: noise(1024, 2), bytes: 1024 }),
  entry("f", { body: new Uint8Array(0) }),
];

Deno.test("tar() undo reads byte by byte", async () => {
  const { bytes } = await pack(sample);
  assert.deepEqual(await unpack(inChunks(bytes, 1)), await plain(sample));
});

Deno.test("tar() undo throws on an archive cut anywhere", async () => {
  const { bytes } = await pack(sample);
  const cuts = new Set<number>();
  for (let at = 0; at < bytes.length; at += 512) [at, at + 1, at + 511].forEach((cut) => cuts.add(cut));
  for (let at = 0; at < bytes.length; at += SOAK ? 1 : 37) cuts.add(at);
  for (const cut of cuts) {
    await assert.rejects(
      unpack(bytes.slice(0, cut)),
      (error) => findError(error, IntegrityError) !== undefined,
      `cut at ${cut} of ${bytes.length}`,
    );
  }
});

Deno.test("tar() undo throws on a streamed file cut anywhere", async () => {
  const { bytes } = await pack([streamed("big", noise(1_500_000)), entry("z")]);
  for (const cut of [512, 513, 100_000, 1_500_000 + 511, 1_500_000 + 512, 1_500_000 + 1024]) {
    for (const read of [true, false]) {
      const run = read ? unpack(bytes.slice(0, cut)) : pathsOf(bytes.slice(0, cut));
      await assert.rejects(run, (error) => findError(error, IntegrityError) !== undefined);
    }
  }
  assert.deepEqual(await pathsOf(bytes), ["big", "z"]);
});

async function pathsOf(bytes: U8): Promise<string[]> {
  const { readTar } = await import("../../src/archive/read.ts");
  const paths: string[] = [];
  const source = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield bytes;
  });
  for await (const { path } of readTar(source, { entries: 100, pathBytes: 4096 })) paths.push(path);
  return paths;
}

Deno.test("tar() undo: a flip of any header byte is an error or changes nothing", async () => {
  const { bytes } = await pack(sample);
  const expected = await plain(sample);
  let refused = 0;
  let equal = 0;
  const masks = SOAK ? [1, 2, 4, 8, 16, 32, 64, 128] : [1, 16, 128];
  for (const at of headerBytes(bytes)) {
    for (const mask of masks) {
      const flipped = bytes.slice();
      flipped[at]! ^= mask;
      try {
        assert.deepEqual(await unpack(flipped), expected, `flip of ${mask} at ${at}`);
        equal++;
      } catch (error) {
        if (findError(error, IntegrityError) === undefined) throw error;
        refused++;
      }
    }
  }
  assert.ok(refused > 20 * equal, `${refused} refused, ${equal} without effect`);
});

/** Every byte of every header and of the closing blocks; content is the digest's business. */
function headerBytes(bytes: U8): number[] {
  const at: number[] = [];
  for (let block = 0; block < bytes.length;) {
    for (let i = 0; i < 512; i++) at.push(block + i);
    const size = parseInt(new TextDecoder().decode(bytes.subarray(block + 124, block + 135)), 8) || 0;
    block += 512 + Math.ceil(size / 512) * 512;
  }
  return at;
}
