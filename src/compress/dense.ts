/**
 * Which blocks look like noise, so that searching them for matches would be a waste.
 *
 * @module
 */
import type { U8 } from "../stage.ts";

/** What such a block gets: as fast as a copy, still with a checksum, and long repeats are still found. */
export const FAST_LEVEL = 1;

/** Samples are spread over the block: 16 runs of 4 KiB see a photograph between two texts. */
const SAMPLE_RUNS = 16;
const SAMPLE_RUN_BYTES = 4096;
/** Before those, 32 glimpses of 256 bytes. */
const GLIMPSES = 32;
const GLIMPSE_BYTES = 256;
/** A sample that shrinks by less than 1/64 will not repay the search for matches. */
const SAMPLE_GAIN = 64;

/** The level for a block: the one wished for, or {@linkcode FAST_LEVEL}. `measure` tells how many bytes a sample takes at that one. */
export function levelFor(block: U8, level: number, measure: (sample: U8) => number): number {
  return level > FAST_LEVEL && isDense(block, measure) ? FAST_LEVEL : level;
}

function isDense(block: U8, measure: (sample: U8) => number): boolean {
  const runs = SAMPLE_RUNS * SAMPLE_RUN_BYTES;
  if (block.length < 2 * runs) return false;
  if (!isFlat(block)) return false;
  const sample = new Uint8Array(runs);
  const stride = Math.floor((block.length - SAMPLE_RUN_BYTES) / (SAMPLE_RUNS - 1));
  for (let run = 0; run < SAMPLE_RUNS; run++) {
    sample.set(block.subarray(run * stride, run * stride + SAMPLE_RUN_BYTES), run * SAMPLE_RUN_BYTES);
  }
  return measure(sample) > runs - runs / SAMPLE_GAIN;
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
