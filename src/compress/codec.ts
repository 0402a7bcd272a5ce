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
/** A sample that shrinks by less than 1/64 will not repay the search for matches. */
const SAMPLE_GAIN = 64;
/** What such a block gets: as fast as a copy, still with a checksum, and long repeats are still found. */
const FAST_LEVEL = 1;

/** Up to here a copy is cheaper than what it saves; more than this is not kept along for nothing. */
const SLACK_BYTES = 64 * 1024;

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
  const options: PledgedOptions = {
    // A dense block comes out as long as it went in: one large piece instead of many to join.
    chunkSize: dense ? block.length + (block.length >> 8) + 1024 : 256 * 1024,
    // Without it Deno writes no content size, and the frame could not be given whole to the decoder.
    pledgedSrcSize: block.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: dense ? FAST_LEVEL : level,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  };
  const packed = zstdCompressSync(block, options);
  // When the result does not fit one chunk, Deno may add a second, empty frame.
  const end = frameLength(packed);
  if (end === undefined) throw new Error("zstd gave something else than a frame");
  return owned(packed.subarray(0, end));
}

/** Whether a block looks like noise, so that searching it for matches would be a waste. */
function isDense(block: U8): boolean {
  const runs = SAMPLE_RUNS * SAMPLE_RUN_BYTES;
  if (block.length < 2 * runs) return false;
  const sample = new Uint8Array(runs);
  const stride = Math.floor((block.length - SAMPLE_RUN_BYTES) / (SAMPLE_RUNS - 1));
  for (let run = 0; run < SAMPLE_RUNS; run++) {
    sample.set(block.subarray(run * stride, run * stride + SAMPLE_RUN_BYTES), run * SAMPLE_RUN_BYTES);
  }
  const packed = zstdCompressSync(sample, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  return packed.length > runs - runs / SAMPLE_GAIN;
}

/** One gzip member (RFC 1952): no name, no time, operating system "unknown" on every system. */
function packGzip(block: U8, level: number): U8 {
  const member = owned(gzipSync(block, { level, chunkSize: 256 * 1024 }));
  member[9] = 255;
  return member;
}

/** The content of one frame, exactly `size` bytes. */
function unpackZstd(frame: U8, size: number): U8 {
  const content = owned(zstdDecompressSync(frame, {
    // Room for the whole content: nothing to join.
    chunkSize: size + 1024,
    // It must be positive; one byte more than declared is found below.
    maxOutputLength: Math.max(size, 1),
  }));
  if (content.length !== size) {
    throw new RangeError(`it declares ${size} bytes and holds ${content.length}`);
  }
  return content;
}

/** The bytes in a buffer of their own: small results of node:zlib can lie in a shared one, others at the start of a longer one. */
function owned(bytes: Uint8Array): U8 {
  const { buffer, byteOffset, length } = bytes;
  const spare = buffer.byteLength - length;
  return buffer instanceof ArrayBuffer && byteOffset === 0 && length > SLACK_BYTES && spare <= SLACK_BYTES
    ? new Uint8Array(buffer, 0, length)
    : new Uint8Array(bytes);
}
