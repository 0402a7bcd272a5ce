/**
 * The quick way to metadata and small files: the calls of Deno that are asked by name cost a third of those of node:fs.
 *
 * @module
 */
import { closeSync, constants, openSync, readSync } from "node:fs";
import type { Details, Reading } from "../libc/read.ts";
import { isRaw } from "../raw_name.ts";
import type { U8 } from "../stage.ts";
import { keepRoom, takeRoom } from "../blocks.ts";

/** What the system says of a file, folder or link. */
export interface Stat {
  /** Permission bits and more. */
  readonly mode: number;
  /** Modification time in milliseconds since 1970. */
  readonly mtimeMs: number;
  /** Nanoseconds after those milliseconds; absent: not known. */
  readonly mtimeNs?: number | undefined;
  /** Numeric owner. */
  readonly uid: number;
  /** Numeric group. */
  readonly gid: number;
  /** Names it has. */
  readonly nlink: number;
  /** Length in bytes. */
  readonly size: number;
  /** Its number in its file system, as far as a double holds it. */
  readonly ino: number;
  /** When its inode changed last, in milliseconds since 1970; 0 where that is not known. */
  readonly ctimeMs: number;
  /** Whether it has extended attributes, or may have some. Absent: not asked. */
  readonly attributed?: boolean | undefined;
}

/** No link is followed, and a pipe that took the file's place does not make the open wait. */
export const FLAGS: number = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * Metadata of what stands at a path: itself, not what it points to. By the C library where it may be asked: it tells more and makes
 * fewer objects. Throws what Deno throws, or the library's errors, with a `code` either way.
 */
export function statAt(path: string, libc?: Reading): Standing {
  if (libc?.unbounded || libc && isRaw(path)) return standing(libc.stat(path));
  const info = Deno.lstatSync(path);
  const { dev, isDirectory, isFile, isSymlink } = info;
  return { ...statOf(info), dev, isDirectory, isFile, isSymlink };
}

/** What stands at a path. */
export interface Standing extends Stat {
  /** Its device. */
  readonly dev: number;
  /** Whether it is a folder. */
  readonly isDirectory: boolean;
  /** Whether it is a regular file. */
  readonly isFile: boolean;
  /** Whether it is a symbolic link. */
  readonly isSymlink: boolean;
}

function standing(details: Details): Standing {
  const { kind } = details;
  return {
    ...details,
    isDirectory: kind === "directory",
    isFile: kind === "file",
    isSymlink: kind === "symlink",
  };
}

/**
 * A regular file of at most `most` bytes that has one name, and to which nothing happens while it is read. Undefined: it is something
 * else, or fails, or it is not certain that all calls met the same file in the same state. Ask again by descriptor.
 */
export function readQuickly(
  path: string,
  most: number,
  libc?: Reading,
): { readonly stat: Stat; readonly bytes: U8 } | undefined {
  try {
    if (libc?.unbounded) return readBy(libc, path, most);
    const before = statAt(path, libc);
    if (!before.isFile || before.nlink !== 1 || before.size > most) return undefined;
    // One byte more than it should hold: files that say 0 and hold something (/proc) are not taken for empty.
    const room = takeRoom(before.size + 1);
    const fd = openSync(path, FLAGS);
    try {
      if (readSync(fd, room, 0, room.length, 0) !== before.size) return undefined;
    } finally {
      closeSync(fd);
    }
    return isSame(before, statAt(path, libc))
      ? { stat: before, bytes: keepRoom(room, before.size) }
      : undefined;
  } catch {
    return undefined;
  }
}

function readBy(libc: Reading, path: string, most: number): ReturnType<typeof readQuickly> {
  const read = libc.whole(path, most, takeRoom);
  if (!read) return undefined;
  const { details, room, attributed } = read;
  return { stat: { ...details, attributed }, bytes: keepRoom(room, details.size) };
}

/** Of the change time whole seconds: Deno gives no more. */
function isSame(a: Standing, b: Standing): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.size === b.size && a.mtimeMs === b.mtimeMs &&
    a.mtimeNs === b.mtimeNs && a.ctimeMs === b.ctimeMs;
}

function statOf({ mode, mtime, uid, gid, nlink, size, ino, ctime }: Deno.FileInfo): Stat {
  return {
    mode: mode ?? 0,
    mtimeMs: mtime?.getTime() ?? 0,
    uid: uid ?? 0,
    gid: gid ?? 0,
    nlink: nlink ?? 1,
    size,
    ino: ino ?? 0,
    ctimeMs: ctime?.getTime() ?? 0,
  };
}
