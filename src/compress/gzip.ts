/**
 * Gzip (RFC 1952) in independent members.
 *
 * @module
 */
import type { Archive, Stage } from "../stage.ts";
import { checkLevel, compressor } from "./compressor.ts";
import type { PoolOptions } from "./pool.ts";

/** Content of one member in bytes. */
const MEMBER_BYTES = 1024 * 1024;

/** Options of {@linkcode gzip}. */
export interface GzipOptions {
  /** 1 (fast) to 9 (small), as with the `gzip` program. Default 6. */
  readonly level?: number | undefined;
}

/**
 * Compresses with gzip, on several cores. Every 1 MiB becomes a member of its own, without name and time: `gzip -d` and `pigz -d` open
 * it, and equal input gives equal output. Undo is that of {@linkcode zstd}: it takes any gzip, zstd or plain tar. Throws RangeError on
 * a level outside 1 to 9.
 */
export function gzip(options: GzipOptions = {}): Stage<Archive, Archive> {
  return gzipOn({}, options);
}

/** The stage over given workers. */
export function gzipOn(pool: PoolOptions, { level = 6 }: GzipOptions = {}): Stage<Archive, Archive> {
  checkLevel("gzip", level, 9);
  return compressor({
    tool: "gzip",
    suffix: ".gz",
    level,
    blockBytes: MEMBER_BYTES,
    options: { level },
    pool,
  });
}
