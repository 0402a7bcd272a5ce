/**
 * Two ways to an open file: the calls of node:fs, and the C library's, which take names by their bytes.
 *
 * @module
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { Reading } from "../libc/read.ts";
import { FLAGS, type Stat } from "./quick.ts";

/** What reading a file takes. Calls throw errors with a `code`, as node:fs does. */
export interface Io {
  /** Opens for reading; no link at the end of the path is followed. */
  readonly open: (path: string) => number;
  /** What is open. */
  readonly stat: (fd: number) => Stat & { readonly isFile: boolean };
  /** Its device and inode in full: an inode number may be larger than a double holds. */
  readonly link: (fd: number) => string;
  /** Reads at an offset; 0 at the end. */
  readonly read: (fd: number, into: Uint8Array, at: number) => number;
  /** Closes. */
  readonly close: (fd: number) => void;
}

/** By node:fs. */
export const NODE: Io = {
  open: (path) => openSync(path, FLAGS),
  stat: (fd) => {
    const stat = fstatSync(fd);
    const { mode, mtimeMs, uid, gid, nlink, size, ino, ctimeMs } = stat;
    return { mode, mtimeMs, uid, gid, nlink, size, ino, ctimeMs, isFile: stat.isFile() };
  },
  link: (fd) => {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return `${dev}:${ino}`;
  },
  read: (fd, into, at) => readSync(fd, into, 0, into.length, at),
  close: closeSync,
};

/** By the C library. */
export function libcIo(libc: Reading): Io {
  return {
    open: libc.open,
    stat: (fd) => {
      const details = libc.stat(fd);
      return { ...details, isFile: details.kind === "file" };
    },
    link: (fd) => libc.stat(fd).id,
    read: libc.read,
    close: libc.shut,
  };
}
