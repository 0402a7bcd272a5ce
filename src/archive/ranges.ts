/**
 * Entries read by ranges: where they lie is the index's word, what they are is proven by their digests.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { labelled, sha256, toBytes } from "../bytes.ts";
import { findError, IndexError, IntegrityError, NotFoundError } from "../errors.ts";
import type { Archive, Bytes, Entry, IndexEntry, Reader, U8 } from "../stage.ts";
import type { IndexTail } from "./listing.ts";
import { quote } from "./path.ts";
import { checkProof, lookUp } from "./prove.ts";
import { readMember } from "./member_range.ts";
import { SMALL } from "./read.ts";

/** Content is read in pieces of this length. */
const PIECE_BYTES = 4 * 1024 * 1024;
/** What a range costs at least, about: compressors pack 2 MiB at a time. */
const UNIT_BYTES = 2 * 1024 * 1024;

/**
 * One entry by its path; undefined where only a full read is possible. The line is proven by the receipt's Merkle root, the content by
 * the line's digest. `listing` gives the index read whole: what a search does not find is looked for there, before it counts as absent.
 */
export async function findByRange(
  archive: Archive,
  listing: () => AsyncIterable<IndexEntry>,
  path: string,
): Promise<Entry | undefined> {
  const { contents } = archive.facts();
  if (!archive.index?.open || !contents) return undefined;
  const reader = await archive.body.open?.();
  if (!reader) return undefined;
  try {
    const { line, proof } = await lookUp(archive.index, path);
    checkProof(proof, contents);
    return await openEntry(reader, line);
  } catch (error) {
    if (findError(error, NotFoundError)) return await openEntry(reader, await inAll(listing, path, error));
    throw indexError(error);
  }
}

async function inAll(
  listing: () => AsyncIterable<IndexEntry>,
  path: string,
  absent: unknown,
): Promise<IndexEntry> {
  for await (const line of listing()) if (line.path === path) return line;
  throw absent;
}

/** What went wrong with the index as an {@linkcode IndexError}; anything else stays what it is. */
export function indexError(error: unknown): unknown {
  const why = findError(error, IntegrityError);
  return !why || why instanceof IndexError ? error : new IndexError(why.message, { cause: error });
}

/** Whether reading by ranges is less work than reading all: what is wanted touches less than half of the archive. */
export async function isLess(
  listing: AsyncIterable<IndexEntry>,
  tail: IndexTail,
  wanted: (path: string) => boolean,
): Promise<boolean> {
  const touched = new Set<number>();
  for await (const { path, bytes, offset, stored } of listing) {
    const length = stored ?? bytes;
    if (length === 0 || !wanted(path)) continue;
    const last = Math.floor((offset + length - 1) / UNIT_BYTES);
    for (let unit = Math.floor(offset / UNIT_BYTES); unit <= last; unit++) {
      touched.add(unit);
      if (2 * touched.size * UNIT_BYTES > tail.archiveBytes) return false;
    }
  }
  return true;
}

/** The wanted entries and every folder, in the order of the archive. `listing` is read as it comes, or held where it is in another order. */
export async function* entriesByRange(
  reader: Reader,
  listing: AsyncIterable<IndexEntry>,
  tail: IndexTail,
  wanted: (path: string) => boolean,
): AsyncGenerator<Entry, void, undefined> {
  const held: IndexEntry[] = [];
  for await (const line of listing) {
    if (line.kind !== "directory" && !wanted(line.path)) continue;
    if (tail.ordered) yield await smallOrLarge(reader, line);
    else held.push(line);
  }
  for (const line of held.sort((a, b) => a.offset - b.offset)) yield await smallOrLarge(reader, line);
}

/** An entry with attributes or holes is read with its headers. */
async function openEntry(reader: Reader, line: IndexEntry): Promise<Entry> {
  return line.head === undefined ? entryOf(reader, line) : await readMember(reader, line);
}

/** Small files come as bytes, as those of a stream do. */
async function smallOrLarge(reader: Reader, line: IndexEntry): Promise<Entry> {
  const entry = await openEntry(reader, line);
  if (line.head !== undefined) return entry;
  if (line.kind !== "file" || line.bytes > SMALL) return entry;
  const body = await piece(reader, line, 0, line.bytes);
  if (sha256(body) !== line.sha256) throw wrong(line.path);
  return { ...entry, body };
}

function entryOf(reader: Reader, line: IndexEntry): Entry {
  const { offset: _, sha256: __, attributes: ___, ...entry } = line;
  return line.kind === "file" ? { ...entry, body: () => contentOf(reader, line) } : entry;
}

/** The content; its last piece is handed on when all of it has proven right. */
function contentOf(reader: Reader, line: IndexEntry): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    const hash = createHash("sha256");
    let held: U8 | undefined;
    for (let at = 0; at < line.bytes; at += PIECE_BYTES) {
      if (held) yield held;
      held = await piece(reader, line, at, Math.min(at + PIECE_BYTES, line.bytes));
      hash.update(held);
    }
    if (hash.digest("hex") !== line.sha256) throw wrong(line.path);
    if (held) yield held;
  });
}

async function piece(
  reader: Reader,
  { path, offset, bytes }: IndexEntry,
  start: number,
  end: number,
): Promise<U8> {
  if (offset + bytes > reader.size) {
    throw new IntegrityError(
      `Cannot read ${quote(path)}: the index says that it lies behind the archive's end. ${NEXT}`,
    );
  }
  try {
    return await reader.at(offset + start, offset + end);
  } catch (error) {
    throw labelled("tar", error);
  }
}

const NEXT =
  "The archive, its seek table or its index was damaged or changed; take another copy, or restore all of it";

function wrong(path: string): IntegrityError {
  return new IntegrityError(
    `Cannot trust ${quote(path)}: what lies where the index says has not the SHA-256 it should have. ${NEXT}`,
  );
}
