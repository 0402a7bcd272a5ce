/**
 * Which pages of a database differ from the last snapshot's.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { U8 } from "../../stage.ts";
import type { CopyFile } from "./copies.ts";

/** Bytes kept of each page's SHA-256: what is built from them is held against the digest of the whole in the end. */
export const HASH_BYTES = 16;

/** What is kept of a database between snapshots. */
export interface Pages {
  /** Size of a page in bytes. */
  readonly pageSize: number;
  /** {@linkcode HASH_BYTES} for each page. */
  readonly hashes: U8;
}

/** Pages that follow each other. */
export interface Run {
  /** The first, from 0. */
  readonly page: number;
  /** How many. */
  readonly count: number;
}

/** What one look at a copy gives. */
export interface Seen extends Pages {
  /** Number of pages. */
  readonly pages: number;
  /** SHA-256 of the whole, lower-case hexadecimal. */
  readonly sha256: string;
  /** What is not as it was, in order; all of it without a `before`. */
  readonly changed: readonly Run[];
}

/** Reads a copy once. `before`: the last snapshot's pages. */
export async function seePages(
  copy: CopyFile,
  pageSize: number,
  before: Pages | undefined,
  signal: AbortSignal,
): Promise<Seen> {
  const pages = copy.size() / pageSize;
  const hashes = new Uint8Array(pages * HASH_BYTES);
  const known = before?.hashes ?? new Uint8Array(); // of another page size: none is equal
  const whole = createHash("sha256");
  const changed: { page: number; count: number }[] = [];
  let page = 0;
  for await (const chunk of copy.read()) {
    signal.throwIfAborted();
    whole.update(chunk);
    // A page is at most 64 KiB, and a chunk of 1 MiB holds whole ones.
    for (let at = 0; at < chunk.length; at += pageSize, page++) {
      const hash = createHash("sha256").update(chunk.subarray(at, at + pageSize)).digest();
      hashes.set(hash.subarray(0, HASH_BYTES), page * HASH_BYTES);
      if (isSame(hash, known, page)) continue;
      const last = changed.at(-1);
      if (last && last.page + last.count === page) last.count++;
      else changed.push({ page, count: 1 });
    }
    await setImmediate(); // hashing holds the thread for some milliseconds: let others have it
  }
  return { pageSize, pages, hashes, sha256: hex(whole), changed };
}

function isSame(hash: Uint8Array, known: Uint8Array, page: number): boolean {
  const at = page * HASH_BYTES;
  if (at + HASH_BYTES > known.length) return false;
  for (let i = 0; i < HASH_BYTES; i++) if (hash[i] !== known[at + i]) return false;
  return true;
}

function hex(hash: Hash): string {
  return hash.digest("hex");
}

/** How many pages the runs hold. */
export function countOf(runs: readonly Run[]): number {
  return runs.reduce((sum, { count }) => sum + count, 0);
}
