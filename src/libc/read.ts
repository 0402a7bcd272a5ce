/**
 * What the C library tells of files that Deno does not: nanoseconds, extended attributes, ACLs, holes, and names by their bytes.
 *
 * @module
 */
import { nameOf } from "../raw_name.ts";
import type { U8 } from "../stage.ts";
import { attributesWith } from "./attributes.ts";
import { AT_FDCWD, ERRNO, FOR_READING, type LibcError, OPEN, openLibrary, pathBuffer } from "./open.ts";
import {
  AT_EMPTY_PATH,
  AT_NO_AUTOMOUNT,
  AT_SYMLINK_NOFOLLOW,
  BASIC_STATS,
  type Details,
  detailsOf,
  EMPTY_PATH,
  kindOf,
  statRoom,
} from "./statx.ts";
import { type Whole, wholeWith } from "./whole.ts";

export type { Details } from "./statx.ts";

/** A name in a folder. */
export interface Listed {
  /** The name. */
  readonly name: string;
  /** What it stands for; undefined: the file system does not list that. */
  readonly kind: Details["kind"] | undefined;
}

/** Reads through the C library. Paths are text as src/raw_name.ts has it. Calls throw {@linkcode LibcError}; no link at the end of a path is followed. */
export interface Reading {
  /** Whether Deno may read everything: where it may not, the library is only to be asked about what Deno has looked at. */
  readonly unbounded: boolean;
  /** What stands at a path, or behind a descriptor. */
  readonly stat: (at: string | number) => Details;
  /** The extended attributes of what stands at a path; undefined: none, or its file system has none. */
  readonly attributes: (path: string) => ReadonlyMap<string, U8> | undefined;
  /** What lies in a folder, in the order of the system, without "." and "..". */
  readonly list: (path: string) => Listed[];
  /** The names of it. */
  readonly names: (path: string) => string[];
  /** The text of a symbolic link. */
  readonly link: (path: string) => string;
  /**
   * Reads a regular file of at most `most` bytes that has one name, through one descriptor, into the `room` that is asked for when its size
   * is known. Undefined: it is something else, or cannot be read, or something happens to it meanwhile.
   */
  readonly whole: (path: string, most: number, room: (size: number) => U8) => Whole | undefined;
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
  flistxattr: { parameters: ["i32", "pointer", "usize"], result: "isize" },
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
    checked(call.open(path(at), flags | FOR_READING, 0), () => `open "${at}"`);
  const records = new Uint8Array(32 * 1024);
  const list = (at: string): Listed[] => {
    const fd = open(at, OPEN.DIRECTORY);
    const next = (): number =>
      checked(call.getdents64(fd, records, BigInt(records.length)), () => `list "${at}"`);
    try {
      return listed(records, next);
    } finally {
      call.close(fd);
    }
  };
  const { state, partial } = Deno.permissions.querySync({ name: "read" });
  const statx = (fd: number, name: U8, flags: number, into: U8): number =>
    call.statx(fd, name, flags, BASIC_STATS, into);
  return {
    unbounded: state === "granted" && !partial,
    stat: statWith(statx, path, fault),
    attributes: attributesWith(call.llistxattr, call.lgetxattr, errno, fault, path),
    list,
    names: (at) => list(at).map(({ name }) => name),
    link: (at) => {
      const text = new Uint8Array(PATH_MAX);
      const size = checked(call.readlink(path(at), text, BigInt(text.length)), () => `read the link "${at}"`);
      return nameOf(text.subarray(0, size));
    },
    whole: wholeWith({ ...call, statx }, path),
    open: (at) => open(at, 0),
    read: (fd, into, at) => checked(call.pread(fd, into, BigInt(into.length), BigInt(at)), () => "read"),
    extents: (fd, size) => extentsOf((at, whence) => Number(call.lseek(fd, BigInt(at), whence)), errno, size),
    shut: (fd) => void call.close(fd),
    close,
  };
}

const PATH_MAX = 4096;

function statWith(
  statx: (fd: number, name: U8, flags: number, into: U8) => number,
  path: (text: string) => U8,
  fault: (what: string) => LibcError,
): Reading["stat"] {
  const { bytes, view } = statRoom();
  return (at) => {
    const failed = typeof at === "number"
      ? statx(at, EMPTY_PATH, AT_EMPTY_PATH, bytes)
      : statx(AT_FDCWD, path(at), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, bytes);
    if (failed !== 0) throw fault(`look at ${typeof at === "number" ? "an open file" : `"${at}"`}`);
    return detailsOf(view);
  };
}

/** Records of a `struct linux_dirent64` (getdents64(2)): inode, offset, length of the record, type, name with a NUL. */
function listed(records: U8, next: () => number): Listed[] {
  const found: Listed[] = [];
  const view = new DataView(records.buffer);
  for (let size = next(); size > 0; size = next()) {
    for (let at = 0; at < size; at += view.getUint16(at + 16, true)) {
      const name = nameOf(records.subarray(at + 19, records.indexOf(0, at + 19)));
      const type = records[at + 18]!;
      if (name !== "." && name !== "..") {
        found.push({ name, kind: type === 0 ? undefined : kindOf(type) });
      }
    }
  }
  return found;
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
