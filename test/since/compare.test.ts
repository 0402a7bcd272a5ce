/** What a walk is held against, where no test can make a file system do it: a file that goes between being looked at and opened. */
import { strict as assert } from "node:assert";
import { compare } from "../../src/collect/since/compare.ts";
import { headOf, type Line, readLine, writeLine } from "../../src/collect/since/line.ts";
import type { OpenFile } from "../../src/collect/read.ts";
import type { Entry } from "../../src/stage.ts";

const STAT = { mode: 0o644, mtimeMs: 1, uid: 0, gid: 0, nlink: 1, size: 3, ino: 7, ctimeMs: 1000 };

function entry(path: string, kind: Entry["kind"] = "file"): Entry {
  const bytes = kind === "file" ? 3 : 0;
  return { path, kind, mode: 0o644, mtimeMs: 1, uid: 0, gid: 0, uname: "", gname: "", bytes };
}

function line(path: string, kind: Entry["kind"] = "file", changed = 1): Line {
  return { path, head: headOf(entry(path, kind), 7), changed, doubtful: false, sha256: "" };
}

Deno.test("a file that was looked at and could not be stored is gone, as it would be from a full backup", () => {
  const gone: string[] = [];
  const before = [line("a", "directory"), line("a/x", "file", 0), line("a/y")].values() as Generator<Line>;
  const one = compare({
    before,
    rehash: false,
    now: () => {},
    gone: (bytes) => void gone.push(new TextDecoder().decode(bytes)),
  });
  const stored = [...one.take({ entry: entry("a", "directory") })].map(({ entry }) => entry.path);
  const look = (path: string): boolean => {
    const steps = one.known({
      source: "/nowhere",
      entry: entry(path),
      stat: STAT,
      link: undefined,
      renewed: false,
    });
    const { done, value } = steps.next();
    assert.ok(done);
    return value!;
  };
  assert.equal(look("a/x"), false); // touched since, and cannot be opened
  assert.equal(look("a/y"), true);
  stored.push(...[...one.end()].map(({ entry }) => entry.path));
  assert.deepEqual(gone, ["a/x\0"]);
  assert.deepEqual(stored, ["a"]); // the folder that has lost something
});

Deno.test("what is of another kind than before is listed as gone: no tar has to know how to put one in the other's place", () => {
  const gone: string[] = [];
  const before = [line("a"), line("b", "directory"), line("b/x"), line("c", "symlink")].values();
  const one = compare({
    before: before as Generator<Line>,
    rehash: false,
    now: () => {},
    gone: (bytes) => void gone.push(new TextDecoder().decode(bytes)),
  });
  const found = [entry("a", "directory"), entry("b", "symlink"), entry("c", "directory")];
  const stored = found.flatMap((entry) => [...one.take({ entry })]).map(({ entry }) => entry.path);
  assert.deepEqual([...one.end()], []);
  assert.deepEqual(stored, ["a", "b", "c"]);
  assert.deepEqual(gone, ["a\0", "b\0", "c\0"]);
});

Deno.test("a file that was not quite what was looked at is read again the next time", () => {
  for (const doubt of [false, true]) {
    const now: Line[] = [];
    const one = compare({
      before: [].values() as Generator<Line>,
      rehash: false,
      now: (line) => void now.push(line),
      gone: () => {},
    });
    const file = { stat: STAT } as OpenFile;
    const seen = { source: "/nowhere", entry: entry("a"), stat: STAT, link: undefined, renewed: false };
    assert.equal(one.known(seen).next().value, false);
    for (const found of one.take({ entry: entry("a"), file })) {
      if (doubt) one.doubt("a");
      one.stored(found, "ab");
    }
    assert.deepEqual(now.map(({ doubtful }) => doubtful), [doubt]);
  }
});

Deno.test("lines come back as they were written, whatever the names", () => {
  for (const path of ["a", "a\tb", "a\nb", "\\", '"', "ä/\u{1f600}", "\u2028", "a\\tb"]) {
    for (const target of [undefined, "t\ta\n\\"]) {
      const head = headOf({ ...entry(path), uname: "u\tx", gname: "", target }, 12345678901);
      const one: Line = { path, head, changed: 17, doubtful: true, sha256: "ab" };
      const written = writeLine(one);
      assert.equal(written.indexOf("\n"), written.length - 1);
      assert.deepEqual(readLine(written.slice(0, -1)), one);
    }
  }
});
