/**
 * Small files read whole by the C library: one look for the path, all else by the descriptor.
 *
 * @module
 */
import type { U8 } from "../stage.ts";
import { FOR_READING } from "./open.ts";
import { AT_EMPTY_PATH, type Details, detailsOf, EMPTY_PATH, isUntouched, statRoom } from "./statx.ts";

/** A file that was read. */
export interface Whole {
  /** What it is. */
  readonly details: Details;
  /** Room with its content at the start. */
  readonly room: U8;
  /** Whether it has extended attributes, or may have some. */
  readonly attributed: boolean;
}

/** The calls it takes. */
interface Calls {
  readonly open: (path: U8, flags: number, mode: number) => number;
  readonly statx: (fd: number, name: U8, flags: number, into: U8) => number;
  readonly pread: (fd: number, into: U8, size: bigint, at: bigint) => bigint;
  readonly flistxattr: (fd: number, list: null, size: bigint) => bigint;
  readonly close: (fd: number) => number;
}

/** Reads a file whole; see `Reading.whole`. */
export function wholeWith(
  call: Calls,
  path: (text: string) => U8,
): (at: string, most: number, room: (size: number) => U8) => Whole | undefined {
  const before = statRoom();
  const after = statRoom();
  return (at, most, room) => {
    const fd = call.open(path(at), FOR_READING, 0);
    if (fd < 0) return undefined;
    try {
      if (call.statx(fd, EMPTY_PATH, AT_EMPTY_PATH, before.bytes) !== 0) return undefined;
      const details = detailsOf(before.view);
      const { kind, nlink, size } = details;
      if (kind !== "file" || nlink !== 1 || size > most) return undefined;
      // One byte more than it should hold: a file that says 0 and holds something (/proc) is not taken for empty.
      const into = room(size + 1);
      if (Number(call.pread(fd, into, BigInt(size + 1), 0n)) !== size) return undefined;
      const attributed = call.flistxattr(fd, null, 0n) !== 0n;
      if (call.statx(fd, EMPTY_PATH, AT_EMPTY_PATH, after.bytes) !== 0) return undefined;
      return isUntouched(before.view, after.view) ? { details, room: into, attributed } : undefined;
    } finally {
      call.close(fd);
    }
  };
}
