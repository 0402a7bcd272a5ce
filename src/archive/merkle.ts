/**
 * The Merkle tree over an index: RFC 6962, section 2.1, with SHA-256. A leaf hides its entry behind a nonce, so that a public
 * root does not confirm guessed content.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { IndexEntry, U8 } from "../stage.ts";

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

function digest(...parts: (Uint8Array | string)[]): U8 {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** The nonces of an archive: HMAC-SHA256 (RFC 2104) under its 32-byte salt over the entry's number in decimal. */
export function nonces(salt: Uint8Array): (number: number) => U8 {
  // Two plain hashes per nonce cost a fifth of node's Hmac object.
  const inner = new Uint8Array(64).fill(0x36);
  const outer = new Uint8Array(64).fill(0x5c);
  for (let i = 0; i < salt.length; i++) {
    inner[i]! ^= salt[i]!;
    outer[i]! ^= salt[i]!;
  }
  return (number) => digest(outer, digest(inner, String(number)));
}

/** Canonical JSON (RFC 8785) of an entry's metadata and digest, without its offset: what a leaf is made of. */
export function canonicalEntry(entry: Omit<IndexEntry, "offset">): string {
  // Flat objects of strings and whole numbers: JSON.stringify with sorted keys is canonical.
  return JSON.stringify({
    bytes: entry.bytes,
    gid: entry.gid,
    gname: entry.gname,
    kind: entry.kind,
    mode: entry.mode,
    mtimeMs: entry.mtimeMs,
    path: entry.path,
    sha256: entry.sha256,
    target: entry.target,
    uid: entry.uid,
    uname: entry.uname,
  });
}

/** The hash of a leaf: SHA-256(0x00, nonce, canonical entry). */
export function leafHash(nonce: Uint8Array, canonical: string): U8 {
  return digest(LEAF, nonce, canonical);
}

/**
 * The root over leaf hashes, lower levels first: SHA-256 of nothing for none, else as RFC 6962 splits them. Because it splits at
 * powers of two, roots of aligned runs of 2^k leaves combine into the root of all: pass them as leaves.
 */
export function merkleRoot(leaves: readonly U8[]): U8 {
  if (leaves.length === 0) return digest();
  let level = leaves;
  while (level.length > 1) level = parents(level);
  return level[0]!;
}

/** A node without a sibling moves up as it is, which gives the same tree as RFC 6962's recursive split. */
function parents(level: readonly U8[]): U8[] {
  const above: U8[] = [];
  for (let i = 0; i < level.length; i += 2) {
    const right = level[i + 1];
    above.push(right ? digest(NODE, level[i]!, right) : level[i]!);
  }
  return above;
}

/** The audit path of leaf `number`, from its sibling up (RFC 6962, section 2.1.1). Throws RangeError for no such leaf. */
export function inclusionProof(leaves: readonly U8[], number: number): U8[] {
  if (!Number.isInteger(number) || number < 0 || number >= leaves.length) {
    throw new RangeError(`Cannot prove leaf ${number} of ${leaves.length}`);
  }
  const path: U8[] = [];
  let at = number;
  for (let level = leaves; level.length > 1; level = parents(level)) {
    const sibling = level[at ^ 1];
    if (sibling) path.push(sibling);
    at >>= 1;
  }
  return path;
}

/** What {@linkcode verifyInclusion} is given. */
export interface Inclusion {
  /** The leaf's hash. */
  readonly leaf: Uint8Array;
  /** Its number, from 0. */
  readonly number: number;
  /** How many leaves the tree has. */
  readonly size: number;
  /** The audit path, from the leaf's sibling up. */
  readonly path: readonly Uint8Array[];
  /** The root it must lead to. */
  readonly root: Uint8Array;
}

/** Whether an audit path leads from a leaf to the root (RFC 9162, section 2.1.3.2). */
export function verifyInclusion(inclusion: Inclusion): boolean {
  const { number, size, path, root } = inclusion;
  if (!Number.isSafeInteger(number) || !Number.isSafeInteger(size) || number < 0 || number >= size) {
    return false;
  }
  let at = number;
  let last = size - 1;
  let hash = inclusion.leaf;
  for (const sibling of path) {
    if (last === 0 || sibling.length !== 32) return false;
    if (at % 2 === 1 || at === last) {
      hash = digest(NODE, sibling, hash);
      while (at % 2 === 0 && at !== 0) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
    } else {
      hash = digest(NODE, hash, sibling);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && root.length === 32 && hash.every((byte, i) => byte === root[i]);
}
