/**
 * Cuts a body into the parts of an upload: small ones in memory, large ones in a temporary file, so that memory stays flat.
 *
 * @module
 */
import { createHash, type Hash, randomBytes } from "node:crypto";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { U8 } from "../../stage.ts";
import type { Source } from "../source.ts";

/** S3's limit. */
export const MOST_PARTS = 10_000;

/** The size doubles after so many parts, and stays at 1 GiB: 10,000 parts that begin with 5 MiB hold more than 5 TiB. */
const PARTS_PER_SIZE = 500;
const LARGEST = 1024 ** 3;

/** Parts above this go through a temporary file. */
export const SPOOL_ABOVE = 16 * 1024 * 1024;

/** Bytes of the part with this number, from 1. */
export function partSize(number: number, firstBytes: number): number {
  const size = firstBytes * 2 ** Math.floor((number - 1) / PARTS_PER_SIZE);
  return Math.min(size, Math.max(LARGEST, firstBytes));
}

/** One part, ready to be sent as often as it takes. */
export interface Part {
  /** From 1. */
  readonly number: number;
  /** Length in bytes. */
  readonly bytes: number;
  /** SHA-256 of its bytes. */
  readonly sha256: Uint8Array<ArrayBuffer>;
  /** CRC-32 of its bytes, big-endian in base64. */
  readonly crc32: string;
  /** Its bytes, or the file that holds them from byte 0. */
  readonly content: U8 | FileHandle;
  /** Gives memory or file back. */
  readonly release: () => Promise<void>;
}

/** Cuts parts one after the other. */
export interface Cutter {
  /** The next part; undefined after the last. An empty body gives one empty part. */
  readonly next: () => Promise<Part | undefined>;
  /** Whether the body has ended. */
  readonly ended: () => boolean;
}

/** What a part is being filled into. */
interface Sink {
  readonly add: (piece: U8) => Promise<void>;
  readonly content: (bytes: number) => U8 | FileHandle;
  readonly release: () => Promise<void>;
}

/** Cuts `source` into parts. Buffers are used again: a long upload allocates a handful. */
export function cutter(source: Source, firstBytes: number): Cutter {
  const pool: U8[] = [];
  let number = 0;
  let rest: U8 | undefined;
  let ended = false;

  async function look(): Promise<void> {
    while (!ended && !rest?.length) {
      rest = await source.next();
      ended = rest === undefined;
    }
  }

  async function fill(sink: Sink, size: number, hash: Hash): Promise<Pick<Part, "bytes" | "crc32">> {
    let filled = 0;
    let sum = 0;
    for (await look(); rest && filled < size; await look()) {
      const piece = rest.subarray(0, size - filled);
      rest = rest.subarray(piece.length);
      hash.update(piece);
      sum = crc32(piece, sum);
      await sink.add(piece);
      filled += piece.length;
    }
    return { bytes: filled, crc32: base64Of(sum) };
  }

  return {
    ended: () => ended,
    next: async () => {
      if (ended && number > 0) return undefined;
      const size = partSize(number + 1, firstBytes);
      const sink = size > SPOOL_ABOVE ? await fileSink() : memorySink(size, pool);
      const hash = createHash("sha256");
      try {
        const filled = await fill(sink, size, hash);
        number++;
        const sha256 = new Uint8Array(hash.digest());
        return { number, ...filled, sha256, content: sink.content(filled.bytes), release: sink.release };
      } catch (error) {
        await sink.release();
        throw error;
      }
    },
  };
}

function base64Of(sum: number): string {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, sum);
  return bytes.toBase64();
}

/** Starts small, since most objects are; a buffer that has grown to a part's size is kept for the next. */
function memorySink(size: number, pool: U8[]): Sink {
  let buffer = pool.pop() ?? new Uint8Array(Math.min(size, 64 * 1024));
  let filled = 0;
  return {
    add: (piece) => {
      const needed = filled + piece.length;
      if (needed > buffer.length) {
        const larger = new Uint8Array(
          Math.min(size, Math.max(needed, needed <= 1024 * 1024 ? 2 * needed : size)),
        );
        larger.set(buffer.subarray(0, filled));
        buffer = larger;
      }
      buffer.set(piece, filled);
      filled = needed;
      return Promise.resolve();
    },
    content: (bytes) => buffer.subarray(0, bytes),
    release: () => {
      if (buffer.length === size) pool.push(buffer);
      return Promise.resolve();
    },
  };
}

/** A file that has lost its name already: a crash leaves nothing. What lies in it is what would lie in the bucket. */
async function fileSink(): Promise<Sink> {
  const path = join(tmpdir(), `holdfast-part-${randomBytes(8).toString("hex")}`);
  const file = await open(path, "wx+", 0o600);
  await unlink(path);
  return {
    add: async (piece) => {
      for (let at = 0; at < piece.length;) at += (await file.write(piece, at)).bytesWritten;
    },
    content: () => file,
    release: () => file.close(),
  };
}
