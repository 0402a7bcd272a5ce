/**
 * What a worker does with one block: the same function runs inline, so equal input gives equal bytes whatever the number of cores.
 *
 * @module
 */
import { constants, gzipSync, zstdCompressSync, zstdDecompressSync, type ZstdOptions } from "node:zlib";
import type { U8 } from "../stage.ts";
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

/** Samples are spread over the block: 16 runs of 4 KiB see a photograph between two texts. */
const SAMPLE_RUNS = 16;
const SAMPLE_RUN_BYTES = 4096;
/** Before those, 32 glimpses of 256 bytes. */
const GLIMPSES = 32;
const GLIMPSE_BYTES = 256;
/** A sample that shrinks by less than 1/64 will not repay the search for matches. */
const SAMPLE_GAIN = 64;
/** What such a block gets: as fast as a copy, still with a checksum, and long repeats are still found. */
const FAST_LEVEL = 1;

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
  const dense = level > FAST_LEVEL && isDense(block);
  const most = block.length + (block.length >> 8) + 1024;
  const options: PledgedOptions = {
    // No room that will not be needed: new memory costs as much as a quarter of the compression. The result is the same.
    chunkSize: dense ? most : Math.min(most, room),
    // Without it Deno writes no content size, and the frame could not be given whole to the decoder.
    pledgedSrcSize: block.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: dense ? FAST_LEVEL : level,
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

/** Whether a block looks like noise, so that searching it for matches would be a waste. */
function isDense(block: U8): boolean {
  const runs = SAMPLE_RUNS * SAMPLE_RUN_BYTES;
  if (block.length < 2 * runs) return false;
  if (!isFlat(block)) return false;
  const sample = new Uint8Array(runs);
  const stride = Math.floor((block.length - SAMPLE_RUN_BYTES) / (SAMPLE_RUNS - 1));
  for (let run = 0; run < SAMPLE_RUNS; run++) {
    sample.set(block.subarray(run * stride, run * stride + SAMPLE_RUN_BYTES), run * SAMPLE_RUN_BYTES);
  }
  const packed = zstdCompressSync(sample, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  return packed.length > runs - runs / SAMPLE_GAIN;
}

/** Whether all bytes are about as frequent, in a small sample; texts and programs, for which this is all that it costs, are not. */
function isFlat(block: U8): boolean {
  const counts = new Uint32Array(256);
  const stride = Math.floor(block.length / GLIMPSES);
  for (let i = 0; i < GLIMPSES; i++) {
    const at = i * stride;
    for (let k = at; k < at + GLIMPSE_BYTES; k++) counts[block[k]!]!++;
  }
  const bytes = GLIMPSES * GLIMPSE_BYTES;
  let squares = 0;
  for (const count of counts) squares += count * count;
  // 1/256 for noise; below 1/180 (7.5 bits of order-2 entropy) nothing lies that Huffman codes shrink by 1/64.
  return squares * 180 < bytes * bytes;
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
