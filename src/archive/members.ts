/**
 * What a tar member is: its header together with the extended headers (PAX) and long names (GNU) before it.
 *
 * @module
 */
import { IntegrityError } from "../errors.ts";
import { nameOf } from "../raw_name.ts";
import type { Entry, EntryKind } from "../stage.ts";
import { attributesOf, decodeNanos } from "./attributes_read.ts";
import { MAX_LONG, type RawHeader } from "./header.ts";
import { decodeNumber, decodeTime, type PaxRecords } from "./pax.ts";
import { quote } from "./path.ts";
import { isSparse } from "./sparse.ts";

/** What came before a member's header and applies to it. */
export interface Extras {
  /** `g` records: apply to every later member. */
  readonly global: PaxRecords;
  /** `x` records: apply to the next member. */
  local?: PaxRecords | undefined;
  /** GNU `L`: the next member's name. */
  longPath?: Uint8Array | undefined;
  /** GNU `K`: the next member's link text. */
  longTarget?: Uint8Array | undefined;
}

/** An entry's metadata as an archive has it. */
export interface Member extends Pick<Entry, "mtimeNs" | "xattrs" | "acl"> {
  readonly path: string;
  readonly kind: EntryKind;
  readonly mode: number;
  readonly mtimeMs: number;
  readonly uid: number;
  readonly gid: number;
  readonly uname: string;
  readonly gname: string;
  readonly bytes: number;
  readonly target?: string;
  /** There for a file of which only a part is stored: `bytes` of it. */
  readonly sparse?: true;
}

const KINDS: Readonly<Record<string, EntryKind>> = {
  "0": "file",
  "\0": "file",
  // Contiguous files are files (POSIX.1-2017).
  "7": "file",
  "1": "hardlink",
  "2": "symlink",
  "5": "directory",
  "S": "file",
};

const REFUSED: Readonly<Record<string, string>> = {
  "3": "a character device",
  "4": "a block device",
  "6": "a named pipe",
  "M": "the continuation of a file from another volume",
  "D": "a folder of a GNU incremental archive",
};

const lossy = new TextDecoder();
const slash = Uint8Array.of(0x2f);

/** Joins a header with its extras. Throws {@linkcode IntegrityError}; paths and link texts stay as hostile as they are. */
export function resolve(header: RawHeader, extras: Extras, number: number, pathBytes: number): Member {
  const get = (key: string): Uint8Array | undefined => record(extras, key);
  const rawPath = get("GNU.sparse.name") ?? get("path") ?? extras.longPath ?? joined(header);
  const shown = (): string => `entry ${number} (${quote(nameOf(rawPath))})`;
  const sparse = isSparse(header, extras.local, shown);
  const refused = header.type in KINDS
    ? undefined
    : REFUSED[header.type] ?? `of the unknown type ${quote(header.type)}`;
  if (refused) {
    throw new IntegrityError(
      `Cannot read ${shown()}: it is ${refused}, which is not supported. Extract the archive with tar`,
    );
  }
  const path = name(rawPath, "name", shown, pathBytes);
  if (path === "") throw new IntegrityError(`Cannot read ${shown()}: it has no name`);
  const folder = path.endsWith("/") && KINDS[header.type] === "file";
  const kind = folder ? "directory" : KINDS[header.type]!;
  const linked = kind === "symlink" || kind === "hardlink";
  const rawTarget = get("linkpath") ?? extras.longTarget ?? header.target;
  const bytes = sizeOf(header, extras, shown);
  if (kind !== "file" && bytes !== 0) {
    throw new IntegrityError(
      `Cannot read ${shown()}: it is a ${kind} with a length, which tar programs read in different ways`,
    );
  }
  if (sparse && kind !== "file") {
    throw new IntegrityError(`Cannot read ${shown()}: it is a sparse ${kind}, which is nothing`);
  }
  const mtime = get("mtime");
  const mtimeNs = mtime ? decodeNanos(lossy.decode(mtime)) : 0;
  const target = linked ? name(rawTarget, "link target", shown, pathBytes) : undefined;
  if (target === "") throw new IntegrityError(`Cannot read ${shown()}: it is a ${kind} without a target`);
  return {
    path: trimmed(path),
    kind,
    mode: header.mode & 0o7777,
    mtimeMs: timeOf(mtime, header.mtime, shown),
    uid: idOf("uid", get("uid"), header.uid, shown),
    gid: idOf("gid", get("gid"), header.gid, shown),
    uname: name(get("uname") ?? header.uname, "owner", shown, pathBytes),
    gname: name(get("gname") ?? header.gname, "group", shown, pathBytes),
    bytes,
    ...(target === undefined ? {} : { target: kind === "hardlink" ? trimmed(target) : target }),
    ...(sparse ? { sparse } : {}),
    ...(mtimeNs > 0 ? { mtimeNs } : {}),
    ...attributesOf(extras.local),
  };
}

/** The record that applies; an empty one takes the header's value back. */
function record(extras: Extras, key: string): Uint8Array | undefined {
  const value = extras.local?.get(key) ?? extras.global.get(key);
  return value?.length === 0 ? undefined : value;
}

function joined({ prefix, name }: RawHeader): Uint8Array {
  if (prefix.length === 0) return name;
  const all = new Uint8Array(prefix.length + 1 + name.length);
  all.set(prefix);
  all.set(slash, prefix.length);
  all.set(name, prefix.length + 1);
  return all;
}

function name(raw: Uint8Array, what: string, shown: () => string, most: number): string {
  if (raw.length > most) {
    throw new IntegrityError(
      `Cannot read ${shown()}: its ${what} has ${raw.length} bytes, the limit is ${most}. Raise --limit-path-bytes if you trust it`,
    );
  }
  const text = nameOf(raw);
  if (text.includes("\0")) {
    throw new IntegrityError(
      `Cannot read ${shown()}: its ${what} holds a NUL. The archive is damaged or hostile; take another copy`,
    );
  }
  return text;
}

/** `tar c .` names things "./a", and folders "a/". */
function trimmed(path: string): string {
  let from = 0;
  while (path.startsWith("./", from)) from += 2;
  let to = path.length;
  while (to > from && path.charCodeAt(to - 1) === 0x2f) to--;
  // What is nothing but slashes stays, so that it is refused where it would be written.
  if (to === from) return from > 0 ? "." : path;
  return from === 0 && to === path.length ? path : path.slice(from, to);
}

function sizeOf(header: RawHeader, extras: Extras, shown: () => string): number {
  const raw = record(extras, "size");
  if (header.size < 0) throw new IntegrityError(`Cannot read ${shown()}: its length is negative`);
  if (!raw) return header.size;
  const size = decodeNumber(lossy.decode(raw));
  if (size === undefined) throw new IntegrityError(`Cannot read ${shown()}: its PAX size is not a number`);
  // Two lengths let two programs see two different archives.
  if (size !== header.size && size <= MAX_LONG) {
    throw new IntegrityError(
      `Cannot read ${shown()}: its header says ${header.size} bytes and its PAX header ${size}. The archive is damaged or made to deceive`,
    );
  }
  return size;
}

function timeOf(raw: Uint8Array | undefined, seconds: number, shown: () => string): number {
  const ms = raw ? decodeTime(lossy.decode(raw)) : seconds * 1000;
  if (ms === undefined || !Number.isSafeInteger(ms)) {
    throw new IntegrityError(`Cannot read ${shown()}: its time is not a number`);
  }
  return ms;
}

function idOf(key: string, raw: Uint8Array | undefined, fallback: number, shown: () => string): number {
  const id = raw ? decodeNumber(lossy.decode(raw)) : fallback;
  if (id === undefined || id < 0) {
    throw new IntegrityError(`Cannot read ${shown()}: its ${key} is not a whole number`);
  }
  return id;
}
