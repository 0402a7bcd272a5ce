import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import fc from "fast-check";
import { canonicalEntry, leafHash, leafHasher, nonceOf } from "../../src/archive/merkle.ts";
import { inclusionProof, merkleRoot, verifyInclusion } from "../../src/archive/mod.ts";
import { indexEntry } from "../../src/archive/entry.ts";
import { entry } from "./help.ts";

/** RFC 6962, section 2.1, as it is written: recursively. */
function reference(leaves: readonly string[]): string {
  if (leaves.length === 0) return createHash("sha256").digest("hex");
  if (leaves.length === 1) return leaves[0]!;
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return createHash("sha256").update(Uint8Array.of(1))
    .update(reference(leaves.slice(0, k)), "hex").update(reference(leaves.slice(k)), "hex").digest("hex");
}

const leavesOf = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => createHash("sha256").update(`leaf ${i}`).digest("hex"));

Deno.test("merkleRoot() is the tree of RFC 6962 for every size to 130", () => {
  for (let count = 0; count <= 130; count++) {
    assert.equal(merkleRoot(leavesOf(count)), reference(leavesOf(count)));
  }
});

Deno.test("merkleRoot() agrees with the certificate transparency test vectors", () => {
  // The eight leaves that implementations of RFC 6962 share, and the published roots.
  const data = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
  ];
  const leaves = data.map((hex) =>
    createHash("sha256").update(Uint8Array.of(0)).update(hex, "hex").digest("hex")
  );
  const roots = new Map([
    [0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    [1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"],
    [2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    [3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"],
    [7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"],
    [8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"],
  ]);
  for (const [count, root] of roots) assert.equal(merkleRoot(leaves.slice(0, count)), root);
});

Deno.test("merkleRoot() combines the roots of aligned runs", () => {
  const leaves = leavesOf(77);
  const runs: string[] = [];
  for (let i = 0; i < leaves.length; i += 16) runs.push(merkleRoot(leaves.slice(i, i + 16)));
  assert.equal(merkleRoot(runs), merkleRoot(leaves));
});

Deno.test("verifyInclusion() accepts every leaf of every small tree, and nothing changed", () => {
  for (let size = 1; size <= 40; size++) {
    const leaves = leavesOf(size);
    const root = merkleRoot(leaves);
    for (let number = 0; number < size; number++) {
      const good = { leaf: leaves[number]!, number, size, path: inclusionProof(leaves, number), root };
      assert.ok(verifyInclusion(good), `${number} of ${size}`);
      const other = "00".repeat(32);
      assert.ok(!verifyInclusion({ ...good, leaf: other }));
      assert.ok(!verifyInclusion({ ...good, root: other }));
      assert.ok(!verifyInclusion({ ...good, path: [...good.path, other] }));
      if (good.path.length > 0) {
        assert.ok(!verifyInclusion({ ...good, path: good.path.slice(1) }));
        assert.ok(!verifyInclusion({ ...good, path: good.path.with(0, other) }));
        assert.ok(!verifyInclusion({ ...good, path: good.path.with(0, "0") }));
      }
      for (const wrong of [number + 1, number - 1, size, -1, 0.5]) {
        assert.ok(!verifyInclusion({ ...good, number: wrong }), `${number} of ${size} as ${wrong}`);
      }
    }
  }
  assert.throws(() => inclusionProof(leavesOf(3), 3), RangeError);
});

Deno.test("leafHasher() is leafHash() over HMAC-SHA256, whatever the length", () => {
  const salt = "5a".repeat(32);
  const fast = leafHasher(salt);
  for (const [number, text] of [[0, ""], [9, "é😀"], [4096, "x".repeat(5000)], [2 ** 53 - 1, "y"]] as const) {
    assert.equal(fast(number, text), leafHash(nonceOf(salt, number), text));
  }
});

Deno.test("canonicalEntry() and index lines are canonical JSON (RFC 8785)", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 12 });
  fc.assert(
    fc.property(
      text,
      text,
      text,
      fc.maxSafeInteger(),
      fc.boolean(),
      (path, uname, target, mtimeMs, linked) => {
        const made = entry(path, { uname, mtimeMs, ...(linked ? { kind: "symlink", target } : {}) });
        const line = indexEntry(made, 512, linked ? undefined : "ab".repeat(32));
        assert.equal(JSON.stringify(line), canonicalize(line));
        const { offset: _, ...rest } = line;
        assert.equal(canonicalEntry(line), canonicalize(rest));
      },
    ),
    { seed: 2, numRuns: 300 },
  );
});
