/** Sparse files: those of GNU tar and bsdtar read as what they are, and maps made to deceive refused. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { concat, readAll, sha256, toBytes, utf8 } from "../../src/bytes.ts";
import { findError, IntegrityError, messageOf } from "../../src/errors.ts";
import { tar } from "../../src/archive/mod.ts";
import { readTar } from "../../src/archive/read.ts";
import type { Limits, U8 } from "../../src/stage.ts";
import { judged, noise, scratch, sh, testContext } from "../support.ts";
import { archived, archiveOf, member, pax, type Raw, unpack } from "../archive/help.ts";

const MIB = 2 ** 20;
const FORMS = [
  "tar --format=gnu -S -c",
  "tar --format=posix -S --sparse-version=0.0 -c",
  "tar --format=posix -S --sparse-version=0.1 -c",
  "tar --format=posix -S --sparse-version=1.0 -c",
  "bsdtar --read-sparse --format=pax -c",
];

judged("tar() undo reads what GNU tar and bsdtar store sparse as it is, in every form", [
  "tar",
  "bsdtar",
], async () => {
  using dir = scratch();
  const long = `d/${"n".repeat(90)}/${"ü".repeat(60)}`;
  mkdirSync(dir.join(`d/${"n".repeat(90)}`), { recursive: true });
  sh(
    `truncate -s 300K small; printf x | dd of=small bs=1 seek=200000 conv=notrunc status=none
     truncate -s 5M tail; echo tail >> tail
     truncate -s 3M holes
     truncate -s 400K few
     head -c 4096 /dev/urandom > head; truncate -s 2500001 head
     for i in $(seq 0 60); do head -c 4096 /dev/urandom | dd of=many bs=4096 seek=$((i * 20)) conv=notrunc status=none; done
     truncate -s 9M many
     cp --sparse=always many '${long}'
     echo plain > plain`,
    { cwd: dir.path },
  );
  const names = ["small", "tail", "holes", "few", "head", "many", long, "plain"];
  for (const form of FORMS) {
    const archive = sh(`${form} ${names.map((name) => `'${name}'`).join(" ")}`, { cwd: dir.path });
    assert.ok(archive.length < 2 * MIB, `stored sparse: ${form}`);
    const read = await unpack(archive);
    assert.deepEqual(read.map(({ path }) => path), names, form);
    for (const { path, bytes, body, ...rest } of read) {
      const content = readFileSync(dir.join(path));
      assert.equal(bytes, content.length, `${form} ${path}`);
      assert.equal(sha256(body!), sha256(content), `${form} ${path}`);
      assert.ok(!("sparse" in rest));
    }
    // Bodies that nobody reads are passed over.
    const files = await tar().undo(archiveOf(archive), testContext());
    const paths: string[] = [];
    for await (const { path } of files.entries()) paths.push(path);
    assert.deepEqual(paths, names, form);
  }
});

/** A header field of twelve bytes. */
function octal(value: number): U8 {
  if (value < 8 ** 11) return utf8(value.toString(8).padStart(11, "0") + "\0");
  const field = Uint8Array.of(0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  new DataView(field.buffer).setBigUint64(4, BigInt(value));
  return field;
}

interface Gnu {
  readonly real?: number;
  readonly more?: readonly U8[];
  readonly patch?: (header: U8) => void;
  readonly fields?: Raw;
}

/** An old GNU sparse member by hand. */
function gnu(
  map: readonly number[],
  stored: Uint8Array,
  { real = 10_000, more = [], ...rest }: Gnu = {},
): U8 {
  const all = member({ path: "x", type: "S", ...rest.fields }, stored, (header) => {
    header.set(utf8("ustar  \0"), 257);
    map.forEach((value, i) => header.set(octal(value), 386 + 12 * i));
    if (more.length > 0) header[482] = 1;
    header.set(octal(real), 483);
    rest.patch?.(header);
  });
  return concat([all.subarray(0, 512), ...more, all.subarray(512)]);
}

/** A block of further extents. */
function further(map: readonly number[], more = false): U8 {
  const block = new Uint8Array(512);
  map.forEach((value, i) => block.set(octal(value), 12 * i));
  block[504] = Number(more);
  return block;
}

async function refused(attack: Uint8Array, why: RegExp, limits: Partial<Limits> = {}): Promise<void> {
  await assert.rejects(unpack(attack, limits), (error) => {
    assert.ok(findError(error, IntegrityError), `not an IntegrityError: ${messageOf(error)}`);
    assert.match(messageOf(error), why);
    assert.match(messageOf(error), /entry 1 \("x"\)|"x": the archive ends/);
    return true;
  });
}

const data = noise(1024, 5);

/** What the map 1000..1512, 3000..3512 of 10,000 bytes reads as. */
function expected(): U8 {
  const out = new Uint8Array(10_000);
  out.set(data.subarray(0, 512), 1000);
  out.set(data.subarray(512), 3000);
  return out;
}

/** Maps of two extents and an end, and why they are refused; the allowed one is GOOD, of 10,000. */
const MAPS: readonly (readonly [readonly number[], number, RegExp])[] = [
  [[1000, 512, 1400, 512, 10_000, 0], 10_000, /overlaps or descends/],
  [[3000, 512, 1000, 512, 10_000, 0], 10_000, /overlaps or descends/],
  [[1000, 512, 9900, 512, 10_000, 0], 10_000, /goes past the file's end/],
  [[1000, 512, 3000, 512, 10_001, 0], 10_000, /goes past the file's end/],
  [[1000, 512, 3000, 512, 10_000, 0], 3000, /goes past the file's end/],
  [[1000, 512, 3000, 512, 9999, 0], 10_000, /stops before the file's end/],
  [[1000, 512, 3000, 512], 10_000, /stops before the file's end/],
  [[1000, 512, 3000, 511, 10_000, 0], 10_000, /takes 1023 bytes, and 1024 are stored/],
  [[1000, 512, 3000, 513, 10_000, 0], 10_000, /takes 1025 bytes, and 1024 are stored/],
  // Some programs read the next extent from the next block, others from the next byte.
  [[1000, 511, 3000, 513, 10_000, 0], 10_000, /does not consist of whole blocks/],
  [[1000, 512, 3000, 8_589_934_591], 10_000, /goes past the file's end/],
];
const GOOD = [1000, 512, 3000, 512, 10_000, 0];

/** The same map in each form. */
const forms: Readonly<Record<string, (map: readonly number[], real: number) => U8>> = {
  gnu: (map, real) => archived(gnu(map, data, { real })),
  "0.0": (map, real) =>
    archived(
      pax([
        ["GNU.sparse.size", String(real)],
        ["GNU.sparse.numblocks", String(map.length / 2)],
        ...map.map((value, i) => [`GNU.sparse.${i % 2 ? "numbytes" : "offset"}`, String(value)] as const),
      ]),
      member({ path: "x" }, data),
    ),
  "0.1": (map, real) => version01([["map", map.join(",")], ["size", String(real)]], map.length / 2),
  "1.0": (map, real) => version10([map.length / 2, ...map].map((one) => `${one}\n`).join(""), real),
};

function version01(records: readonly (readonly [string, string])[], blocks: number): U8 {
  const keyed = records.map(([key, value]) => [`GNU.sparse.${key}`, value] as const);
  return archived(
    pax([["GNU.sparse.name", "x"], ["GNU.sparse.numblocks", String(blocks)], ...keyed]),
    member({ path: "GNUSparseFile.1/x" }, data),
  );
}

function version10(
  map: string,
  real: number | string,
  more: readonly (readonly [string, string])[] = [],
  stored = data,
): U8 {
  const block = new Uint8Array(Math.ceil(map.length / 512) * 512);
  block.set(utf8(map));
  return archived(
    pax([
      ["GNU.sparse.major", "1"],
      ["GNU.sparse.minor", "0"],
      ["GNU.sparse.name", "x"],
      ["GNU.sparse.realsize", String(real)],
      ...more,
    ]),
    member({ path: "GNUSparseFile.1/x" }, concat([block, stored])),
  );
}

Deno.test("tar() undo refuses sparse maps that are not one, in every form", async () => {
  for (const [form, make] of Object.entries(forms)) {
    const [read] = await unpack(make(GOOD, 10_000));
    assert.deepEqual([read?.path, read?.bytes, read?.kind], ["x", 10_000, "file"], form);
    assert.deepEqual(read?.body, expected(), form);
    for (const [map, real, why] of MAPS) await refused(make(map, real), why);
  }
  for (
    const map of [
      "1000,512,3000,512,10000",
      "1000,512,-3000,512,10000,0",
      "1000,512,x,512,10000,0",
      "1000,,3000,512,10000,0",
      "1e3,512,3000,512,10000,0",
    ]
  ) {
    await refused(version01([["map", map], ["size", "10000"]], 3), /holds no number|has another length/);
  }
  await refused(
    version01([["map", GOOD.join(",")], ["size", "10000"]], 2),
    /has another length than it says/,
  );
  await refused(version01([["map", GOOD.join(",")]], 3), /holds no number/);
  await refused(version01([["size", "10000"]], 2), /has not one map/);
  await refused(
    version01([["map", GOOD.join(",")], ["size", "10000"], ["offset", "1"], ["numbytes", "1"]], 2),
    /has not one map/,
  );
  await refused(
    version01([["size", "10000"], ["offset", "1000\n3000"], ["numbytes", "512"], ["numbytes", "512"]], 2),
    /holds no number/,
  );
  await refused(
    version01([["size", "10000"], ["offset", "1000"], ["numbytes", "512"], ["numbytes", "512"]], 2),
    /offsets without lengths/,
  );
  const good = GOOD.reduce((text, one) => `${text}${one}\n`, "3\n");
  for (const map of ["-1\n", "x\n", "2\n1000\n512\n3000\n", " 2\n1000\n512\n3000\n512\n"]) {
    await refused(version10(map, 10_000), /holds no number|goes past what is stored/);
  }
  await refused(version10("1\n".padEnd(1200, "7"), 10_000), /holds no number/);
  await refused(version10("1000001\n", 10_000), /more than 1000000 extents/);
  await refused(version10("9007199254740991\n", 10_000), /more than 1000000 extents/);
  await refused(version10("900000\n".repeat(100), 10_000), /holds no number|goes past what is stored/);
  const unending = `300\n${"0\n".repeat(254)}`;
  await refused(version10(unending, 10_000, [], new Uint8Array(0)), /goes past what is stored/);
  await refused(version10(good, "-1"), /holds no number/);
  await refused(version10(good, 10_000, [["GNU.sparse.map", "0,1"]]), /in two versions/);
  await refused(version10(good, 10_000, [["GNU.sparse.major", "2"]]), /unknown version \(2\.0\)/);
  await refused(version10(good, 10_000, [["GNU.sparse.minor", "1"]]), /unknown version \(1\.1\)/);
});

judged("GNU tar reads the sparse members made here by hand as tar() does", ["tar"], async () => {
  using dir = scratch();
  const more = [further([10_000, 0])];
  const extended = (): U8 => archived(gnu([0, 512, 1000, 512, 3000, 0, 4000, 0], data, { more }));
  const made: [string, () => U8][] = [["extended", extended]];
  for (const [form, make] of Object.entries(forms)) made.push([form, () => make(GOOD, 10_000)]);
  for (const [form, make] of made) {
    const archive = make();
    writeFileSync(dir.join("x.tar"), archive);
    const [read] = await unpack(archive);
    sh("tar -x -f x.tar", { cwd: dir.path });
    assert.deepEqual(read?.body, new Uint8Array(readFileSync(dir.join("x"))), form);
  }
  // What takes more than is stored, GNU tar refuses too.
  writeFileSync(dir.join("x.tar"), forms["0.1"]!([1000, 512, 3000, 8_589_934_591], 10_000));
  assert.throws(() => sh("tar -x -f x.tar", { cwd: dir.path }));
});

Deno.test("tar() undo refuses GNU's sparse headers that programs read in different ways", async () => {
  const more = [further([10_000, 0])];
  const full = [0, 512, 1000, 512, 3000, 0, 4000, 0];
  assert.equal((await unpack(archived(gnu(full, data, { more }))))[0]?.bytes, 10_000);
  const attacks: [U8, RegExp][] = [
    [gnu(GOOD, data, { more }), /has a gap/],
    [gnu(GOOD, data, { patch: (header) => header.set(octal(5000), 458) }), /has a gap/],
    [gnu(GOOD, data, { patch: (header) => header.fill(0, 386, 410) }), /has a gap/],
    [gnu(full, data, { more: [further([7000, 0], true), further([10_000, 0])] }), /has a gap/],
    [gnu(full, data, { more: [further([3500, 0])] }), /overlaps or descends/],
    [gnu(GOOD, data, { patch: (header) => header.set(utf8("ustar\x0000"), 257) }), /is not GNU tar's/],
    [gnu(GOOD, data, { patch: (header) => header.fill(0xff, 410, 422) }), /negative number/],
    [gnu(GOOD, data, { patch: (header) => header.fill(0xff, 398, 410) }), /negative number/],
    [gnu([], new Uint8Array(0), { patch: (header) => header.fill(0xff, 483, 495) }), /negative length/],
    [gnu(GOOD, data, { patch: (header) => header.set(utf8("12x"), 386) }), /its map is not a number/],
    [gnu(GOOD, data, { patch: (header) => header.set(utf8("zz"), 483) }), /its real size is not a number/],
    [gnu(GOOD, data, { fields: { path: "x/" } }), /is a (?:sparse )?directory/],
    [gnu([], new Uint8Array(0), { fields: { path: "x/" } }), /is a sparse directory/],
  ];
  for (const [attack, why] of attacks) {
    await assert.rejects(unpack(archived(attack)), (error) => {
      assert.ok(findError(error, IntegrityError), messageOf(error));
      assert.match(messageOf(error), why);
      return true;
    });
  }
  await refused(archived(pax([["GNU.sparse.size", "1"]]), gnu(GOOD, data)), /sparse or in parts/);
  await refused(gnu(full, data, { more }).slice(0, 700), /the archive ends inside it/);
  await refused(gnu(GOOD, data).slice(0, 700), /the archive ends inside it/);
  await refused(
    gnu([1000, 512, 3000, 512, 5 * MIB, 0], data, { real: 5 * MIB }).slice(0, 700),
    /the archive ends inside it/,
  );
});

Deno.test("a sparse map has an end", async () => {
  const full = [0, 512, 1000, 512, 3000, 0, 3000, 0];
  const head = gnu(full, data, { patch: (header) => header[482] = 1 }).slice(0, 512);
  const block = further(Array.from({ length: 42 }, (_, i) => i % 2 ? 0 : 4000), true);
  let given = 0;
  const endless = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield head;
    for (; given < 60_000; given++) yield block.slice();
  });
  await assert.rejects(unpack(endless), /more than 1000000 extents/);
  assert.ok(given < 48_000, `${given} blocks were taken`);
});

Deno.test("what holes unfold to is bounded before it is unfolded", async () => {
  const TIB = 2 ** 40;
  const huge = (real: number): U8 => gnu([...GOOD.slice(0, 4), real, 0], data, { real });
  const none = { ratio: Infinity };
  await refused(archived(huge(2 ** 52)), /unfolds to more than 1(?:\.0)? TiB\. Raise --limit-bytes/);
  await refused(archived(huge(TIB + 1)), /Raise --limit-bytes/, none);
  await refused(archived(huge(TIB - 1)), /more than 200 times its size.*Raise --limit-ratio/);
  await refused(archived(huge(65 * MIB)), /Raise --limit-ratio/);
  await refused(archived(huge(20_000)), /Raise --limit-bytes/, { bytes: 19_999 });
  assert.equal((await unpack(archived(huge(63 * MIB))))[0]?.bytes, 63 * MIB);
  assert.equal((await unpack(archived(huge(65 * MIB)), none))[0]?.bytes, 65 * MIB);
  // Many count together.
  const many = Array.from({ length: 5 }, () => huge(15 * MIB));
  await assert.rejects(unpack(archived(...many)), /Raise --limit-ratio/);
  await assert.rejects(unpack(archived(...many), { ...none, bytes: 60 * MIB }), /Raise --limit-bytes/);
  // Where no bounds are given, none are taken.
  await assert.rejects(async () => {
    const bytes = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      yield archived(huge(20_000));
    });
    for await (const _ of readTar(bytes, { entries: 9, pathBytes: 99 }));
  }, /is a sparse file, which is not taken here/);
});

Deno.test("a large sparse file is read once, in order, and in pieces", async () => {
  const real = 4 * MIB;
  const bytes = archived(
    gnu([1000, 512, 3 * MIB, 512, real, 0], data, { real }),
    member({ path: "y" }, data),
  );
  const files = await tar().undo(archiveOf(bytes), testContext());
  const bodies: (() => ReadableStream<U8>)[] = [];
  for await (const { body } of files.entries()) {
    if (typeof body !== "function") continue;
    bodies.push(body);
    const read = await readAll(body(), real);
    const whole = new Uint8Array(real);
    whole.set(data.subarray(0, 512), 1000);
    whole.set(data.subarray(512), 3 * MIB);
    assert.equal(sha256(read), sha256(whole));
    assert.throws(body, /twice/);
  }
  assert.throws(bodies[0]!, /twice|any more/);
});
