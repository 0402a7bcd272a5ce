import assert from "node:assert/strict";
import { findError, IntegrityError, NotFoundError } from "../../src/errors.ts";
import { bodyOf, readAll } from "../../src/bytes.ts";
import {
  checkEntries,
  checkProof,
  type IndexTail,
  proveEntry,
  readIndex,
  tar,
} from "../../src/archive/mod.ts";
import type { Archive, Body, Entry, Files, U8 } from "../../src/stage.ts";
import { noise, testContext } from "../support.ts";
import { archiveOf, assemble, entry, pack, streamed } from "./help.ts";

const tree: readonly Entry[] = [
  entry("a", { kind: "directory" }),
  entry("a/big", { ...streamed("a/big", noise(1_200_000)), path: "a/big" }),
  entry("a/file", { mtimeMs: 5 }),
  entry("a/hard", { kind: "hardlink", target: "a/file" }),
  entry("b", { kind: "symlink", target: "a" }),
];

function opened(archive: Archive, bytes: U8): Promise<Files> {
  return tar().undo({ ...archive, body: archiveOf(bytes).body }, testContext());
}

const fresh = (): Entry[] => tree.map((one) => ({ ...one }));

Deno.test("checkEntries() counts what agrees, in path order and out of it", async () => {
  for (const entries of [fresh(), fresh().reverse().filter(({ kind }) => kind !== "hardlink")]) {
    const { archive, bytes } = await pack(entries);
    const { contents } = archive.facts();
    const expected = { entries: entries.length, bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0) };
    assert.deepEqual(await checkEntries(await opened(archive, bytes), contents), expected);
    assert.deepEqual(await checkEntries(await opened(archive, bytes)), expected);
  }
});

Deno.test("checkEntries() names the entry that differs from the index, in path order and out of it", async () => {
  const changes: [string, (entries: Entry[]) => Entry[]][] = [
    [
      "a/big",
      (entries) =>
        entries.map((one) => one.path === "a/big" ? { ...streamed("a/big", noise(1_200_000, 9)) } : one),
    ],
    ["a/file", (entries) => entries.map((one) => one.path === "a/file" ? { ...one, mode: 0o600 } : one)],
    ["a/file", (entries) => entries.map((one) => one.path === "a/file" ? { ...one, mtimeMs: 6 } : one)],
    ["b", (entries) => entries.map((one) => one.path === "b" ? { ...one, target: "/etc" } : one)],
    ["c", (entries) => [...entries, entry("c")]],
    ["b", (entries) => entries.filter(({ path }) => path !== "b")],
  ];
  for (const reverse of [false, true]) {
    const order = (entries: Entry[]): Entry[] =>
      reverse ? entries.reverse().filter(({ kind }) => kind !== "hardlink") : entries;
    const { archive } = await pack(order(fresh()));
    for (const [path, change] of changes) {
      const { bytes } = await pack(order(change(fresh())));
      await assert.rejects(
        opened(archive, bytes).then((files) => checkEntries(files, archive.facts().contents)),
        (error) => findError(error, IntegrityError)?.message.includes(JSON.stringify(path)) ?? false,
        path,
      );
    }
  }
});

Deno.test("checkEntries() compares the index with the receipt", async () => {
  const { archive, bytes } = await pack(fresh());
  const contents = archive.facts().contents!;
  for (const wrong of [{ merkleRoot: "00".repeat(32) }, { entries: 4 }, { bytes: 1 }]) {
    await assert.rejects(
      checkEntries(await opened(archive, bytes), { ...contents, ...wrong }),
      /the receipt says/,
    );
  }
  // The same entries under another salt: another root.
  const other = await pack(fresh());
  await assert.rejects(
    checkEntries(await opened(other.archive, bytes), contents),
    /the receipt says merkleRoot/,
  );
  await checkEntries(await opened(other.archive, bytes), other.archive.facts().contents);
});

Deno.test("checkEntries() computes the Merkle root from the index's lines", async () => {
  const { archive, bytes } = await pack(fresh());
  const stored = await readAll(archive.index!.read(), 2 ** 20);
  const tail = await readIndex(archive.index!).tail();
  const frame = tail.frames[0]!;
  const check = async (changed: Partial<IndexTail>): Promise<unknown> => {
    const index = bodyOf(assemble({ ...tail, ...changed }, stored.slice(0, frame.size)));
    return await checkEntries(await opened({ ...archive, index }, bytes));
  };
  await check({});
  const zeros = "00".repeat(32);
  for (const wrong of [{ merkleRoot: zeros }, { salt: zeros }, { frames: [{ ...frame, root: zeros }] }]) {
    await assert.rejects(check(wrong), /its Merkle root is not that of its lines/);
  }
});

Deno.test("checkEntries() wants an index when there is a receipt, and does without when there is none", async () => {
  const { archive, bytes } = await pack(fresh());
  const bare = await tar().undo(archiveOf(bytes), testContext());
  assert.deepEqual(await checkEntries(bare), { entries: 5, bytes: archive.facts().contents!.bytes });
  const again = await tar().undo(archiveOf(bytes), testContext());
  await assert.rejects(checkEntries(again, archive.facts().contents), /the index is missing/);
});

Deno.test("checkEntries() reports progress and stops when the signal fires", async () => {
  const { archive, bytes } = await pack(fresh());
  const stop = new AbortController();
  const context = testContext({ signal: stop.signal });
  let seen = 0;
  await checkEntries(await opened(archive, bytes), undefined, {
    ...context,
    progress: ({ phase }) => {
      assert.equal(phase, "verify");
      seen++;
    },
  });
  assert.ok(seen >= 5);
  stop.abort();
  await assert.rejects(checkEntries(await opened(archive, bytes), undefined, context), {
    name: "AbortError",
  });
});

const many = Array.from({ length: 4500 }, (_, i) => entry(`f/${String(i).padStart(5, "0")}`));

Deno.test("proveEntry() proves entries of every frame, and checkProof() accepts nothing changed", async () => {
  const { archive } = await pack(many);
  const contents = archive.facts().contents!;
  for (const number of [0, 1, 4095, 4096, 4400, 4499]) {
    const path = many[number]!.path;
    const proof = JSON.parse(JSON.stringify(await proveEntry(archive.index!, path)));
    assert.equal(checkProof(proof, contents).path, path);
    assert.deepEqual([proof.number, proof.entries], [number, 4500]);
    const spoiled = [
      { ...proof, entry: { ...proof.entry, mode: 0 } },
      { ...proof, entry: { ...proof.entry, path: "other" } },
      { ...proof, number: number ^ 1 },
      { ...proof, entries: 4501 },
      { ...proof, nonce: "00".repeat(32) },
      { ...proof, path: proof.path.slice(1) },
      { ...proof, path: proof.path.with(0, "00".repeat(32)) },
    ];
    for (const bad of spoiled) {
      assert.throws(() => checkProof(bad, contents), /does not lead to the receipt's Merkle root/);
    }
    assert.throws(() => checkProof({ ...proof, nonce: "x" }, contents), /not a holdfast.proof.v1/);
    assert.throws(() => checkProof(proof, { ...contents, merkleRoot: "00".repeat(32) }), IntegrityError);
    assert.throws(() => checkProof(proof, { ...contents, entries: 4499 }), IntegrityError);
  }
});

Deno.test("proveEntry() proves nothing from an index that does not agree with its own tree", async () => {
  const { archive } = await pack(fresh());
  const stored = await readAll(archive.index!.read(), 2 ** 20);
  const tail = await readIndex(archive.index!).tail();
  const frame = tail.frames[0]!;
  const index = (root: string): Body =>
    bodyOf(assemble({ ...tail, frames: [{ ...frame, root }] }, stored.slice(0, frame.size)));
  await proveEntry(index(frame.root), "a/file");
  await assert.rejects(
    proveEntry(index("00".repeat(32)), "a/file"),
    /does not agree with its own Merkle tree/,
  );
});

Deno.test("proveEntry() throws on a path the backup does not have", async () => {
  const { archive } = await pack(many);
  for (const path of ["a", "f", "f/00000x", "z"]) {
    await assert.rejects(proveEntry(archive.index!, path), NotFoundError);
  }
  await assert.rejects(proveEntry((await pack([])).archive.index!, "a"), NotFoundError);
});

Deno.test("proveEntry() tells nothing of other entries", async () => {
  const { archive } = await pack(fresh());
  const proof = await proveEntry(archive.index!, "a/file");
  const told = JSON.stringify(proof);
  for (const other of ["a/big", "a/hard"]) assert.ok(!told.includes(other));
  assert.ok(!("offset" in proof.entry));
});
