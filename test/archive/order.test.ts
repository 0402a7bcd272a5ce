import assert from "node:assert/strict";
import fc from "fast-check";
import { utf8 } from "../../src/bytes.ts";
import { comparePaths } from "../../src/archive/mod.ts";
import { quote } from "../../src/archive/path.ts";

/** The definition: bytewise, with "/" before every other byte. */
function reference(a: string, b: string): number {
  const [x, y] = [a, b].map((path) => utf8(path).map((byte) => byte === 0x2f ? 0 : byte));
  for (let i = 0; i < Math.min(x!.length, y!.length); i++) if (x![i] !== y![i]) return x![i]! - y![i]!;
  return x!.length - y!.length;
}

const letter = fc.constantFrom(
  "a",
  "b",
  "/",
  "!",
  "\u0001",
  "é",
  "\uffff",
  "\ue000",
  "😀",
  "\u{10ffff}",
  "-",
);
const path = fc.string({ unit: letter, maxLength: 6 });

Deno.test("comparePaths() is bytewise by UTF-8 with / first", () => {
  fc.assert(
    fc.property(path, path, (a, b) => {
      assert.equal(Math.sign(comparePaths(a, b)), Math.sign(reference(a, b)));
      assert.equal(Math.sign(comparePaths(b, a)), -Math.sign(comparePaths(a, b)) + 0);
    }),
    { seed: 1, numRuns: 3000 },
  );
});

Deno.test("comparePaths() puts a folder directly before what is in it", () => {
  const sorted = ["a", "a/b", "a/b/c", "a/bc", "a!", "a-b", "ab", "b", "\ue000", "\uffff", "😀"];
  assert.deepEqual([...sorted].reverse().sort(comparePaths), sorted);
});

Deno.test("quote() keeps a terminal safe and long names short", () => {
  assert.equal(quote('a"\n\x1b[31m\u202e\u009b'), '"a\\"\\n\\u001b[31m\\u202e\\u009b"');
  assert.ok(quote("x".repeat(5000)).length < 210);
});
