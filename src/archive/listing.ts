/**
 * The index of an archive, `holdfast.index.v1`: zstd frames of 4,096 JSON lines in path order, one frame with a line that says
 * what the others hold, and a skippable frame that says where that line is. Stock `zstd -d | jq` reads the whole.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { utf8 } from "../bytes.ts";
import { ConfigError } from "../errors.ts";
import type { Digester } from "../native/sha256.ts";
import type { Body, IndexEntry, U8 } from "../stage.ts";
import { bodyOfParts } from "./parts.ts";
import { frameLength, unpackFrame } from "./frame.ts";
import { canonicalEntry, leafHasher, merkleRoot } from "./merkle.ts";
import { comparePaths, quote } from "./path.ts";

/** Entries per frame. A power of two, so that the frames' roots combine into the tree's. */
export const FRAME_ENTRIES = 4096;
/** Length of the skippable frame at the end: magic, length, offset of the tail frame, "HFINDEX1". */
export const FOOTER_BYTES = 24;
/** A frame that unfolds to more is refused. */
export const FRAME_LIMIT: number = 64 * 1024 * 1024;
/** Magic of the skippable frame (RFC 8878, section 3.1.2), little-endian. */
export const FOOTER_MAGIC = 0x184d2a50;
/** Last bytes of an index. */
export const FOOTER_MARK = "HFINDEX1";

/** One frame of entries. */
export interface IndexFrame {
  /** Path of its first entry. */
  readonly first: string;
  /** Where it starts in the index. */
  readonly offset: number;
  /** Its compressed length. */
  readonly size: number;
  /** Number of entries. */
  readonly count: number;
  /** Root of the Merkle tree over them, lower-case hexadecimal. */
  readonly root: string;
}

/** The index's last line. */
export interface IndexTail {
  /** The format. */
  readonly schema: "holdfast.index.v1";
  /** Number of entries. */
  readonly entries: number;
  /** Sum of all file lengths in bytes. */
  readonly bytes: number;
  /** Length of the uncompressed archive in bytes. */
  readonly archiveBytes: number;
  /** 32 random bytes in hexadecimal that the leaves' nonces are drawn from. */
  readonly salt: string;
  /** Root of the Merkle tree over all entries in path order, lower-case hexadecimal. */
  readonly merkleRoot: string;
  /** Whether the archive holds the entries in path order too. */
  readonly ordered: boolean;
  /** What the collectors noted. */
  readonly notes: Readonly<Record<string, unknown>>;
  /** Every frame of entries. */
  readonly frames: readonly IndexFrame[];
}

/** An index under way. */
export interface IndexBuilder {
  /** Takes the next entry. Throws on a path that is taken. */
  readonly add: (entry: IndexEntry) => void;
  /** Completes the index. Throws on a path that is taken, when entries came out of order. */
  readonly finish: (archiveBytes: number, notes: Readonly<Record<string, unknown>>) => BuiltIndex;
}

/** A complete index. */
export interface BuiltIndex {
  /** The stored form. */
  readonly body: Body;
  /** What its last line says. */
  readonly tail: IndexTail;
}

type LeafHasher = ReturnType<typeof leafHasher>;

interface Run {
  pending: IndexEntry[];
  readonly frames: IndexFrame[];
  readonly parts: U8[];
  last: IndexEntry | undefined;
  offset: number;
  entries: number;
}

/**
 * Builds an index. Entries that come in path order are compressed as they come; from the first that does not, they are held
 * until the end and sorted. `digester`: what hashes them, until `finish`.
 */
export function buildIndex(digester?: Digester): IndexBuilder {
  const salt = randomBytes(32).toString("hex");
  const hash = leafHasher(salt, digester);
  let run = newRun();
  let late: IndexEntry[] | undefined;
  let bytes = 0;
  return {
    add: (entry) => {
      bytes += entry.bytes;
      if (!late && run.last && comparePaths(run.last.path, entry.path) > 0) late = [];
      if (late) late.push(entry);
      else addInOrder(run, entry, hash);
    },
    finish: (archiveBytes, notes) => {
      const ordered = late === undefined;
      if (late) run = merge(run, late, hash);
      flush(run, hash);
      const tail: IndexTail = {
        schema: "holdfast.index.v1",
        entries: run.entries,
        bytes,
        archiveBytes,
        salt,
        merkleRoot: merkleRoot(run.frames.map((frame) => frame.root)),
        ordered,
        notes,
        frames: run.frames,
      };
      const last = pack(utf8(JSON.stringify(tail) + "\n"));
      return { body: bodyOfParts([...run.parts, last, footer(run.offset)]), tail };
    },
  };
}

function newRun(): Run {
  return { pending: [], frames: [], parts: [], last: undefined, offset: 0, entries: 0 };
}

function addInOrder(run: Run, entry: IndexEntry, hash: LeafHasher): void {
  const { last } = run;
  if (last?.path === entry.path) {
    throw new ConfigError(
      `Cannot archive ${
        quote(entry.path)
      } twice. Two sources give the same path; store one of them under another name`,
    );
  }
  // A folder's content follows it directly, so what is not a folder and has content shows here.
  if (last && last.kind !== "directory" && entry.path.startsWith(last.path + "/")) {
    throw new ConfigError(
      `Cannot archive ${quote(entry.path)}: ${quote(last.path)} is a ${last.kind}, not a directory. ` +
        `Two sources give overlapping paths; store one of them under another name`,
    );
  }
  run.last = entry;
  run.pending.push(entry);
  if (run.pending.length === FRAME_ENTRIES) flush(run, hash);
}

function flush(run: Run, hash: LeafHasher): void {
  const { pending } = run;
  const first = pending[0];
  if (!first) return;
  const leaves = pending.map((entry, i) => hash(run.entries + i, canonicalEntry(entry)));
  const part = pack(utf8(pending.map((entry) => JSON.stringify(entry) + "\n").join("")));
  const root = merkleRoot(leaves);
  run.frames.push({ first: first.path, offset: run.offset, size: part.length, count: pending.length, root });
  run.parts.push(part);
  run.offset += part.length;
  run.entries += pending.length;
  run.pending = [];
}

/** Two sorted runs into one: the frames so far and what came late. */
function merge(run: Run, late: IndexEntry[], hash: LeafHasher): Run {
  const merged = newRun();
  late.sort((a, b) => comparePaths(a.path, b.path));
  let at = 0;
  for (const entry of recordsOf(run)) {
    for (let next = late[at]; next && comparePaths(next.path, entry.path) < 0; next = late[++at]) {
      addInOrder(merged, next, hash);
    }
    addInOrder(merged, entry, hash);
  }
  for (const entry of late.slice(at)) addInOrder(merged, entry, hash);
  return merged;
}

function* recordsOf(run: Run): Generator<IndexEntry, void, undefined> {
  for (const part of run.parts) {
    for (const line of unpackFrame(part, FRAME_LIMIT, "the index").split("\n")) {
      if (line !== "") yield JSON.parse(line) as IndexEntry;
    }
  }
  yield* run.pending;
}

/** One zstd frame with a checksum. */
function pack(bytes: U8): U8 {
  const { ZSTD_c_compressionLevel, ZSTD_c_checksumFlag } = constants;
  // Level 1 packs lines with digests in them smaller than 3 does, and quicker.
  const params = { [ZSTD_c_compressionLevel]: 1, [ZSTD_c_checksumFlag]: 1 };
  if (bytes.length > FRAME_LIMIT) {
    throw new RangeError(
      `Cannot index the archive: the names of ${FRAME_ENTRIES} entries take more than ${FRAME_LIMIT} bytes. ` +
        "Leave out the folders with very long names",
    );
  }
  // Room for the whole frame at once: Deno 2.9.6 adds an empty frame to output that takes more than one chunk.
  const chunkSize = bytes.length + (bytes.length >> 7) + 1024;
  const frame = new Uint8Array(zstdCompressSync(bytes, { params, chunkSize }));
  if (frameLength(frame) !== frame.length) {
    throw new Error("Cannot index the archive: zstd gave something else than one frame");
  }
  return frame;
}

function footer(offset: number): U8 {
  const bytes = new Uint8Array(FOOTER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, FOOTER_MAGIC, true);
  view.setUint32(4, FOOTER_BYTES - 8, true);
  view.setBigUint64(8, BigInt(offset), true);
  bytes.set(utf8(FOOTER_MARK), 16);
  return bytes;
}
