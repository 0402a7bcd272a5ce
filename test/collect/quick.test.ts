/** The quick read of small files gives nothing it is not sure of. What happens between its looks is done before the second one. */
import { strict as assert } from "node:assert";
import * as fs from "node:fs";
import { readQuickly, statAt } from "../../src/collect/quick.ts";
import { reach } from "../../src/libc/open.ts";
import { openReading, type Reading } from "../../src/libc/read.ts";
import { scratch, sh } from "../support.ts";

/** Reads `path` while `change` happens between its being read and the second look. */
function readWhile(path: string, change: () => void): ReturnType<typeof readQuickly> {
  const lstatSync = Deno.lstatSync;
  let looks = 0;
  Deno.lstatSync = (name) => {
    if (++looks === 2) change();
    return lstatSync(name);
  };
  try {
    return readQuickly(path, 1000);
  } finally {
    Deno.lstatSync = lstatSync;
  }
}

/** The same, by the C library: what happens between its two looks is done before the read. */
function readWhileBy(libc: Reading, path: string, change: () => void): ReturnType<typeof readQuickly> {
  const whole: Reading["whole"] = (at, most, room) =>
    libc.whole(at, most, (size) => {
      change();
      return room(size);
    });
  return readQuickly(path, 1000, { ...libc, whole });
}

const CHANGES: Readonly<Record<string, (path: string) => void>> = {
  "its content, at the same length": (path) => fs.writeFileSync(path, "CONTENT"),
  "its length": (path) => fs.appendFileSync(path, "more"),
  "its length, with the old time set again": (path) => {
    fs.appendFileSync(path, "more");
    fs.utimesSync(path, 1000, 1000);
  },
  "its time": (path) => fs.utimesSync(path, 2000, 2000),
  "another file in its place, of equal time and length": (path) => {
    fs.writeFileSync(`${path}.new`, "CONTENT");
    fs.utimesSync(`${path}.new`, 1000, 1000);
    fs.renameSync(`${path}.new`, path);
  },
  "a folder in its place": (path) => {
    fs.rmSync(path);
    fs.mkdirSync(path);
  },
  "its end": (path) => fs.rmSync(path),
};

for (const [what, change] of Object.entries(CHANGES)) {
  Deno.test(`readQuickly() is not sure of a file that changes meanwhile: ${what}`, () => {
    using dir = scratch();
    const path = dir.join("file");
    fs.writeFileSync(path, "content", { mode: 0o644 });
    fs.utimesSync(path, 1000, 1000);
    assert.equal(new TextDecoder().decode(readWhile(path, () => {})?.bytes), "content");
    assert.equal(readWhile(path, () => change(path)), undefined);
  });

  Deno.test({
    name: `readQuickly() is not sure, by the C library, of a file that changes meanwhile: ${what}`,
    ignore: "why" in reach(),
    fn: () => {
      using dir = scratch();
      const libc = openReading()!;
      try {
        const path = dir.join("file");
        fs.writeFileSync(path, "content", { mode: 0o644 });
        sh(`touch -d @1000.123456789 "${path}"`);
        const { stat, bytes } = readWhileBy(libc, path, () => {})!;
        assert.equal(new TextDecoder().decode(bytes), "content");
        assert.deepEqual([stat.mtimeMs, stat.mtimeNs], [1_000_123, 456_789]);
        fs.utimesSync(path, 1000, 1000);
        assert.equal(readWhileBy(libc, path, () => change(path)), undefined);
        fs.rmSync(path, { recursive: true, force: true });
        fs.writeFileSync(path, "content");
        fs.utimesSync(path, 1000, 1000);
        sh("sleep 0.02"); // as long as a clock may stand
        const hidden = (): void => {
          fs.writeFileSync(path, "CONTENT");
          fs.utimesSync(path, 1000, 1000);
        };
        assert.equal(readWhileBy(libc, path, hidden), undefined, "told by the change time");
      } finally {
        libc.close();
      }
    },
  });
}

for (const by of ["Deno", "the C library"]) {
  Deno.test({
    name: `readQuickly() leaves all but small regular files with one name to others, by ${by}`,
    ignore: by !== "Deno" && "why" in reach(),
    fn: () => {
      using dir = scratch();
      const libc = by === "Deno" ? undefined : openReading();
      const path = (name: string): string => dir.join(name);
      fs.writeFileSync(path("two"), "names");
      fs.linkSync(path("two"), path("names"));
      fs.writeFileSync(path("large"), new Uint8Array(1001));
      fs.writeFileSync(path("limit"), new Uint8Array(1000));
      fs.symlinkSync("limit", path("link"));
      sh("mkfifo pipe", { cwd: dir.path });
      try {
        for (const name of ["two", "large", "link", "pipe", ".", "nothing"]) {
          assert.equal(readQuickly(path(name), 1000, libc), undefined, name);
        }
        assert.equal(readQuickly(path("limit"), 1000, libc)?.bytes.length, 1000);
        // Says 0 and holds something.
        assert.equal(readQuickly("/proc/self/status", 1000, libc), undefined);
      } finally {
        libc?.close();
      }
    },
  });
}

Deno.test("readQuickly() gives bytes that no later file is written over", () => {
  using dir = scratch();
  const sizes = [0, 1, 5, 100_000, 131_071, 131_072, 200_000, 131_070, 131_070, 131_070, 131_070, 7, 131_070];
  sizes.forEach((size, i) => fs.writeFileSync(dir.join(`${i}`), new Uint8Array(size).fill(i + 1)));
  const all = sizes.map((_, i) => readQuickly(dir.join(`${i}`), 1_000_000)!.bytes);
  all.forEach((bytes, i) => {
    assert.equal(bytes.length, sizes[i]);
    assert.ok(bytes.every((byte) => byte === i + 1), String(i));
  });
});

Deno.test("statAt() tells what node:fs tells, of a folder and of times before 1970", () => {
  using dir = scratch();
  fs.utimesSync(dir.path, -1000.5, -1000.5);
  const { mode, mtimeMs, uid, gid, nlink, dev, ino } = fs.lstatSync(dir.path);
  const seen = statAt(dir.path);
  assert.ok(seen.isDirectory && ino > 0);
  assert.deepEqual([seen.mode, seen.mtimeMs, seen.uid, seen.gid, seen.nlink, seen.dev], [
    mode,
    mtimeMs,
    uid,
    gid,
    nlink,
    dev,
  ]);
});
