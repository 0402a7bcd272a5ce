/** Digests of many short contents are the same whoever computes them, and nothing stays open. */
import assert from "node:assert/strict";
import { digester, portable } from "../../src/native/sha256.ts";

Deno.test("digester() gives what node:crypto gives, before and after the library is there, and when it is gone", () => {
  const content = Uint8Array.from({ length: 100_000 }, (_, i) => i * 31 + (i >> 8));
  const sizes = [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000, 65_536, 100_000];
  const target = new Uint8Array(40);
  const digests = digester();
  for (let round = 0; round < 60; round++) {
    if (round === 59) digests[Symbol.dispose]();
    for (const size of sizes) {
      const bytes = content.subarray(round, round + size);
      const expected = portable.hex(bytes);
      assert.equal(digests.hex(bytes), expected);
      digests.into(bytes, target.subarray(8));
      assert.equal(target.subarray(8).toHex(), expected);
    }
  }
  assert.equal(target.subarray(0, 8).toHex(), "0000000000000000");
  digests[Symbol.dispose]();
});

Deno.test("portable gives the digests of FIPS 180-4's examples", () => {
  const of = (text: string): string => portable.hex(new TextEncoder().encode(text));
  assert.equal(of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert.equal(
    of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  );
});
