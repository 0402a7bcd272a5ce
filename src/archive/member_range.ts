/**
 * One member of an archive, read by its range with the headers before it: what an index does not hold, attributes and holes, comes
 * from there.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { labelled, toBytes } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import type { Bytes, Entry, IndexEntry, Reader, U8 } from "../stage.ts";
import { indexEntry } from "./entry.ts";
import { padded, UNIT } from "./header.ts";
import { canonicalEntry } from "./merkle.ts";
import { quote } from "./path.ts";
import { readTar } from "./read.ts";

const PIECE_BYTES = 4 * 1024 * 1024;

/**
 * The entry of a line with `head`. Throws {@linkcode IntegrityError} unless its metadata is what the line says; its content is held
 * against the line's digest, and its last piece handed on when all of it has proven right.
 */
export async function readMember(reader: Reader, line: IndexEntry): Promise<Entry> {
  const entry = await first(reader, line);
  const { sha256: _, ...said } = line;
  if (canonicalEntry(indexEntry(entry, 0, undefined)) !== canonicalEntry(said)) throw wrong(line);
  if (line.kind !== "file") return entry;
  return { ...entry, body: () => proven(reader, line) };
}

/** The one entry that lies in the range. */
async function first(reader: Reader, line: IndexEntry): Promise<Entry> {
  for await (const entry of entriesIn(reader, line)) return entry;
  throw wrong(line);
}

function entriesIn(reader: Reader, line: IndexEntry): AsyncGenerator<Entry, void, undefined> {
  const start = line.offset - line.head!;
  const end = line.offset + padded(line.stored ?? line.bytes);
  if (start < 0 || end > reader.size) throw wrong(line);
  // Its length and its path are the line's, which is proven; so nothing else bounds it.
  const limits = { entries: 1, pathBytes: Infinity, bytes: line.bytes, ratio: Infinity };
  return readTar(toBytes(() => member(reader, start, end)), limits);
}

/** The member, and the end of an archive behind it. */
async function* member(reader: Reader, start: number, end: number): AsyncGenerator<U8, void, undefined> {
  for (let at = start; at < end; at += PIECE_BYTES) {
    try {
      yield await reader.at(at, Math.min(at + PIECE_BYTES, end));
    } catch (error) {
      throw labelled("tar", error);
    }
  }
  yield new Uint8Array(2 * UNIT);
}

function proven(reader: Reader, line: IndexEntry): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    const hash = createHash("sha256");
    let held: U8 | undefined;
    for await (const { body } of entriesIn(reader, line)) {
      for await (const piece of typeof body === "function" ? body() : body ? [body] : []) {
        if (held) yield held;
        hash.update(piece);
        held = piece;
      }
    }
    if (hash.digest("hex") !== line.sha256) throw wrong(line);
    if (held && held.length > 0) yield held;
  });
}

function wrong({ path }: IndexEntry): IntegrityError {
  return new IntegrityError(
    `Cannot trust ${
      quote(path)
    }: what lies where the index says is not what it should be. The archive, its seek table or its index ` +
      "was damaged or changed; take another copy, or restore all of it",
  );
}
