/**
 * Shows that one entry is in a backup, to someone who has the receipt and nothing else.
 *
 * @module
 */
import * as v from "valibot";
import { IndexError, IntegrityError, NotFoundError } from "../errors.ts";
import type { Body, Contents, IndexEntry } from "../stage.ts";
import { FRAME_ENTRIES } from "./listing.ts";
import { type IndexReader, readIndex } from "./listing_read.ts";
import {
  canonicalEntry,
  inclusionProof,
  leafHash,
  leafHasher,
  merkleRoot,
  nonceOf,
  verifyInclusion,
} from "./merkle.ts";
import { comparePaths, quote } from "./path.ts";

/** Evidence that an entry is in a backup. JSON; discloses this entry's metadata and digest, and no other's. */
export interface EntryProof {
  /** The format. */
  readonly schema: "holdfast.proof.v1";
  /** The entry's metadata and digest. */
  readonly entry: Omit<IndexEntry, "offset">;
  /** Its number in path order, from 0. */
  readonly number: number;
  /** How many entries the backup has. */
  readonly entries: number;
  /** The leaf's nonce, hexadecimal. */
  readonly nonce: string;
  /** The audit path from the leaf's sibling up (RFC 6962), hexadecimal. */
  readonly path: readonly string[];
}

/**
 * The proof for one path, from an index. Reads the tail and one frame. Throws {@linkcode NotFoundError} when the index does not
 * have the path.
 */
export async function proveEntry(index: Body, path: string): Promise<EntryProof> {
  return (await lookUp(index, path)).proof;
}

/** A line of an index, and the proof that it is one. */
export interface Found {
  /** The line. Its offset is not part of what is proven. */
  readonly line: IndexEntry;
  /** The proof. */
  readonly proof: EntryProof;
}

/** {@linkcode proveEntry}, with the line itself. */
export async function lookUp(index: Body, path: string): Promise<Found> {
  const reader = readIndex(index);
  const tail = await reader.tail();
  const { at, entries } = await frameOf(reader, path);
  const within = entries.findIndex((entry) => entry.path === path);
  if (within < 0) {
    throw new NotFoundError(
      `Cannot find ${
        quote(path)
      }: the backup does not have it. "restore ID --into DIR --dry-run" shows the paths it has`,
    );
  }
  const hash = leafHasher(tail.salt);
  const start = at * FRAME_ENTRIES;
  const leaves = entries.map((entry, i) => hash(start + i, canonicalEntry(entry)));
  if (merkleRoot(leaves) !== tail.frames[at]!.root) {
    throw new IndexError(
      "Cannot trust the index: it does not agree with its own Merkle tree. It was changed",
    );
  }
  const roots = tail.frames.map((frame) => frame.root);
  const line = entries[within]!;
  const { offset: _, head: __, stored: ___, ...entry } = line;
  const proof: EntryProof = {
    schema: "holdfast.proof.v1",
    entry,
    number: start + within,
    entries: tail.entries,
    nonce: nonceOf(tail.salt, start + within),
    path: [...inclusionProof(leaves, within), ...inclusionProof(roots, at)],
  };
  return { line, proof };
}

/** The only frame that can hold a path. */
async function frameOf(
  reader: IndexReader,
  path: string,
): Promise<{ at: number; entries: readonly IndexEntry[] }> {
  const { frames } = await reader.tail();
  let low = 0;
  let high = frames.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (comparePaths(frames[middle]!.first, path) <= 0) low = middle + 1;
    else high = middle;
  }
  const frame = frames[low - 1];
  return { at: low - 1, entries: frame ? await reader.frame(frame) : [] };
}

const hex64 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const proofSchema = v.looseObject({
  schema: v.literal("holdfast.proof.v1"),
  entry: v.looseObject({ path: v.string() }),
  number: v.number(),
  entries: v.number(),
  nonce: hex64,
  path: v.array(hex64),
});

/**
 * Checks a proof against the receipt's contents and gives the proven entry. Throws {@linkcode IntegrityError} when it does not
 * lead to the root.
 */
export function checkProof(
  proof: EntryProof,
  contents: Pick<Contents, "entries" | "merkleRoot">,
): Omit<IndexEntry, "offset"> {
  if (!v.is(proofSchema, proof)) {
    throw new IntegrityError("Cannot check the proof: it is not a holdfast.proof.v1");
  }
  const fits = proof.entries === contents.entries && verifyInclusion({
    leaf: leafHash(proof.nonce, canonicalEntry(proof.entry)),
    number: proof.number,
    size: contents.entries,
    path: proof.path,
    root: contents.merkleRoot,
  });
  if (!fits) {
    throw new IntegrityError(
      `Cannot confirm ${
        quote(proof.entry.path)
      }: the proof does not lead to the receipt's Merkle root. It belongs to another backup or was changed`,
    );
  }
  return proof.entry;
}
