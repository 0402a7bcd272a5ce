/**
 * Room on the disk that a spool lies on: at least 64 MiB, or 5 % of a small disk, are left to others.
 *
 * @module
 */
import { statfsSync } from "node:fs";
import { formatBytes } from "../bytes.ts";

/** Throws before `more` bytes would take what is left for others. */
export function checkSpace(what: string, dir: string, more: number): void {
  const space = spaceOf(dir);
  if (!space) return;
  const reserve = Math.min(64 * 1024 * 1024, space.total / 20);
  if (space.free - more < reserve) throw fullError(what, dir, space.free);
}

/** Undefined where the system, or a permission, does not let us look. */
function spaceOf(dir: string): { free: number; total: number } | undefined {
  try {
    const { bavail, blocks, bsize } = statfsSync(dir);
    return { free: bavail * bsize, total: blocks * bsize };
  } catch {
    return undefined;
  }
}

/** A disk that has no room, and what to do about it. */
export function fullError(what: string, dir: string, free: number): Error {
  return new Error(
    `Cannot spool ${what}: not enough space in "${dir}", ${
      formatBytes(free)
    } free. Free some, or set spoolDir to a larger disk`,
  );
}
