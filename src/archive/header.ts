/**
 * The 512-byte header of a tar member: POSIX.1-1988 ustar, and the older V7 and GNU forms when reading
 * (POSIX.1-2017 `pax`, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format").
 *
 * @module
 */
import { IntegrityError } from "../errors.ts";
import { bytesOf, isRaw } from "../raw_name.ts";
import type { U8 } from "../stage.ts";

/** Length of a header, and what every member is padded to. */
export const UNIT = 512;

/** What a header says. Text is raw UTF-8 text when writing, bytes when reading. */
export interface HeaderFields {
  /** Member name; a folder's ends in "/". */
  readonly path: string;
  /** Type flag: "0" file, "1" hard link, "2" symlink, "5" folder, "x" extended header. */
  readonly type: string;
  /** Permission bits. */
  readonly mode: number;
  /** Numeric owner; 0 when it does not fit. */
  readonly uid: number;
  /** Numeric group; 0 when it does not fit. */
  readonly gid: number;
  /** Content length in bytes. */
  readonly size: number;
  /** Whole seconds since 1970. */
  readonly mtime: number;
  /** Link text, or "". */
  readonly target: string;
  /** Owner's name. */
  readonly uname: string;
  /** Group's name. */
  readonly gname: string;
}

/** A header as read. Text fields are views of the header's bytes. */
export interface RawHeader {
  readonly type: string;
  readonly name: Uint8Array;
  /** First part of a ustar name; empty in V7 and GNU headers. */
  readonly prefix: Uint8Array;
  readonly target: Uint8Array;
  readonly uname: Uint8Array;
  readonly gname: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
}

/** What a content of `size` bytes takes, padded. */
export function padded(size: number): number {
  return Math.ceil(size / UNIT) * UNIT;
}

/** Largest numbers that ustar's octal fields hold. */
export const MAX_ID = 0o7777777;
/** Largest size and time that ustar's octal fields hold: 8 GiB - 1. */
export const MAX_LONG = 0o77777777777;

const encoder = new TextEncoder();

/** Where a path may be cut into ustar's prefix (155) and name (100); 0: it fits whole; -1: it does not fit. */
export function splitPath(path: string): number {
  if (path.length <= 100) return 0;
  if (path.length > 256) return -1;
  // The name gets at most 100 bytes and must not be empty (a folder's name ends in "/").
  const cut = path.lastIndexOf("/", Math.min(155, path.length - 2));
  return cut > 0 && path.length - cut - 1 <= 100 ? cut : -1;
}

/** Whether a text is ASCII of at most `most` characters. */
export function fits(text: string, most: number): boolean {
  if (text.length > most) return false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

/** Writes a header into 512 zero bytes at `at`. Texts that are too long are cut at a character. */
export function writeHeader(block: U8, at: number, fields: HeaderFields): void {
  const cut = Math.max(0, splitPath(fields.path));
  put(block, at, 100, cut === 0 ? fields.path : fields.path.slice(cut + 1));
  if (cut > 0) put(block, at + 345, 155, fields.path.slice(0, cut));
  octal(block, at + 100, 7, fields.mode);
  octal(block, at + 108, 7, fields.uid);
  octal(block, at + 116, 7, fields.gid);
  octal(block, at + 124, 11, fields.size);
  octal(block, at + 136, 11, fields.mtime);
  block[at + 156] = fields.type.charCodeAt(0);
  put(block, at + 157, 100, fields.target);
  put(block, at + 257, 8, "ustar\x0000");
  put(block, at + 265, 31, fields.uname);
  put(block, at + 297, 31, fields.gname);
  octal(block, at + 329, 7, 0);
  octal(block, at + 337, 7, 0);
  // The checksum counts its own field as spaces.
  let sum = 8 * 0x20;
  for (let i = at; i < at + UNIT; i++) sum += block[i]!;
  octal(block, at + 148, 6, sum);
  block[at + 155] = 0x20;
}

function put(block: U8, at: number, most: number, text: string): void {
  if (text.length <= most && ascii(block, at, text)) return;
  if (isRaw(text)) block.set(bytesOf(text).subarray(0, most), at);
  else encoder.encodeInto(text, block.subarray(at, at + most));
}

/** Encoding by hand saves a view and a call for nearly every name. */
function ascii(block: U8, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return false;
    block[at + i] = unit;
  }
  return true;
}

function octal(block: U8, at: number, digits: number, value: number): void {
  let rest = value;
  let i = at + digits - 1;
  for (; rest > 0x7fffffff; i--) {
    block[i] = 0x30 + (rest % 8);
    rest = Math.floor(rest / 8);
  }
  // 31 bits need no division.
  for (; i >= at; i--) {
    block[i] = 0x30 | (rest & 7);
    rest >>= 3;
  }
}

const USTAR = Array.from("ustar", (letter) => letter.charCodeAt(0));

/** Reads a header. Throws {@linkcode IntegrityError} on a wrong checksum or a malformed number; `where` says which header. */
export function readHeader(block: Uint8Array, where: string): RawHeader {
  checkSum(block, where);
  const known = USTAR.every((byte, i) => block[257 + i] === byte);
  const empty = block.subarray(0, 0);
  return {
    type: String.fromCharCode(block[156]!),
    name: cstring(block, 0, 100),
    // In GNU headers ("ustar ") the prefix field holds other times and the sparse map.
    prefix: known && block[262] === 0 ? cstring(block, 345, 155) : empty,
    target: cstring(block, 157, 100),
    uname: known ? cstring(block, 265, 32) : empty,
    gname: known ? cstring(block, 297, 32) : empty,
    mode: readNumber(block, 100, 8, "mode", where),
    uid: readNumber(block, 108, 8, "uid", where),
    gid: readNumber(block, 116, 8, "gid", where),
    size: readNumber(block, 124, 12, "size", where),
    mtime: readNumber(block, 136, 12, "mtime", where),
  };
}

function checkSum(block: Uint8Array, where: string): void {
  let unsigned = 8 * 0x20;
  let high = 0;
  for (let i = 0; i < UNIT; i++) {
    if (i === 148) i = 156;
    const byte = block[i]!;
    unsigned += byte;
    high += byte >> 7;
  }
  const stored = readNumber(block, 148, 8, "checksum", where);
  // Some old programs summed signed bytes.
  if (stored !== unsigned && stored !== unsigned - 256 * high) {
    throw new IntegrityError(
      `Cannot read ${where}: its checksum is wrong. The archive is damaged or is no tar`,
    );
  }
}

/** The bytes of a field up to its first NUL. */
function cstring(block: Uint8Array, at: number, size: number): Uint8Array {
  let end = at;
  while (end < at + size && block[end] !== 0) end++;
  return block.subarray(at, end);
}

/** Octal digits after spaces, ended by space, NUL or the field's edge; or GNU base-256 when the first bit is set. */
export function readNumber(
  block: Uint8Array,
  at: number,
  size: number,
  field: string,
  where: string,
): number {
  const value = block[at]! & 0x80 ? base256(block, at, size) : fromOctal(block, at, size);
  if (value === undefined || !Number.isSafeInteger(value)) {
    throw new IntegrityError(
      `Cannot read ${where}: its ${field} is not a number. The archive is damaged or is no tar`,
    );
  }
  return value;
}

function fromOctal(block: Uint8Array, from: number, size: number): number | undefined {
  const end = from + size;
  let at = from;
  while (at < end && block[at] === 0x20) at++;
  let value = 0;
  for (; at < end; at++) {
    const digit = block[at]! - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  for (; at < end; at++) if (block[at] !== 0 && block[at] !== 0x20) return undefined;
  return value;
}

/** Two's complement, big-endian, without the marker bit (GNU tar manual, "Extensions"). */
function base256(block: Uint8Array, at: number, size: number): number | undefined {
  const first = block[at]!;
  const negative = first === 0xff;
  if (!negative && first !== 0x80) return undefined;
  let value = negative ? -1 : 0;
  for (let i = at + 1; i < at + size; i++) {
    value = value * 256 + block[i]!;
    if (!Number.isSafeInteger(value)) return undefined;
  }
  return value;
}
