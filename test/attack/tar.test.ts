/** Hostile and damaged tar archives. Each attack has an allowed twin that differs only in what is attacked. */
import assert from "node:assert/strict";
import { concat, readAll, toBytes, utf8 } from "../../src/bytes.ts";
import { findError, IntegrityError, messageOf } from "../../src/errors.ts";
import { tar } from "../../src/archive/mod.ts";
import { nameOf } from "../../src/raw_name.ts";
import type { Bytes, Limits, U8 } from "../../src/stage.ts";
import { inChunks, noise, testContext } from "../support.ts";
import {
  archived,
  archiveOf,
  entry,
  member,
  pack,
  pax,
  type Raw,
  type Read,
  seal,
  unpack,
} from "../archive/help.ts";

const content = utf8("hello");
const file = (path = "x"): U8 => member({ path }, content);
const end = new Uint8Array(1024);

/** The attack is refused with a sentence that fits, and the twin is read. */
async function refused(attack: U8, why: RegExp, twin: U8, limits?: Partial<Limits>): Promise<Read[]> {
  await assert.rejects(unpack(attack, limits), (error) => {
    assert.ok(findError(error, IntegrityError), `not an IntegrityError: ${messageOf(error)}`);
    assert.match(messageOf(error), why);
    return true;
  });
  return await unpack(twin, limits);
}

/** A header field by hand, with the checksum made anew. */
function spoiled(at: number, bytes: Uint8Array, fields: Raw = { path: "x" }, body: Uint8Array = content): U8 {
  return member(fields, body, (header) => header.set(bytes, at));
}

Deno.test("tar() undo hands hostile paths on as they are, for the extractor to refuse", async () => {
  for (const path of ["../x", "/x", "a/../../x", "a//b", "a/./b", "..", "\\x"]) {
    assert.equal((await unpack(archived(file(path))))[0]?.path, path);
  }
  assert.equal((await unpack(archived(member({ path: "/", type: "5" }))))[0]?.path, "/");
  const target = archived(file(), member({ path: "l", type: "1", target: "../../etc/passwd" }));
  assert.equal((await unpack(target))[1]?.target, "../../etc/passwd");
});

Deno.test("tar() undo strips ./ and trailing slashes, and drops the folder . itself", async () => {
  const read = await unpack(archived(
    member({ path: "./", type: "5" }),
    member({ path: "./d/", type: "5" }),
    file("./d/x"),
    member({ path: "./d/y", type: "1", target: "./d/x" }),
    member({ path: "./d/z", type: "2", target: "./x/" }),
    member({ path: "old/", type: "\0" }),
  ));
  assert.deepEqual(read.map(({ path, kind, target }) => [path, kind, target]), [
    ["d", "directory", undefined],
    ["d/x", "file", undefined],
    ["d/y", "hardlink", "d/x"],
    ["d/z", "symlink", "./x/"],
    ["old", "directory", undefined],
  ]);
});

Deno.test("tar() undo refuses types that it cannot restore, by name", async () => {
  const types: [string, RegExp][] = [
    ["3", /"x"\): it is a character device/],
    ["4", /"x"\): it is a block device/],
    ["6", /"x"\): it is a named pipe/],
    ["M", /"x"\): it is the continuation of a file from another volume/],
    ["D", /"x"\): it is a folder of a GNU incremental archive/],
    ["X", /"x"\): it is of the unknown type "X"/],
    ["\x1b", /"x"\): it is of the unknown type "\\u001b"/],
    ["_", /"x"\): it is of the unknown type "_"/],
  ];
  for (const [type, why] of types) {
    await refused(archived(member({ type })), why, archived(member({ type: "0" })));
  }
  assert.equal((await unpack(archived(member({ type: "7" }, content))))[0]?.kind, "file");
  assert.equal((await unpack(archived(member({ type: "\0" }, content))))[0]?.kind, "file");
});

Deno.test("tar() undo refuses parts of files, and sparse files of no known kind, that PAX records announce", async () => {
  for (const key of ["GNU.sparse.else", "SCHILY.realsize", "GNU.volume.offset"]) {
    const attack = archived(pax([[key, "1"]]), file());
    await refused(
      attack,
      /"x"\): it is sparse or in parts/,
      archived(pax([["SCHILY.xattr.user.a", "1"]]), file()),
    );
  }
});

Deno.test("tar() undo refuses a wrong checksum, and takes a signed one", async () => {
  const wrong = file();
  wrong[0]! ^= 1;
  await refused(archived(wrong), /its checksum is wrong/, archived(file()));
  const high = member({ path: "ü" }, content);
  const sum = [...high.subarray(0, 512)].reduce(
    (total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte > 127 ? byte - 256 : byte),
    0,
  );
  high.set(utf8(sum.toString(8).padStart(6, "0") + "\0 "), 148);
  assert.equal((await unpack(archived(high)))[0]?.path, "ü");
});

Deno.test("tar() undo refuses malformed numbers", async () => {
  const fields: [number, number, string][] = [[100, 8, "mode"], [108, 8, "uid"], [116, 8, "gid"], [
    124,
    12,
    "size",
  ], [136, 12, "mtime"]];
  for (const [at, size, name] of fields) {
    const why = new RegExp(`its ${name} is not a number`);
    await refused(archived(spoiled(at, utf8("12x"))), why, archived(file()));
    await refused(archived(spoiled(at, utf8("-1"))), why, archived(file()));
    await refused(archived(spoiled(at, utf8("00 0"))), why, archived(file()));
    await refused(archived(spoiled(at, new Uint8Array(size).fill(0xfe))), why, archived(file()));
    const marker = new Uint8Array(size).fill(0x81, 0, 1);
    await refused(archived(spoiled(at, marker)), why, archived(file()));
    const tooBig = new Uint8Array(size).fill(0x7f).fill(0x80, 0, 1);
    await refused(archived(spoiled(at, tooBig)), why, archived(file()));
  }
  const blank = await unpack(archived(spoiled(108, utf8("       \0"))));
  assert.equal(blank[0]?.uid, 0);
});

Deno.test("tar() undo reads GNU base-256 numbers, and refuses negative lengths and owners", async () => {
  const base256 = (value: bigint, size: number): U8 => {
    const bytes = new Uint8Array(size);
    for (let i = size - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
    if (value >= 0n) bytes[0] = 0x80;
    return bytes;
  };
  const owner = (value: bigint): U8 => archived(spoiled(108, base256(value, 8)));
  assert.equal(
    (await refused(owner(-1n), /its uid is not a whole number/, owner(4_294_967_294n)))[0]?.uid,
    4294967294,
  );
  const length = (value: bigint): U8 => archived(spoiled(124, base256(value, 12)));
  await refused(length(-512n), /its length is negative/, length(5n));
  await refused(length(2n ** 60n), /its size is not a number/, length(5n));
  const time = await unpack(archived(spoiled(136, base256(-1000n, 12))));
  assert.equal(time[0]?.mtimeMs, -1_000_000);
});

Deno.test("tar() undo gives names that are not UTF-8 as text without loss, wherever they stand", async () => {
  const bad = Uint8Array.of(0x61, 0xff, 0x62);
  const text = nameOf(bad);
  const first = async (archive: U8): Promise<Read> => (await unpack(archive))[0]!;
  assert.equal((await first(archived(spoiled(0, bad)))).path, text);
  assert.match((await first(archived(spoiled(345, bad)))).path, new RegExp(`^${text}/`));
  assert.equal((await first(archived(spoiled(265, bad)))).uname, text);
  assert.equal((await first(archived(spoiled(297, bad)))).gname, text);
  const link = await first(archived(spoiled(157, bad, { type: "2" }, new Uint8Array(0))));
  assert.equal(link.target, text);
  const raw = concat([utf8(`${10 + bad.length - 1} path=`), bad, utf8("\n")]);
  assert.equal((await first(archived(member({ type: "x" }, raw), file()))).path, text);
  assert.equal((await first(archived(member({ type: "L" }, bad), file()))).path, text);
  // The sentence shows such a name without harm to the terminal.
  await assert.rejects(
    unpack(archived(spoiled(0, Uint8Array.of(0x1b, 0x5b, 0xff), { type: "3" }))),
    /\("\\u001b\[\\xFF"\)/,
  );
});

Deno.test("tar() undo refuses names in other character sets", async () => {
  const named = (charset: string): U8 => archived(pax([["hdrcharset", charset]]), file());
  await refused(
    named("ISO-IR 8859 1 1998"),
    /its names are in "ISO-IR 8859 1 1998", not in UTF-8/,
    named("BINARY"),
  );
  await unpack(named("ISO-IR 10646 2000 UTF-8"));
});

Deno.test("tar() undo refuses a name with NUL or none at all", async () => {
  const named = (path: string): U8 => archived(pax([["path", path]]), file());
  await refused(named("a\0b"), /holds a NUL/, named("ab"));
  await refused(archived(file("")), /it has no name/, archived(file("a")));
  const linked = (target: string): U8 => archived(member({ type: "2", target }));
  await refused(linked(""), /it is a symlink without a target/, linked("a"));
});

Deno.test("tar() undo refuses malformed PAX records", async () => {
  const records = (text: string): U8 => archived(member({ type: "x" }, utf8(text)), file());
  const twin = records("9 path=a\n");
  const wrong = [
    "path=a\n",
    "9 path=a",
    "8 path=a\n",
    "11 path=a\n",
    "011 path=a\n",
    "9 path=ab",
    "09 path=a\n",
    "9path=aa\n",
    "7 path\n",
    "5 =a\n",
    " 9 path=a\n",
    "99999999 path=a\n",
    "-9 path=a\n",
    "9 path=a\n\0",
    "9 path=a\n\n",
    "0 ",
    "3 \n",
    "99 path=a\n",
  ];
  for (const text of wrong) await refused(records(text), /PAX record/, twin);
  assert.equal((await unpack(twin))[0]?.path, "a");
  assert.equal((await unpack(records("9 path=b\n9 path=a\n")))[0]?.path, "a");
  assert.equal((await unpack(records("8 path=\n")))[0]?.path, "x");
});

Deno.test("tar() undo refuses PAX numbers and times that are none", async () => {
  const one = (key: string, value: string): U8 => archived(pax([[key, value]]), file());
  for (const value of ["-1", "1.5", "x", "99999999999999999", "0x10", " 1"]) {
    await refused(one("uid", value), /its uid is not a whole number/, one("uid", "5"));
    await refused(one("gid", value), /its gid is not a whole number/, one("gid", "5"));
    await refused(one("size", value), /its PAX size is not a number/, one("size", "5"));
  }
  for (const value of ["x", "1e5", "--1", "1.2.3", "9".repeat(16), "9".repeat(15), "+1", "0x1"]) {
    await refused(one("mtime", value), /its time is not a number/, one("mtime", "1.5"));
  }
});

Deno.test("tar() undo refuses two lengths for one file", async () => {
  const sized = (size: number): U8 => archived(pax([["size", String(size)]]), file());
  await refused(sized(0), /its header says 5 bytes and its PAX header 0/, sized(5));
  await refused(sized(512), /its header says 5 bytes and its PAX header 512/, sized(5));
});

Deno.test("tar() undo refuses links and folders with content", async () => {
  for (const type of ["1", "2", "5"]) {
    const linked = (size: number): U8 => archived(member({ type, target: "y", size }));
    await refused(linked(512), /with a length, which tar programs read in different ways/, linked(0));
  }
  await refused(
    archived(member({ path: "d/" }, content)),
    /is a directory with a length/,
    archived(member({ path: "d/" })),
  );
});

Deno.test("tar() undo refuses doubled and dangling extended headers", async () => {
  const twin = archived(
    pax([["path", "a"]]),
    member({ type: "L" }, utf8("b\0")),
    member({ type: "K" }, utf8("c\0")),
    file(),
  );
  for (
    const extra of [
      pax([["path", "a"]]),
      member({ type: "L" }, utf8("b\0")),
      member({ type: "K" }, utf8("c\0")),
    ]
  ) {
    await refused(archived(extra, extra, file()), /there are two of them/, twin);
    await refused(archived(file(), extra), /the archive ends after its extended header/, twin);
    await refused(concat([extra]), /without its closing blocks/, twin);
    await refused(extra.slice(0, 514), /the archive ends inside it/, twin);
  }
});

Deno.test("tar() undo applies global headers, and refuses names and lengths in them", async () => {
  const global = (key: string, value: string): U8 =>
    archived(pax([[key, value]], "g"), file("a"), pax([["mtime", "7"]]), file("b"));
  for (const key of ["path", "linkpath", "size", "GNU.sparse.major", "GNU.volume.filename"]) {
    await refused(global(key, "5"), /for all entries, which is not supported/, global("comment", "5"));
  }
  assert.deepEqual((await unpack(global("mtime", "5"))).map(({ mtimeMs }) => mtimeMs), [5000, 7000]);
  assert.deepEqual((await unpack(global("uname", "bob"))).map(({ uname }) => uname), ["bob", "bob"]);
  const undone = archived(
    pax([["uid", "5"]], "g"),
    file("a"),
    pax([["uid", ""]], "g"),
    file("b"),
    pax([["uid", ""]]),
    file("c"),
  );
  assert.deepEqual((await unpack(undone)).map(({ uid }) => uid), [5, 0, 0]);
});

Deno.test("tar() undo refuses extended headers of more than 1 MiB before reading them", async () => {
  const padded = (size: number): U8 =>
    utf8(`${size} comment=${"x".repeat(size - 10 - String(size).length)}\n`);
  const MIB = 1024 * 1024;
  for (const type of ["x", "g"]) {
    const sized = (size: number): U8 => archived(member({ type }, padded(size)), file());
    await refused(sized(MIB + 1), /it has 1048577 bytes, the limit is 1048576/, sized(MIB));
  }
  let given = 0;
  const source: Bytes = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    yield member({ type: "L", size: 2 ** 33 - 1 });
    for (given = 0; given < 100; given++) yield new Uint8Array(MIB);
  });
  await assert.rejects(unpack(source), /the limit is 1048576/);
  assert.equal(given, 0);
});

Deno.test("tar() undo keeps to the limits on entries and path lengths", async () => {
  const three = archived(file("a"), file("b"), file("c"));
  await assert.rejects(unpack(three, { entries: 2 }), /it holds more than 2 entries/);
  assert.equal((await unpack(three, { entries: 3 })).length, 3);
  const long = (bytes: number): U8 => archived(pax([["path", "ü".repeat(bytes / 2)]]), file());
  await refused(long(4098), /its name has 4098 bytes, the limit is 4096/, long(4096));
  const linked = (bytes: number): U8 =>
    archived(member({ type: "K" }, utf8("y".repeat(bytes))), member({ type: "2" }));
  await refused(linked(4097), /its link target has 4097 bytes, the limit is 4096/, linked(4096));
  const deep = (parts: number): U8 => archived(pax([["path", "a/".repeat(parts) + "b"]]), file());
  await refused(deep(100_000), /its name has 200001 bytes, the limit is 4096/, deep(2000));
});

Deno.test("tar() undo wants both closing blocks, and nothing but zeros after them", async () => {
  const twin = archived(file());
  await refused(file(), /it ends after 1 entries without its closing blocks/, twin);
  await refused(concat([file(), end.slice(512)]), /without its closing blocks/, twin);
  await refused(concat([file(), end.slice(1)]), /without its closing blocks/, twin);
  await refused(new Uint8Array(0), /it is empty/, new Uint8Array(1024));
  await refused(concat([file("a"), end.slice(512), file("b"), end]), /something follows its 1 entries/, twin);
  await refused(
    concat([twin, twin]),
    /something follows its 1 entries/,
    concat([twin, new Uint8Array(9216)]),
  );
  await refused(
    concat([twin, new Uint8Array(100_000), utf8("x")]),
    /something follows its 1 entries/,
    concat([twin, new Uint8Array(100_001)]),
  );
});

Deno.test("tar() undo refuses what is no tar at all", async () => {
  const twin = archived(file());
  for (
    const junk of [noise(100), noise(5000), utf8("hello world ".repeat(100)), new Uint8Array(2000).fill(0xff)]
  ) {
    await refused(junk, /is no tar/, twin);
  }
});

Deno.test("tar() undo throws on a file cut inside, read or not", async () => {
  const big = (await pack([entry("big", { body: noise(3_000_000), bytes: 3_000_000 })])).bytes;
  const small = archived(member({ path: "small" }, noise(1000)));
  for (const [bytes, name] of [[big, "big"], [small, "small"]] as const) {
    for (const cut of [513, 700, bytes.length - 1024 - 512]) {
      await assert.rejects(
        unpack(bytes.slice(0, cut)),
        new RegExp(`Cannot read "${name}": the archive ends inside it`),
      );
      await assert.rejects(
        skipping(bytes.slice(0, cut)),
        new RegExp(`Cannot read "${name}": the archive ends inside it`),
      );
    }
    await skipping(bytes);
  }
});

async function skipping(bytes: U8): Promise<void> {
  const files = await tar().undo(archiveOf(inChunks(bytes, 10_000)), testContext());
  for await (const _ of files.entries());
}

Deno.test("tar() undo does not believe a length: nothing is allocated for what is not there", async () => {
  const huge = concat([member({ path: "huge", size: 2 ** 33 - 1 }), new Uint8Array(512)]);
  const files = await tar().undo(archiveOf(huge), testContext());
  await assert.rejects(async () => {
    for await (const { body } of files.entries()) {
      assert.ok(typeof body === "function");
      await assert.rejects(readAll(body(), 2 ** 30), /Cannot read "huge": the archive ends inside it/);
    }
  }, /the archive ends inside it/);
});

Deno.test("tar() undo ignores the prefix field of GNU headers, where other things lie", async () => {
  const gnu = member({ path: "x" }, content, (header) => {
    header.set(utf8("ustar  \0"), 257);
    header.set(utf8("14000000000"), 345);
  });
  assert.equal((await unpack(archived(gnu)))[0]?.path, "x");
  const ustar = member({ path: "x" }, content, (header) => header.set(utf8("p"), 345));
  assert.equal((await unpack(archived(ustar)))[0]?.path, "p/x");
  const v7 = member({ path: "x", uname: "bob" }, content, (header) => header.fill(0, 257, 265));
  assert.equal((await unpack(archived(v7)))[0]?.uname, "");
  seal(v7);
});
