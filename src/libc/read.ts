/**
 * What the C library tells of files that Deno does not: nanoseconds, extended attributes, ACLs, holes, and names by their bytes.
 *
 * @module
 */
import { nameOf } from "../raw_name.ts";
import type { U8 } from "../stage.ts";
import { attributesWith } from "./attributes.ts";
import { AT_FDCWD, ERRNO, type LibcError, OPEN, openLibrary, pathBuffer } from "./open.ts";

/** What the system says of one thing. */
export interface Details {
  /** What it is. */
  readonly kind: "file" | "directory" | "symlink" | "special";
  /** Permission bits and more. */
  readonly mode: number;
  /** Numeric owner. */
  readonly uid: number;
  /** Numeric group. */
  readonly gid: number;
  /** Names it has. */
  readonly nlink: number;
  /** Device and inode. */
  readonly id: string;
  /** Its inode, as far as a double holds it. */
  readonly ino: number;
  /** Its device, as stat(2) numbers it. */
  readonly dev: number;
  /** Length in bytes. */
  readonly size: number;
  /** What it takes, in bytes. */
  readonly allocated: number;
  /** Modification time in whole milliseconds, rounded towards the past. */
  readonly mtimeMs: number;
  /** Nanoseconds after `mtimeMs`. */
  readonly mtimeNs: number;
  /** When its inode changed last, in milliseconds. */
  readonly ctimeMs: number;
}

/** Reads through the C library. Paths are text as src/raw_name.ts has it. Calls throw {@linkcode LibcError}; no link at the end of a path is followed. */
export interface Reading {
  /** Whether Deno may read everything: where it may not, the library is only to be asked about what Deno has looked at. */
  readonly unbounded: boolean;
  /** What stands at a path, or behind a descriptor. */
  readonly stat: (at: string | number) => Details;
  /** The extended attributes of what stands at a path; undefined: none, or its file system has none. */
  readonly attributes: (path: string) => ReadonlyMap<string, U8> | undefined;
  /** The names in a folder, in the order of the system, without "." and "..". */
  readonly names: (path: string) => string[];
  /** The text of a symbolic link. */
  readonly link: (path: string) => string;
  /** Opens a file for reading; a pipe does not make it wait. */
  readonly open: (path: string) => number;
  /** Reads at an offset; 0 at the end. */
  readonly read: (fd: number, into: Uint8Array, at: number) => number;
  /**
   * Where data lies in an open file of that length: offset and length of each extent in turn. Undefined: everywhere, the file system
   * does not tell, or there are more than 100,000.
   */
  readonly extents: (fd: number, size: number) => readonly number[] | undefined;
  /** Closes what `open` has opened. */
  readonly shut: (fd: number) => void;
  /** Lets go of the library. */
  readonly close: () => void;
}

const SYMBOLS = {
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  llistxattr: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  lgetxattr: { parameters: ["buffer", "buffer", "buffer", "usize"], result: "isize" },
  getdents64: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "isize" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Opens the library for reading; undefined where it may not be used. */
export function openReading(): Reading | undefined {
  const opened = openLibrary(SYMBOLS);
  if (!opened) return undefined;
  const { call, errno, fault, close } = opened;
  const path = pathBuffer();
  const checked = (result: number | bigint, what: () => string): number => {
    if (result < 0) throw fault(what());
    return Number(result);
  };
  const open = (at: string, flags: number): number =>
    checked(
      call.open(path(at), flags | OPEN.CLOEXEC | OPEN.NOFOLLOW | OPEN.NONBLOCK, 0),
      () => `open "${at}"`,
    );
  const { state, partial } = Deno.permissions.querySync({ name: "read" });
  return {
    unbounded: state === "granted" && !partial,
    stat: statWith((fd, name, flags, into) => call.statx(fd, name, flags, BASIC_STATS, into), path, fault),
    attributes: attributesWith(call.llistxattr, call.lgetxattr, errno, fault, path),
    names: (at) => {
      const fd = open(at, OPEN.DIRECTORY);
      try {
        return namesOf((into) =>
          checked(call.getdents64(fd, into, BigInt(into.length)), () => `list "${at}"`)
        );
      } finally {
        call.close(fd);
      }
    },
    link: (at) => {
      const text = new Uint8Array(PATH_MAX);
      const size = checked(call.readlink(path(at), text, BigInt(text.length)), () => `read the link "${at}"`);
      return nameOf(text.subarray(0, size));
    },
    open: (at) => open(at, 0),
    read: (fd, into, at) => checked(call.pread(fd, into, BigInt(into.length), BigInt(at)), () => "read"),
    extents: (fd, size) => extentsOf((at, whence) => Number(call.lseek(fd, BigInt(at), whence)), errno, size),
    shut: (fd) => void call.close(fd),
    close,
  };
}

/** One number of a device's two (gnu_dev_makedev), as far as a double holds it. */
function deviceOf(major: number, minor: number): number {
  const low = (minor & 0xff) + (major & 0xfff) * 0x100;
  return low + (minor >>> 8) * 0x100000 + Math.floor(major / 0x1000) * 2 ** 44;
}

const PATH_MAX = 4096;
/** STATX_BASIC_STATS of statx(2). */
const BASIC_STATS = 0x7ff;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_NO_AUTOMOUNT = 0x800;
const AT_EMPTY_PATH = 0x1000;
const KINDS: Readonly<Record<number, Details["kind"]>> = { 8: "file", 4: "directory", 10: "symlink" };

function statWith(
  statx: (fd: number, name: U8, flags: number, into: U8) => number,
  path: (text: string) => U8,
  fault: (what: string) => LibcError,
): Reading["stat"] {
  const into = new Uint8Array(256);
  const view = new DataView(into.buffer);
  // Little-endian on every machine of `libraries`. Offsets: struct statx of linux/stat.h, the same on all.
  const long = (at: number): number => view.getUint32(at, true) + view.getInt32(at + 4, true) * 2 ** 32;
  const ms = (at: number): number => long(at) * 1000 + Math.floor(view.getUint32(at + 8, true) / 1e6);
  return (at) => {
    const failed = typeof at === "number"
      ? statx(at, path(""), AT_EMPTY_PATH, into)
      : statx(AT_FDCWD, path(at), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, into);
    if (failed !== 0) throw fault(`look at ${typeof at === "number" ? "an open file" : `"${at}"`}`);
    const mode = view.getUint16(28, true);
    const dev = deviceOf(view.getUint32(136, true), view.getUint32(140, true));
    const ino = long(32);
    return {
      kind: KINDS[mode >> 12] ?? "special",
      mode,
      uid: view.getUint32(20, true),
      gid: view.getUint32(24, true),
      nlink: view.getUint32(16, true),
      id: `${dev}:${ino >= 0 && ino <= Number.MAX_SAFE_INTEGER ? ino : view.getBigUint64(32, true)}`,
      ino,
      dev,
      size: long(40),
      allocated: long(48) * 512,
      mtimeMs: ms(112),
      mtimeNs: view.getUint32(120, true) % 1e6,
      ctimeMs: ms(96),
    };
  };
}

/** Names of records of a `struct linux_dirent64` (getdents64(2)): inode, offset, length of the record, type, name with a NUL. */
function namesOf(next: (into: U8) => number): string[] {
  const names: string[] = [];
  const records = new Uint8Array(32 * 1024);
  const view = new DataView(records.buffer);
  for (let size = next(records); size > 0; size = next(records)) {
    for (let at = 0; at < size; at += view.getUint16(at + 16, true)) {
      const name = nameOf(records.subarray(at + 19, records.indexOf(0, at + 19)));
      if (name !== "." && name !== "..") names.push(name);
    }
  }
  return names;
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
/** More of them cost more than they save. */
const MOST_EXTENTS = 100_000;

function extentsOf(
  seek: (at: number, whence: number) => number,
  errno: () => number,
  size: number,
): readonly number[] | undefined {
  const extents: number[] = [];
  for (let at = 0; at < size;) {
    const data = seek(at, SEEK_DATA);
    // No data any more: the rest is a hole. Anything else: the file system does not tell.
    if (data < 0 && errno() !== ERRNO.ENXIO) return undefined;
    if (data < 0 || data >= size) break;
    const hole = Math.min(size, seek(data, SEEK_HOLE));
    if (hole <= data || extents.length >= 2 * MOST_EXTENTS) return undefined;
    extents.push(data, hole - data);
    at = hole;
  }
  return extents.length === 2 && extents[1] === size ? undefined : extents;
}
