/**
 * Damaged and forged age files. Whatever happens to a file, what comes out is a prefix of what went in, in whole chunks, and
 * then an error; never a silent end, never a byte that is not authentic.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { age } from "../../src/encrypt/mod.ts";
import { findError, IntegrityError, KeyError } from "../../src/errors.ts";
import type { U8 } from "../../src/stage.ts";
import { noise } from "../support.ts";
import {
  alice,
  all,
  archiveOf,
  BATCH,
  bob,
  context,
  drain,
  KIB64,
  sealedOf,
  soak,
} from "../encrypt/support.ts";

const options = { recipients: [alice.recipient], identities: () => alice.identity };
const SEALED = KIB64 + 16;
/** Two and a bit steps of the cipher stream, 33 chunks, the last one short. */
const plain = noise(2 * BATCH + 2 * KIB64 + 777);
const file = await seal(plain);
const payload = file.indexOf(10, file.indexOf("---".charCodeAt(0), 100)) + 1 + 16;

async function seal(bytes: Uint8Array, extra: { armor?: boolean } = {}): Promise<U8> {
  return await all((await age({ ...options, ...extra }).run(archiveOf(bytes), context)).body);
}

/** Undoes a forged file and checks the invariant; gives the error and how much came out. */
async function forged(bytes: Uint8Array, name: string): Promise<{ error: unknown; bytes: number }> {
  let error: unknown;
  let out: U8 = new Uint8Array(0);
  try {
    const archive = await age(options).undo(sealedOf(bytes), context);
    ({ bytes: out, error } = await drain(archive.body.read()));
  } catch (caught) {
    error = caught;
  }
  assert.ok(error, `${name}: no error`);
  assert.ok(findError(error, IntegrityError) || findError(error, KeyError), `${name}: ${error}`);
  assert.equal(Buffer.compare(out, plain.subarray(0, out.length)), 0, `${name}: other bytes came out`);
  assert.equal(out.length % KIB64, 0, `${name}: part of a chunk came out`);
  return { error, bytes: out.length };
}

function isIntegrity(error: unknown, name: string): void {
  assert.ok(findError(error, IntegrityError), `${name}: ${error}`);
}

Deno.test("age() undo: the unforged file opens", async () => {
  assert.equal(Buffer.compare(await all((await age(options).undo(sealedOf(file), context)).body), plain), 0);
  assert.equal((file.length - payload) % SEALED, 777 + 16);
});

Deno.test("age() undo throws on a file cut at each 1/200 and at each chunk", async () => {
  const cuts = new Set<number>();
  for (let i = 0; i < 200; i++) cuts.add(Math.floor(file.length * i / 200));
  for (let at = payload; at < file.length; at += SEALED) {
    for (const d of [-1, 0, 1, 15, 16, 17]) cuts.add(at + d);
  }
  for (const cut of cuts) {
    const { error, bytes } = await forged(file.subarray(0, cut), `cut at ${cut}`);
    isIntegrity(error, `cut at ${cut}`);
    assert.equal(bytes, Math.max(0, Math.floor((cut - payload) / SEALED)) * KIB64, `cut at ${cut}`);
  }
});

Deno.test("age() undo throws on each of 200 flipped bits, and on every bit of the header", async () => {
  const flips: number[] = [];
  for (let i = 0; i < 200; i++) flips.push(Math.floor(file.length * 8 * (i + 0.5) / 200) + i % 8);
  for (let bit = 0; bit < (payload + 16) * 8; bit += soak ? 1 : 3) flips.push(bit);
  for (const bit of flips) {
    const bytes = new Uint8Array(file);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    const { bytes: out } = await forged(bytes, `bit ${bit}`);
    assert.equal(out, Math.max(0, Math.floor(((bit >> 3) - payload) / SEALED)) * KIB64, `bit ${bit}`);
  }
});

Deno.test("age() undo throws on anything after the end", async () => {
  for (const size of [1, 15, 16, 17, SEALED - 793, SEALED, 2 * BATCH]) {
    for (const tail of [new Uint8Array(size), noise(size), file.subarray(0, size)]) {
      const { error } = await forged(Buffer.concat([file, tail]), `${size} more bytes`);
      isIntegrity(error, `${size} more bytes`);
    }
  }
  isIntegrity((await forged(Buffer.concat([file, file]), "twice")).error, "twice");
});

Deno.test("age() undo throws on swapped, repeated and missing chunks", async () => {
  const chunk = (i: number): Uint8Array => file.subarray(payload + i * SEALED, payload + (i + 1) * SEALED);
  const head = file.subarray(0, payload);
  const chunks = Array.from({ length: 33 }, (_, i) => chunk(i));
  const swap = (i: number, j: number): Uint8Array[] =>
    chunks.map((c, at) => at === i ? chunks[j]! : at === j ? chunks[i]! : c);
  const cases: readonly (readonly [string, readonly Uint8Array[], number])[] = [
    ["swap 0 1", swap(0, 1), 0],
    ["swap 14 15", swap(14, 15), 14],
    ["swap 0 15", swap(0, 15), 0],
    ["swap 31 32", swap(31, 32), 31],
    ["repeat 3", chunks.toSpliced(3, 0, chunks[3]!), 4],
    ["drop 0", chunks.toSpliced(0, 1), 0],
    ["drop 14", chunks.toSpliced(14, 1), 14],
    ["drop all between first and last", [chunks[0]!, chunks[32]!], 1],
    ["only the last", [chunks[32]!], 0],
    ["none", [], 0],
  ];
  for (const [name, parts, good] of cases) {
    const { error, bytes } = await forged(Buffer.concat([head, ...parts]), name);
    isIntegrity(error, name);
    assert.equal(bytes, good * KIB64, name);
  }
});

Deno.test("age() undo throws on another file's header, nonce or chunks", async () => {
  const other = await seal(plain);
  const splice = (at: number): U8 =>
    new Uint8Array(Buffer.concat([other.subarray(0, at), file.subarray(at)]));
  isIntegrity((await forged(splice(payload - 16), "header of another")).error, "header");
  isIntegrity((await forged(splice(payload), "header and nonce of another")).error, "nonce");
  isIntegrity((await forged(splice(payload + SEALED), "chunk of another")).error, "chunk");
});

Deno.test("age() undo throws a KeyError, not an IntegrityError, on a file for somebody else", async () => {
  const theirs = await all((await age({ recipients: [bob.recipient] }).run(archiveOf(plain), context)).body);
  const { error, bytes } = await forged(theirs, "for somebody else");
  assert.ok(findError(error, KeyError) && !findError(error, IntegrityError), String(error));
  assert.equal(bytes, 0);
});

Deno.test("age() undo throws on an empty file that is cut or has an empty chunk too many", async () => {
  const empty = await seal(new Uint8Array(0));
  for (let cut = 0; cut < empty.length; cut++) {
    isIntegrity((await forged(empty.subarray(0, cut), `empty cut at ${cut}`)).error, `empty cut at ${cut}`);
  }
  isIntegrity((await forged(Buffer.concat([empty, empty.subarray(-16)]), "two empty chunks")).error, "two");
});

Deno.test("age() undo throws on damaged armor", async () => {
  const small = plain.subarray(0, 3 * KIB64);
  const armored = await seal(small, { armor: true });
  for (let i = 0; i < 100; i++) {
    const cut = Math.floor((armored.length - 1) * i / 100);
    isIntegrity((await forged(armored.subarray(0, cut), `armor cut at ${cut}`)).error, `armor cut at ${cut}`);
    const bytes = new Uint8Array(armored);
    const at = Math.floor(armored.length * (i + 0.5) / 100);
    bytes[at]! ^= 1;
    await forged(bytes, `armor bit at ${at}`);
  }
  const text = new TextDecoder().decode(armored);
  const cases = {
    tail: text + "x",
    second: text + text,
    space: text + " ".repeat(1100),
    blank: text.replace("FILE-----\n", "FILE-----\n\n"),
    long: text.replace("\n-----END", `${"A".repeat(200_000)}\n-----END`),
    headers: text.replace("FILE-----\n", "FILE-----\nVersion: 1\n\n"),
  };
  for (const [name, forgery] of Object.entries(cases)) {
    isIntegrity((await forged(new TextEncoder().encode(forgery), name)).error, name);
  }
});
