/** Names that are not UTF-8, as text and back. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { bytesOf, isRaw, nameOf, rawOf, shownRaw } from "../src/raw_name.ts";

const latin = Uint8Array.of(0x63, 0x61, 0x66, 0xe9);

Deno.test("a name that is UTF-8 is its own text", () => {
  for (const name of ["", "a", "café", "日本", "𐍈", "\ufeffx", "\ufffd", "a\\xE9", "\u{1f480}"]) {
    const text = nameOf(new TextEncoder().encode(name));
    assert.equal(text, name);
    assert.equal(isRaw(text), false);
    assert.equal(shownRaw(text), name);
  }
});

Deno.test("a name that is not UTF-8 is text that shows its bytes, and is found by what is shown", () => {
  const text = nameOf(latin);
  assert.ok(isRaw(text) && text.isWellFormed());
  assert.equal(text, "caf\u{10ffe9}");
  assert.equal(shownRaw(text), "caf\\xE9");
  assert.equal(rawOf("caf\\xE9"), text);
  assert.equal(JSON.parse(JSON.stringify(text)), text);
});

Deno.test("any bytes come back as they were, and no two names have one text", () => {
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    fc.string({ unit: "binary", maxLength: 4 }).map((text) => new TextEncoder().encode(text)),
    fc.integer({ min: 0x10ff00, max: 0x10ffff }).map((code) => {
      return new TextEncoder().encode(String.fromCodePoint(code));
    }),
    fc.constantFrom(
      latin,
      Uint8Array.of(0xed, 0xa0, 0x80),
      Uint8Array.of(0xc0, 0x80),
      Uint8Array.of(0xf4, 0x90, 0x80),
    ),
  );
  const name = fc.array(part, { maxLength: 4 }).map((parts) =>
    Uint8Array.from(parts.flatMap((one) => [...one]))
  );
  fc.assert(
    fc.property(name, (bytes) => {
      const text = nameOf(bytes);
      assert.deepEqual([...bytesOf(text)], [...bytes]);
      assert.ok(text.isWellFormed());
      if (isRaw(text)) assert.notEqual(new TextDecoder().decode(bytes), text);
    }),
    { seed: 20261121, numRuns: 2000 },
  );
});
