/**
 * Digests of files' contents.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { FLAGS, type Stat } from "../quick.ts";

const CHUNK_BYTES = 1024 * 1024;

/**
 * SHA-256 of a file that stays, while it is read, what `stat` says; undefined otherwise, or when it cannot be read. Lower-case
 * hexadecimal. Yields after each MiB.
 */
export function* digestOf(path: string, stat: Stat): Generator<undefined, string | undefined, undefined> {
  let fd: number | undefined;
  try {
    fd = openSync(path, FLAGS);
    const hash = createHash("sha256");
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, stat.size + 1));
    let size = 0;
    for (let got; (got = readSync(fd, chunk, 0, chunk.length, size)) > 0;) {
      hash.update(chunk.subarray(0, got));
      size += got;
      if (size > stat.size) return undefined;
      if (got === CHUNK_BYTES) yield undefined;
    }
    const after = fstatSync(fd);
    const same = size === stat.size && after.size === stat.size && after.ino === stat.ino &&
      Math.floor(after.mtimeMs) === Math.floor(stat.mtimeMs);
    return same ? hash.digest("hex") : undefined;
  } catch {
    return undefined; // it is opened again to be stored, and what is wrong is said then
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
