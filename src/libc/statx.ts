/**
 * What statx(2) answers.
 *
 * @module
 */
import type { U8 } from "../stage.ts";

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

/** STATX_BASIC_STATS of statx(2). */
export const BASIC_STATS = 0x7ff;
/** Flags of statx(2). */
export const AT_SYMLINK_NOFOLLOW = 0x100;
/** Do not mount what would be mounted. */
export const AT_NO_AUTOMOUNT = 0x800;
/** The descriptor itself. */
export const AT_EMPTY_PATH = 0x1000;
/** The path that goes with that flag. */
export const EMPTY_PATH: U8 = new Uint8Array(1);

const KINDS: Readonly<Record<number, Details["kind"]>> = { 8: "file", 4: "directory", 10: "symlink" };

/** What a type of stat(2) (S_IFMT, shifted) or of a listing (DT_REG and the like, which are the same numbers) means. */
export function kindOf(type: number): Details["kind"] {
  return KINDS[type] ?? "special";
}

/** Room for an answer. */
export interface StatRoom {
  /** For the call. */
  readonly bytes: U8;
  /** The same memory. */
  readonly view: DataView;
}

/** Makes room for an answer. */
export function statRoom(): StatRoom {
  const bytes = new Uint8Array(256);
  return { bytes, view: new DataView(bytes.buffer) };
}

// Little-endian on every machine that the library is used on. Offsets: struct statx of linux/stat.h, the same on all.
const MODE = 28;
const INO = 32;
const SIZE = 40;
const BLOCKS = 48;
const CTIME = 96;
const MTIME = 112;

/** The answer. */
export function detailsOf(view: DataView): Details {
  const mode = view.getUint16(MODE, true);
  const dev = deviceOf(view.getUint32(136, true), view.getUint32(140, true));
  const ino = long(view, INO);
  return {
    kind: kindOf(mode >> 12),
    mode,
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    nlink: view.getUint32(16, true),
    id: `${dev}:${ino >= 0 && ino <= Number.MAX_SAFE_INTEGER ? ino : view.getBigUint64(INO, true)}`,
    ino,
    dev,
    size: long(view, SIZE),
    allocated: long(view, BLOCKS) * 512,
    mtimeMs: milliseconds(view, MTIME),
    mtimeNs: view.getUint32(MTIME + 8, true) % 1e6,
    ctimeMs: milliseconds(view, CTIME),
  };
}

/** Whether nothing happened to an open file between two answers: its length and both its times are the same to the last bit. */
export function isUntouched(a: DataView, b: DataView): boolean {
  for (const at of TOUCHED) if (a.getUint32(at, true) !== b.getUint32(at, true)) return false;
  return true;
}

const TOUCHED = [SIZE, SIZE + 4, CTIME, CTIME + 4, CTIME + 8, MTIME, MTIME + 4, MTIME + 8];

function long(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getInt32(at + 4, true) * 2 ** 32;
}

function milliseconds(view: DataView, at: number): number {
  return long(view, at) * 1000 + Math.floor(view.getUint32(at + 8, true) / 1e6);
}

/** One number of a device's two (gnu_dev_makedev), as far as a double holds it. */
function deviceOf(major: number, minor: number): number {
  const low = (minor & 0xff) + (major & 0xfff) * 0x100;
  return low + (minor >>> 8) * 0x100000 + Math.floor(major / 0x1000) * 2 ** 44;
}
