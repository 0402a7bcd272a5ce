/** Indexes and seek tables that lie, and bytes that are not what was stored: never a wrong byte, and the truth where it can be had. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { backup, cat, compress, encrypt, restore, store } from "../../mod.ts";
import { frameLength } from "../../src/archive/frame.ts";
import { canonicalEntry, leafHasher, merkleRoot } from "../../src/archive/merkle.ts";
import { readSeekTable } from "../../src/compress/seekable.ts";
import { concat, sha256, utf8 } from "../../src/bytes.ts";
import { findError, IndexError, IntegrityError } from "../../src/errors.ts";
import type { Plan } from "../../src/find.ts";
import { decodeReceipt, encodeReceipt } from "../../src/receipt.ts";
import type { Store, U8 } from "../../mod.ts";
import { bytesOf, keysOf } from "../engine/support.ts";
import { shape } from "../since/support.ts";
import { scratch } from "../support.ts";
import { ageStage, makeThin, noted, planWith, textOf } from "./support.ts";

/** A clear backup: everything in it can be changed without a key. */
async function clear(dir: ReturnType<typeof scratch>): Promise<{ plan: Plan; to: Store; id: string }> {
  makeThin(dir.join("src"));
  const to = store.memory();
  const plan = planWith(dir.join("src"), to, compress.zstd({ level: 1 }), encrypt.plaintext());
  return { plan, to, id: (await backup(plan)).id };
}

/** An index of other lines: frames, tail and footer as the format has them; with `tree` its Merkle tree is that of the new lines. */
function relined(index: U8, change: (lines: string[]) => void, tree = false): U8 {
  const lines = new TextDecoder().decode(
    concat(frames(index).map((frame) => new Uint8Array(zstdDecompressSync(frame)))),
  ).trimEnd().split("\n");
  change(lines);
  const tail = JSON.parse(lines.at(-1)!);
  const packed = pack(lines.slice(0, -1).join("\n") + "\n");
  assert.equal(tail.frames.length, 1);
  tail.frames[0].size = packed.length;
  if (tree) {
    const hash = leafHasher(tail.salt);
    const leaves = lines.slice(0, -1).map((line, i) => hash(i, canonicalEntry(JSON.parse(line))));
    tail.merkleRoot = tail.frames[0].root = merkleRoot(leaves);
  }
  const footer = index.slice(-24);
  new DataView(footer.buffer).setBigUint64(8, BigInt(packed.length), true);
  return concat([packed, pack(JSON.stringify(tail) + "\n"), footer]);
}

function frames(index: U8): U8[] {
  const found: U8[] = [];
  for (let at = 0; at < index.length - 24;) {
    const length = frameLength(index.subarray(at))!;
    found.push(index.slice(at, at + length));
    at += length;
  }
  return found;
}

function pack(text: string): U8 {
  return new Uint8Array(zstdCompressSync(utf8(text), { params: { [constants.ZSTD_c_checksumFlag]: 1 } }));
}

function edited(line: string, change: (entry: Record<string, unknown>) => void): string {
  const entry = JSON.parse(line);
  change(entry);
  return JSON.stringify(entry);
}

/** Puts another index in place, and a receipt that says so: only the Merkle root still speaks for the entries. */
async function replaceIndex(to: Store, id: string, index: U8): Promise<void> {
  const receipt = decodeReceipt(await bytesOf(to, `${id}.receipt.json`), id);
  assert.equal(receipt.event, "backup");
  if (receipt.event !== "backup") return;
  const objects = receipt.objects.map((object) =>
    object.suffix === ".index" ? { suffix: ".index", bytes: index.length, sha256: sha256(index) } : object
  );
  await to.put(`${id}.index`, index);
  await to.put(`${id}.receipt.json`, encodeReceipt({ ...receipt, objects }));
}

const SMALL = "src/z.txt";

Deno.test("an index with wrong offsets: cat() finds the file all the same, restore(only) gives nothing wrong", async () => {
  using dir = scratch();
  const { plan, to, id } = await clear(dir);
  const wanted = readFileSync(dir.join(SMALL), "utf8");
  const index = await bytesOf(to, `${id}.index`);
  for (const offset of [0, 512, 5 * 2 ** 20, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    const lying = relined(index, (lines) => {
      const at = lines.findIndex((line) => line.includes('/z.txt"'));
      lines[at] = edited(lines[at]!, (entry) => entry["offset"] = offset);
    });
    await replaceIndex(to, id, lying);
    const { seen, options } = noted();
    assert.equal(await textOf(await cat(plan, { ...options, path: SMALL })), wanted, `offset ${offset}`);
    assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["ranges"], `offset ${offset}`);
    const into = dir.join(`out${offset}`);
    await assert.rejects(restore(plan, { ...options, into, only: [SMALL] }), (error) => {
      assert.ok(findError(error, IntegrityError), String(error));
      return true;
    });
    assert.throws(() => Deno.lstatSync(into), Deno.errors.NotFound);
  }
});

Deno.test("an index with another file's digest and place: the Merkle root in the receipt tells", async () => {
  using dir = scratch();
  const { plan, to, id } = await clear(dir);
  const index = await bytesOf(to, `${id}.index`);
  const receipt = await bytesOf(to, `${id}.receipt.json`);
  for (const tree of [false, true]) {
    await to.put(`${id}.receipt.json`, receipt);
    const lying = relined(index, (lines) => {
      const [at, from] = ["/z.txt", "/m.txt"].map((name) =>
        lines.findIndex((line) => line.includes(`${name}"`))
      ) as [number, number];
      lines[at] = edited(lines[from]!, (entry) => entry["path"] = SMALL);
    }, tree);
    await replaceIndex(to, id, lying);
    const { seen, options } = noted();
    const got = await textOf(await cat(plan, { ...options, path: SMALL }));
    assert.equal(got, readFileSync(dir.join(SMALL), "utf8"));
    assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["index"]);
  }
});

Deno.test("an index that is cut, changed or gone: cat() and restore(only) read everything and say so, restore() refuses", async () => {
  using dir = scratch();
  makeThin(dir.join("src"));
  const to = store.memory();
  const plan = planWith(dir.join("src"), to, compress.zstd({ level: 1 }), ageStage());
  const { id } = await backup(plan);
  const index = await bytesOf(to, `${id}.index`);
  const flipped = index.slice();
  flipped[index.length >> 1]! ^= 1;
  for (
    const [what, bytes] of [["flipped", flipped], ["cut", index.slice(0, -1)], ["gone", undefined]] as const
  ) {
    if (bytes) await to.put(`${id}.index`, bytes);
    else await to.delete(`${id}.index`);
    const { seen, options } = noted();
    for (const path of [SMALL, "src/hard"]) {
      const got = await textOf(await cat(plan, { ...options, path }));
      assert.equal(got, readFileSync(dir.join(path), "utf8"), what);
    }
    const into = dir.join(`out-${what}`);
    await restore(plan, { ...options, into, only: [SMALL] });
    assert.equal(readFileSync(`${into}/${SMALL}`, "utf8"), readFileSync(dir.join(SMALL), "utf8"), what);
    assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["index", "index", "index"], what);
    await assert.rejects(restore(plan, { ...options, into: dir.join("none") }), (error) => {
      assert.match(
        findError(error, IndexError)?.message ?? "",
        new RegExp(`: \`restore ${id} --into DIR --only '[*][*]'\` reads it without its index$`),
        `${what}: ${error}`,
      );
      return true;
    });
    assert.throws(() => Deno.lstatSync(dir.join("none")), Deno.errors.NotFound);
    // As that says.
    await restore(plan, { ...options, into: dir.join(`all-${what}`), only: ["**"] });
    assert.deepEqual(shape(dir.join(`all-${what}/src`)), shape(dir.join("src")), what);
  }
});

Deno.test("notes of a changed index, clear as it lies there, lead no restore anywhere", async () => {
  using dir = scratch();
  const { to, id } = await clear(dir);
  const index = await bytesOf(to, `${id}.index`);
  const elsewhere = dir.join("srx");
  // The same length: what a listing shows does not tell.
  const lying = relined(
    index,
    (lines) => lines[lines.length - 1] = lines.at(-1)!.replace(dir.join("src"), elsewhere),
  );
  const { seen, options } = noted();
  await to.put(`${id}.index`, lying);
  const sameLength: Store = {
    ...to,
    head: async (key) => {
      const item = await to.head(key);
      return item && key.endsWith(".index") ? { ...item, bytes: index.length } : item;
    },
  };
  const fooled = planWith(dir.join("src"), sameLength, compress.zstd({ level: 1 }), encrypt.plaintext());
  await assert.rejects(
    restore(fooled, { ...options, inPlace: true, conflict: "overwrite" }),
    isIntegrity,
  );
  assert.throws(() => Deno.lstatSync(elsewhere), Deno.errors.NotFound);
  assert.deepEqual(seen.warnings, []);
});

function isIntegrity(error: unknown): boolean {
  assert.ok(findError(error, IntegrityError), String(error));
  return true;
}

/** All places in a soak, every sixth of them otherwise. */
const EVERY = Deno.env.get("HOLDFAST_SOAK") ? 1 : 6;

Deno.test("flips in archive, seek table and index: what cat() gives is right, or it fails", async () => {
  using dir = scratch();
  const { plan, to, id } = await clear(dir);
  const wanted = readFileSync(dir.join(SMALL), "utf8");
  const { options } = noted();
  let right = 0;
  let failed = 0;
  const clean = new Map<string, U8>();
  for (const key of await keysOf(to)) clean.set(key, await bytesOf(to, key));
  const whole = clean.get(id)!;
  const index = clean.get(`${id}.index`)!;
  const header = await placeOf(whole, index);
  // Every byte of the seek table, then the frame the file lies in, then the index.
  const places = [
    ...Array.from({ length: 80 }, (_, i) => [id, whole.length - 1 - i] as const),
    ...Array.from(
      { length: 100 },
      (_, i) => [id, header.start + Math.floor(header.size * (i + 0.5) / 100)] as const,
    ),
    ...Array.from(
      { length: 120 },
      (_, i) => [`${id}.index`, Math.floor(index.length * (i + 0.5) / 120)] as const,
    ),
  ];
  for (const [i, [key, at]] of places.entries()) {
    if (i % EVERY > 0) continue;
    const flipped = clean.get(key)!.slice();
    flipped[at]! ^= 1 << (at % 8);
    await to.put(key, flipped);
    try {
      assert.equal(await textOf(await cat(plan, { ...options, path: SMALL })), wanted, `${key}: byte ${at}`);
      right++;
    } catch (error) {
      assert.ok(findError(error, IntegrityError), `${key}: byte ${at}: ${error}`);
      failed++;
    }
    await to.put(key, clean.get(key)!);
  }
  // An index that is damaged costs a full read and no more; a damaged frame cannot be had.
  assert.ok(right >= 120 / EVERY - 1 && failed >= 100 / EVERY - 1, `${right} right, ${failed} failed`);
});

/** Where the frame lies that holds the file: by the index's own word, and the seek table's. */
async function placeOf(whole: U8, index: U8): Promise<{ start: number; size: number }> {
  let offset = 0;
  relined(index, (lines) => offset = JSON.parse(lines.find((line) => line.includes('/z.txt"'))!).offset);
  const table = (await readSeekTable({
    size: whole.length,
    at: (start, end) => Promise.resolve(whole.slice(start, end)),
  }))!;
  const frame = table.at(offset);
  return { start: table.stored[frame]!, size: table.stored[frame + 1]! - table.stored[frame]! };
}

Deno.test("a large file from the wrong place never comes out whole", async () => {
  using dir = scratch();
  const { plan, to, id } = await clear(dir);
  const good = readFileSync(dir.join("src/large.txt"));
  const lying = relined(await bytesOf(to, `${id}.index`), (lines) => {
    const at = lines.findIndex((line) => line.includes('/large.txt"'));
    lines[at] = edited(lines[at]!, (entry) => entry["offset"] = Number(entry["offset"]) - 512);
  });
  await replaceIndex(to, id, lying);
  const out: U8[] = [];
  await assert.rejects(async () => {
    for await (const chunk of await cat(plan, { path: "src/large.txt" })) out.push(chunk);
  }, isIntegrity);
  assert.ok(concat(out).length < good.length);
});
