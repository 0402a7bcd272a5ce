/**
 * Compressing an archive, and telling what an archive is compressed with.
 *
 * @module
 */
export { gzip, type GzipOptions } from "./gzip.ts";
export { zstd, type ZstdOptions } from "./zstd.ts";
