/**
 * Checks every entry of an archive against its index, and the index against the receipt.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { IntegrityError } from "../errors.ts";
import type { Contents, Context, Entry, Files, IndexEntry } from "../stage.ts";
import { type IndexReader, readIndex } from "./listing_read.ts";
import { canonicalEntry, leafHasher, merkleRoot } from "./merkle.ts";
import { FRAME_ENTRIES, type IndexTail } from "./listing.ts";
import { quote } from "./path.ts";
import { indexEntry } from "./entry.ts";

/** How much was read and found to agree. */
export interface Checked {
  /** Number of entries. */
  readonly entries: number;
  /** Sum of all file lengths in bytes. */
  readonly bytes: number;
}

/**
 * Reads every entry, hashes every file and compares metadata and digests with the index, where there is one; then compares the
 * counts and the Merkle root with `expected`, the receipt's contents. Throws {@linkcode IntegrityError} naming the first path
 * that differs. Holds a digest per entry when the archive is not in path order, nothing otherwise.
 */
export async function checkEntries(
  files: Files,
  expected?: Pick<Contents, "entries" | "bytes" | "merkleRoot">,
  context?: Pick<Context, "signal" | "progress">,
): Promise<Checked> {
  // Not by ranges: the whole index is held against its digest.
  const index = files.index && readIndex({ read: files.index.read });
  const tail = await index?.tail();
  if (expected && !index) {
    throw new IntegrityError(
      "Cannot check the entries: the index is missing. Restore it beside the archive, or check the stored bytes only",
    );
  }
  if (expected && tail) compare(tail, expected);
  const expect = index && tail ? await expectation(index, tail) : undefined;
  let entries = 0;
  let bytes = 0;
  const read = (more: number): void => {
    context?.signal.throwIfAborted();
    bytes += more;
    context?.progress({ phase: "verify", bytes, entries });
  };
  for await (const entry of files.entries()) {
    const found = canonicalEntry(await digested(entry, read));
    if (expect && !await expect.matches(entry.path, found)) {
      throw new IntegrityError(
        `Cannot verify ${
          quote(entry.path)
        }: it is not what the index says. The archive or its index was changed`,
      );
    }
    entries++;
    read(0);
  }
  const missing = await expect?.rest();
  if (missing !== undefined) {
    throw new IntegrityError(
      `Cannot verify ${
        quote(missing)
      }: the index has it and the archive does not. The archive or its index was changed`,
    );
  }
  if (index && tail) await checkRoot(index, tail);
  return { entries, bytes };
}

/** The entry as its index line should be. */
async function digested(entry: Entry, read: (bytes: number) => void): Promise<IndexEntry> {
  if (entry.kind !== "file") return indexEntry(entry, 0, undefined);
  const hash = createHash("sha256");
  const take = (chunk: Uint8Array): void => {
    hash.update(chunk);
    read(chunk.length);
  };
  if (typeof entry.body === "function") {
    for await (const chunk of entry.body()) take(chunk);
  } else if (entry.body) {
    take(entry.body);
  }
  return indexEntry(entry, 0, hash.digest("hex"));
}

/** What the index lets one expect. */
interface Expectation {
  /** Whether the next entry of the archive is as the index says. */
  readonly matches: (path: string, canonical: string) => Promise<boolean>;
  /** A path of the index that has not come, or undefined. */
  readonly rest: () => Promise<string | undefined>;
}

async function expectation(index: IndexReader, tail: IndexTail): Promise<Expectation> {
  const listing = index.entries();
  if (!tail.ordered) {
    const wanted = new Map<string, string>();
    for await (const entry of listing) wanted.set(entry.path, canonicalEntry(entry));
    return {
      matches: (path, canonical) => {
        const same = wanted.get(path) === canonical;
        wanted.delete(path);
        return Promise.resolve(same);
      },
      rest: () => Promise.resolve(wanted.keys().next().value),
    };
  }
  const lines = listing[Symbol.asyncIterator]();
  return {
    matches: async (_path, canonical) => {
      const { done, value } = await lines.next();
      return !done && canonicalEntry(value) === canonical;
    },
    rest: async () => {
      const { done, value } = await lines.next();
      return done ? undefined : value.path;
    },
  };
}

/** Computes the tree from the lines and holds it against the tail. */
async function checkRoot(
  index: IndexReader,
  tail: IndexTail,
): Promise<void> {
  const hash = leafHasher(tail.salt);
  const roots: string[] = [];
  let leaves: string[] = [];
  let number = 0;
  for await (const entry of index.entries()) {
    leaves.push(hash(number++, canonicalEntry(entry)));
    if (leaves.length < FRAME_ENTRIES) continue;
    roots.push(merkleRoot(leaves));
    leaves = [];
  }
  if (leaves.length > 0) roots.push(merkleRoot(leaves));
  const root = merkleRoot(roots);
  const frames = tail.frames.every((frame, i) => frame.root === roots[i]);
  if (root !== tail.merkleRoot || !frames) {
    throw new IntegrityError(
      "Cannot verify the index: its Merkle root is not that of its lines. It was changed",
    );
  }
}

function compare(tail: IndexTail, expected: Checked & Pick<Contents, "merkleRoot">): void {
  for (const key of ["merkleRoot", "entries", "bytes"] as const) {
    if (tail[key] !== expected[key]) {
      throw new IntegrityError(
        `Cannot verify the index: the receipt says ${key} ${expected[key]}, the index ${
          tail[key]
        }. One of them was changed`,
      );
    }
  }
}
