/** Hostile archives: each is refused whole, target untouched, nothing left; its harmless twin is restored. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { findError, IntegrityError, NotFoundError } from "../../src/errors.ts";
import type { Entry, Want } from "../../src/stage.ts";
import { noise, scratch } from "../support.ts";
import {
  archive,
  dir,
  failure,
  file,
  hard,
  leftovers,
  link,
  restore,
  streamed,
  treeOf,
} from "../collect/extract_support.ts";

interface Attack {
  readonly name: string;
  readonly bad: Entry[];
  readonly says: RegExp;
  readonly good: Entry[];
  readonly want?: Partial<Want>;
  readonly error?: typeof IntegrityError | typeof NotFoundError;
}

const limits = { entries: 1000, bytes: 1000, ratio: 200, pathBytes: 300 };
const deep = (parts: number): string => Array.from({ length: parts }, () => "d").join("/");

const attacks: Attack[] = [
  {
    name: "../x",
    bad: [file("../x")],
    says: /"\.\.\/x".*leave the target\. The archive is damaged or hostile.*another copy/,
    good: [file("..x")],
  },
  { name: "/x", bad: [file("/x")], says: /"\/x".*absolute/, good: [file("x")] },
  { name: "a/../../x", bad: [file("a/../../x")], says: /"\.\."/, good: [file("a/..b/x")] },
  { name: "a/..", bad: [dir("a/..")], says: /"\.\."/, good: [dir("a/...")] },
  { name: "..", bad: [dir("..", 0o777)], says: /leave the target/, good: [dir("...")] },
  { name: "an empty name", bad: [file("")], says: /name is empty/, good: [file(" ")] },
  { name: "./x", bad: [file("./x")], says: /canonical/, good: [file(".x")] },
  { name: "a//x", bad: [file("a//x")], says: /canonical/, good: [file("a/x")] },
  { name: "a trailing slash", bad: [file("a/")], says: /canonical/, good: [file("a\\")] },
  { name: "NUL in a name", bad: [file("a\0b")], says: /"a\\u0000b".*NUL/, good: [file("a\nb")] },
  { name: "half a character", bad: [file("a\ud800")], says: /not Unicode/, good: [file("a\ufffd")] },
  {
    name: "a name that talks to the terminal",
    bad: [file("../\x1b]0;pwned\x07\n\u009b31m\u202e")],
    says: /^[\x20-\x7e]+$/,
    good: [file("\x1b]0;fine\x07\n\u009b31m\u202e")],
  },
  {
    name: "a file through a symlink",
    bad: [link("a", "/tmp"), file("a/x")],
    says: /"a" above it is a symbolic link/,
    good: [link("a", "/tmp"), file("b/x")],
  },
  {
    name: "a file through a symlink further up",
    bad: [dir("d"), link("d/a", ".."), file("d/a/b/x")],
    says: /"d\/a" above it is a symbolic link/,
    good: [dir("d"), link("d/a", ".."), file("d/b/b/x")],
  },
  {
    name: "a symlink through a symlink",
    bad: [link("a", ".."), link("a/b", "/etc")],
    says: /symbolic link/,
    good: [link("a", ".."), link("b", "/etc")],
  },
  {
    name: "a symlink in place of a folder that is used later",
    bad: [file("a/x"), link("a", "/tmp"), file("a/y")],
    says: /twice/,
    good: [file("a/x"), link("b", "/tmp"), file("a/y")],
  },
  {
    name: "a folder over a symlink",
    bad: [link("a", "/tmp"), dir("a", 0o777)],
    says: /twice/,
    good: [link("a", "/tmp"), dir("b", 0o777)],
  },
  {
    name: "a file over a symlink",
    bad: [link("a", "/tmp/x"), file("a")],
    says: /twice/,
    good: [link("a", "b"), file("b")],
  },
  {
    name: "a hard link over a symlink",
    bad: [file("f"), link("a", "/x"), hard("a", "f")],
    says: /twice/,
    good: [file("f"), hard("a", "f")],
  },
  {
    name: "a file below a file",
    bad: [file("a"), file("a/b")],
    says: /"a" is a file/,
    good: [dir("a"), file("a/b")],
  },
  {
    name: "a name twice",
    bad: [file("a", "1"), file("a", "2")],
    says: /"a".*twice/,
    good: [file("a", "1"), file("A", "2")],
  },
  {
    name: "a folder twice",
    bad: [dir("a"), dir("a", 0o777)],
    says: /twice/,
    good: [file("a/x"), dir("a", 0o777)],
  },
  { name: "a folder over a file", bad: [file("a"), dir("a")], says: /twice/, good: [file("a"), dir("b")] },
  {
    name: "a symlink twice",
    bad: [link("a", "b"), link("a", "c")],
    says: /twice/,
    good: [link("a", "b"), link("c", "b")],
  },
  {
    name: "a hard link to outside",
    bad: [hard("h", "../../etc/passwd")],
    says: /hard link "h" to "\.\.\/\.\.\/etc\/passwd"/,
    good: [file("f"), hard("h", "f")],
  },
  {
    name: "a hard link to an absolute path",
    bad: [hard("h", "/etc/passwd")],
    says: /absolute/,
    good: [file("f"), hard("h", "f")],
  },
  {
    name: "a hard link to nothing",
    bad: [hard("h", "f"), file("f")],
    says: /not an earlier file/,
    good: [file("f"), hard("h", "f")],
  },
  {
    name: "a hard link through a symlink",
    bad: [link("etc", "/etc"), hard("h", "etc/passwd")],
    says: /not an earlier file/,
    good: [link("etc", "/etc"), file("e/passwd"), hard("h", "e/passwd")],
  },
  {
    name: "a hard link to a folder",
    bad: [dir("d"), hard("h", "d")],
    says: /not an earlier file/,
    good: [file("d/f"), hard("h", "d/f")],
  },
  {
    name: "a hard link to a symlink to outside, then a write",
    bad: [link("a", "/etc/hostname"), hard("b", "a"), file("b")],
    says: /twice/,
    good: [link("a", "/etc/hostname"), hard("b", "a"), file("c")],
  },
  {
    name: "a device",
    bad: [{ ...file("dev"), kind: "device" as Entry["kind"] }],
    says: /only files, folders and links/,
    good: [file("dev")],
  },
  { name: "an empty symlink", bad: [link("a", "")], says: /target is not a path/, good: [link("a", ".")] },
  {
    name: "a symlink with NUL",
    bad: [link("a", "b\0c")],
    says: /target is not a path/,
    good: [link("a", "b\nc")],
  },
  {
    name: "too many entries",
    bad: [1, 2, 3].map((n) => file(`f${n}`)),
    says: /more than 2 entries.*--limit-entries/,
    good: [1, 2].map((n) => file(`f${n}`)),
    want: { limits: { ...limits, entries: 2 } },
  },
  {
    name: "too many bytes",
    bad: [file("a", noise(600)), file("b", noise(401))],
    says: /more than 1000 bytes.*--limit-bytes/,
    good: [file("a", noise(600)), file("b", noise(400))],
    want: { limits },
  },
  {
    name: "too long a path",
    bad: [file(deep(151))],
    says: /longer than 300 bytes.*--limit-path-bytes/,
    good: [file(deep(150))],
    want: { limits },
  },
  {
    name: "too long a path in bytes, not characters",
    bad: [file("\u00e4/".repeat(100) + "xy")],
    says: /longer than 300 bytes/,
    good: [file("a/".repeat(100) + "xy")],
    want: { limits },
  },
  {
    name: "a path of 100,000 folders",
    bad: [file(deep(100_000))],
    says: /longer than 4096/,
    good: [file(deep(500))],
  },
  {
    name: "a name no file system holds",
    bad: [file("n".repeat(300))],
    says: /cannot hold such a name/,
    good: [file("n".repeat(255))],
  },
  {
    name: "a stream that is longer than said",
    bad: [{ ...streamed("a", [noise(10)]), bytes: 9 }],
    says: /longer than the 9 bytes/,
    good: [streamed("a", [noise(10)])],
  },
  {
    name: "a stream that is shorter than said",
    bad: [{ ...streamed("a", [noise(10)]), bytes: 11 }],
    says: /shorter than the 11 bytes/,
    good: [streamed("a", [noise(5), noise(6)])],
  },
  {
    name: "bytes that are not what was said",
    bad: [{ ...file("a", "xy"), bytes: 1 }],
    says: /longer/,
    good: [file("a", "xy")],
  },
  {
    name: "an impossible time",
    bad: [file("a", "x", { mtimeMs: 1e300 })],
    says: /impossible/,
    good: [file("a", "x", { mtimeMs: 4e12 })],
  },
  {
    name: "an impossible mode",
    bad: [file("a", "x", { mode: 0o100644 })],
    says: /impossible/,
    good: [file("a", "x", { mode: 0o7777 })],
  },
  {
    name: "a hard link whose file is left out",
    bad: [file("a/f"), file("b/x"), hard("b/h", "a/f")],
    says: /hard link to "a\/f", which is left out. Add --only "a\/f"/,
    good: [file("b/f"), file("b/x"), hard("b/h", "b/f")],
    want: { only: ["b"] },
    error: NotFoundError,
  },
];

for (const { name, bad, says, good, want, error = IntegrityError } of attacks) {
  Deno.test(`extract() refuses ${name}`, async () => {
    using tmp = scratch();
    fs.mkdirSync(tmp.join("out"));
    fs.writeFileSync(tmp.join("out", "mine"), "mine");
    const before = treeOf(tmp.join("out"));
    const failed = await failure(
      restore([file("first"), ...bad], { into: tmp.join("out"), ...want }),
    );
    assert.ok(findError(failed, error), failed.stack);
    assert.match(failed.message, says);
    assert.equal(treeOf(tmp.join("out")), before);
    assert.deepEqual(fs.readdirSync(tmp.path), ["out"]);

    await restore(good, { into: tmp.join("twin"), ...want });
    assert.equal(fs.existsSync(tmp.join("twin")), true);
    assert.deepEqual(leftovers(tmp.path), []);
  });
}

Deno.test("extract() refuses by the index, before anything is written", async () => {
  using tmp = scratch();
  let read = false;
  const files = archive([file("../x")], { index: true });
  const lazy = { ...files, entries: () => (read = true, files.entries()) };
  await failure(restore(lazy, { into: tmp.join("out") }));
  assert.equal(read, false);
  assert.deepEqual(fs.readdirSync(tmp.path), []);
});

Deno.test("extract() does not follow symlinks that stand in the target", async () => {
  for (const conflict of ["skip", "overwrite", "error"] as const) {
    using tmp = scratch();
    fs.mkdirSync(tmp.join("outside"));
    fs.mkdirSync(tmp.join("out"));
    fs.symlinkSync("../outside", tmp.join("out", "d"));
    fs.symlinkSync("../outside/f", tmp.join("out", "f"));
    const work = restore([dir("d"), file("d/x"), file("f")], { into: tmp.join("out"), conflict });
    if (conflict === "error") assert.match((await failure(work)).message, /2 things exist already: "d", "f"/);
    else await work;
    assert.deepEqual(fs.readdirSync(tmp.join("outside")), []);
    assert.equal(fs.lstatSync(tmp.join("out", "d")).isDirectory(), conflict === "overwrite");
    assert.deepEqual(leftovers(tmp.path), []);
  }
});

Deno.test("extract() never restores what looks like a staging folder", async () => {
  using tmp = scratch();
  const evil = ".x.holdfast-0123456789abcdef";
  const { seen } = await restore([file("a"), dir(evil), file(`${evil}/owner`), file(`d/${evil}/journal`)], {
    into: tmp.join("out"),
  });
  assert.deepEqual(fs.readdirSync(tmp.join("out")), ["a"]);
  assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["staging", "staging", "staging"]);
});
