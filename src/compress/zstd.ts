/**
 * Zstandard (RFC 8878) in independent frames with a seek table.
 *
 * @module
 */
import type { Archive, Stage } from "../stage.ts";
import { checkLevel, compressor } from "./compressor.ts";
import type { PoolOptions } from "./pool.ts";
import { createTable } from "./seekable.ts";

/** Content of one frame in bytes. Part of the format: receipts record it, and ranged reads rest on it. */
export const FRAME_BYTES: number = 2 * 1024 * 1024;

/** Options of {@linkcode zstd}. */
export interface ZstdOptions {
  /** 1 (fast) to 19 (small), as with the `zstd` program. Default 3. */
  readonly level?: number | undefined;
}

/**
 * Compresses with zstd, on several cores. Every 2 MiB become a frame of their own with content size and checksum, and a seek table
 * (zstd seekable format) ends the object: `zstd -d` and `pzstd -d` open it, and parts of it can be read on their own. Equal input gives
 * equal output, from one version of zstd. Undo takes any zstd, gzip or plain tar, told by content; it throws {@linkcode IntegrityError} on a cut, on damage, on
 * trailing bytes, and past `want.limits`. Throws RangeError on a level outside 1 to 19.
 *
 * Where FFI is granted and the system has libzstd, that packs, in less time; a frame's bytes are then those of its version. Workers, which
 * pack elsewhere, need read permission for this module's folder; without it everything runs on the calling thread, with the same output.
 */
export function zstd(options: ZstdOptions = {}): Stage<Archive, Archive> {
  return zstdOn({}, options);
}

/** The stage over given workers. */
export function zstdOn(pool: PoolOptions, { level = 3 }: ZstdOptions = {}): Stage<Archive, Archive> {
  checkLevel("zstd", level, 19);
  return compressor({
    tool: "zstd",
    suffix: ".zst",
    level,
    blockBytes: FRAME_BYTES,
    options: { level, frameBytes: FRAME_BYTES },
    trailer: createTable,
    pool,
  });
}
