/**
 * What a worker does with one block: the same function runs inline, so equal input gives equal bytes whatever the number of cores.
 *
 * @module
 */
import { constants, gzipSync, zstdCompressSync, zstdDecompressSync, type ZstdOptions } from "node:zlib";
import type { U8 } from "../stage.ts";
import { FAST_LEVEL, levelFor } from "./dense.ts";
import { frameLength } from "./frames.ts";

/** One piece of work, independent of every other. */
export interface Job {
  /** "zstd" and "gzip" pack a block into one frame or member; "unzstd" unpacks one whole frame. */
  readonly op: "zstd" | "gzip" | "unzstd";
  /** The block or the frame; it may be transferred to a worker, so it must own its buffer. */
  readonly bytes: U8;
  /** Compression level for "zstd" and "gzip", declared content size in bytes for "unzstd". */
  readonly value: number;
}

/** Node.js documents the member, its types lack it. */
interface PledgedOptions extends ZstdOptions {
  readonly pledgedSrcSize: number;
}

/** Room for the next frame's output in bytes: a little more than the last one took. */
let room = 512 * 1024;
/** The least room; what is shorter is cheaper to copy than to hand on. */
const MIN_ROOM = 64 * 1024;

/** Does one job. Throws what node:zlib throws, or RangeError when a frame does not hold what it declares. */
export function work(job: Job): U8 {
  switch (job.op) {
    case "zstd":
      return packZstd(job.bytes, job.value);
    case "gzip":
      return packGzip(job.bytes, job.value);
    case "unzstd":
      return unpackZstd(job.bytes, job.value);
  }
}

/** One zstd frame (RFC 8878) with content size and checksum. */
function packZstd(block: U8, level: number): U8 {
  const chosen = levelFor(block, level, sizeOf);
  const dense = chosen !== level;
  const most = block.length + (block.length >> 8) + 1024;
  const options: PledgedOptions = {
    // No room that will not be needed: new memory costs as much as a quarter of the compression. The result is the same.
    chunkSize: dense ? most : Math.min(most, room),
    // Without it Deno writes no content size, and the frame could not be given whole to the decoder.
    pledgedSrcSize: block.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: chosen,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  };
  const output = zstdCompressSync(block, options);
  const length = frameLength(output);
  if (length === undefined) throw new Error("zstd gave something else than a frame");
  if (!dense) room = Math.max(MIN_ROOM, length + (length >> 3));
  // When the result does not fit one chunk, Deno may add a second, empty frame.
  return owned(output.subarray(0, length));
}

function sizeOf(sample: U8): number {
  return zstdCompressSync(sample, { params: { [constants.ZSTD_c_compressionLevel]: FAST_LEVEL } }).length;
}

/** One gzip member (RFC 1952): no name, no time, operating system "unknown" on every system. */
function packGzip(block: U8, level: number): U8 {
  const member = owned(gzipSync(block, { level, chunkSize: 256 * 1024 }));
  member[9] = 255;
  return member;
}

/** The content of one frame, exactly `size` bytes. */
function unpackZstd(frame: U8, size: number): U8 {
  // maxOutputLength must be positive; one byte more than declared is one too many anyway.
  // One chunk for all of it, and a byte more, so that the decoder need not ask whether there is another.
  const options = { maxOutputLength: Math.max(size, 1), chunkSize: Math.max(size + 1, 64) };
  const content = owned(zstdDecompressSync(frame, options));
  if (content.length !== size) {
    throw new RangeError(`it declares ${size} bytes and holds ${content.length}`);
  }
  return content;
}

/** The bytes in a buffer of their own: small results of node:zlib can lie in a shared one. A little room behind them may stay. */
function owned(bytes: Uint8Array): U8 {
  const { buffer, byteOffset, length } = bytes;
  const own = buffer instanceof ArrayBuffer && byteOffset === 0 && length >= MIN_ROOM &&
    length >= buffer.byteLength - (buffer.byteLength >> 2);
  return own ? new Uint8Array(buffer, 0, length) : new Uint8Array(bytes);
}
