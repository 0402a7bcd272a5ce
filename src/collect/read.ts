/**
 * Reads one file so that nothing short or torn passes unseen: length and time are looked at before and after.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { Fill } from "../blocks.ts";
import { toBytes } from "../bytes.ts";
import type { Reading } from "../libc/read.ts";
import type { Bytes, U8 } from "../stage.ts";
import { type Io, NODE } from "./io.ts";
import { readQuickly, type Stat } from "./quick.ts";

/** Files up to this size (1 MiB) are read whole, larger ones as a stream of chunks of this size. */
export const SMALL_BYTES: number = 1024 * 1024;

/** Why a file, or a part of it, is not what it was; "cut": it ended early, and the rest is zeros. */
export type Problem = "vanished" | "changed" | "cut" | "unreadable";

/** A file that was opened. `whole` is its content when it is small; else `read` it, once. `close` may be called twice. */
export interface OpenFile {
  /** Metadata of what was opened; with `whole`, `size` is the length of it. */
  readonly stat: Stat;
  /** Device and inode, when the file has more than one name. */
  readonly link: string | undefined;
  /** Small files. */
  readonly whole: U8 | undefined;
  /** Whether a small file changed while it was read, twice. */
  readonly changed: boolean;
  /**
   * Large files: exactly `stat.size` bytes. `problem` is told once if they are not what lay there. `seen` is told about each chunk
   * before it is given, and may throw.
   */
  readonly read: (seen: (bytes: number) => void) => Bytes;
  /** The same, into the caller's buffers. */
  readonly fill: (seen: (bytes: number) => void) => Fill;
  /** Of a large file with holes what is none: offset and length of each extent in turn; outside of them it reads as zeros. */
  readonly extents?: readonly number[] | undefined;
  /** Closes the file. */
  readonly close: () => void;
}

/** Tells where the data of a large file lies: undefined where it has no holes, or that is not known. */
export type Holes = (path: string, stat: Stat) => readonly number[] | undefined;

/** What happened, from what node:fs threw. ELOOP: a symbolic link took the file's place. */
export function problemOf(error: unknown): Exclude<Problem, "cut"> {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "ENOENT" || code === "ENOTDIR") return "vanished";
  return code === "ELOOP" ? "changed" : "unreadable";
}

/** Reads a small file that has one name and stays as it is meanwhile; undefined: open it carefully. */
export function openSmall(path: string, libc?: Reading): OpenFile | undefined {
  const small = readQuickly(path, SMALL_BYTES, libc);
  return small && opened(small.stat, undefined, small.bytes, false);
}

/**
 * Opens a regular file, and reads it when it is small; by its descriptor alone. Undefined: something else stands there now. Throws what
 * `io` throws. A name with a further link that `known` has is not read: `whole` is empty.
 */
export function openCarefully(
  path: string,
  known: (link: string) => boolean,
  problem: (kind: Problem, error?: unknown) => void,
  io: Io,
  holes?: Holes,
): OpenFile | undefined {
  const fd = io.open(path);
  let keep = false;
  try {
    const stat = io.stat(fd);
    if (!stat.isFile) return undefined;
    const link = stat.nlink > 1 ? io.link(fd) : undefined;
    if (link !== undefined && known(link)) return opened(stat, link, EMPTY, false);
    const small = stat.size <= SMALL_BYTES ? readSmall(io, fd, stat) : undefined;
    if (small) return opened(small.stat, link, small.bytes, small.changed);
    keep = true;
    const now = io.stat(fd);
    return openLarge(io, fd, now, link, problem, holes?.(path, now));
  } finally {
    if (!keep) io.close(fd);
  }
}

const EMPTY: U8 = new Uint8Array(0);

function opened(stat: Stat, link: string | undefined, whole: U8, changed: boolean): OpenFile {
  const read = (): Bytes => toBytes(async function* (): AsyncGenerator<U8, void, undefined> {});
  const fill = (): Fill => () => Promise.resolve(0);
  return { stat, link, whole, changed, read, fill, close: () => {} };
}

/** Reads whole, a second time when it changed in between. Undefined: it has grown large. */
function readSmall(
  io: Io,
  fd: number,
  first: Stat,
): { stat: Stat; bytes: U8; changed: boolean } | undefined {
  let before = first;
  for (let attempt = 1;; attempt++) {
    const bytes = new Uint8Array(before.size + 1);
    const length = fill(io, fd, bytes);
    const after = io.stat(fd);
    const changed = length !== before.size || after.size !== before.size || after.mtimeMs !== before.mtimeMs;
    if (!changed) return { stat: before, bytes: bytes.subarray(0, length), changed };
    if (attempt === 2) {
      const kept = bytes.subarray(0, Math.min(length, before.size));
      return { stat: { ...after, size: kept.length }, bytes: kept, changed };
    }
    if (after.size > SMALL_BYTES) return undefined;
    before = after;
  }
}

/** Reads from the start until `into` is full or the file ends; gives the number of bytes. */
function fill(io: Io, fd: number, into: Uint8Array): number {
  let at = 0;
  while (at < into.length) {
    const got = io.read(fd, into.subarray(at), at);
    if (got === 0) break;
    at += got;
    // A read that fell short by the spare byte has met the end: the usual case needs no second call.
    if (at === into.length - 1) break;
  }
  return at;
}

function openLarge(
  io: Io,
  fd: number,
  stat: Stat,
  link: string | undefined,
  problem: (kind: Problem, error?: unknown) => void,
  extents: readonly number[] | undefined,
): OpenFile {
  const readChunk = (chunk: U8, from: number): boolean => fillChunk(io, fd, chunk, from, problem);
  const fillNext = extents ? aroundHoles(extents, readChunk) : readChunk;
  let state: "fresh" | "reading" | "closed" = "fresh";
  let at = 0;
  let sound = true;
  const close = (): void => {
    if (state !== "closed") io.close(fd);
    state = "closed";
  };
  const begin = (): void => {
    if (state !== "fresh") {
      throw new Error("Cannot read a file's body: it was read before, or the walk has gone on");
    }
    state = "reading";
  };
  const next = (chunk: U8, seen: (bytes: number) => void): U8 => {
    if (state !== "reading") throw new Error("Cannot read a file's body: the walk has gone on");
    if (sound) sound = fillNext(chunk, at);
    else chunk.fill(0);
    at += chunk.length;
    seen(chunk.length);
    if (at === stat.size && sound) compare(io, fd, stat, problem);
    return chunk;
  };
  const read = (seen: (bytes: number) => void): Bytes =>
    toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      begin();
      try {
        while (at < stat.size) {
          yield next(new Uint8Array(Math.min(SMALL_BYTES, stat.size - at)), seen);
        }
      } finally {
        close();
      }
    });
  const fill = (seen: (bytes: number) => void): Fill => (target) => {
    if (state === "fresh") begin();
    if (at === stat.size) return Promise.resolve(0);
    return Promise.resolve(next(target.subarray(0, stat.size - at), seen).length);
  };
  return { stat, link, whole: undefined, changed: false, read, fill, extents, close };
}

/** Reads what is no hole; the rest is zeros, whatever has been written there since it was a hole. */
function aroundHoles(
  extents: readonly number[],
  read: (chunk: U8, from: number) => boolean,
): (chunk: U8, from: number) => boolean {
  let next = 0;
  return (chunk, from) => {
    const end = from + chunk.length;
    let at = from;
    for (; next < extents.length && extents[next]! < end; next += 2) {
      const start = Math.max(extents[next]!, from);
      const stop = extents[next]! + extents[next + 1]!;
      chunk.fill(0, at - from, start - from);
      at = Math.min(stop, end);
      const sound = read(chunk.subarray(start - from, at - from), start);
      if (!sound) {
        chunk.fill(0, at - from);
        return false;
      }
      if (stop > end) break;
    }
    chunk.fill(0, at - from);
    return true;
  };
}

/**
 * Fills a chunk. False: the file ends early or cannot be read on, and the rest is zeros, as GNU tar does it: the header with the
 * length has long gone by.
 */
function fillChunk(
  io: Io,
  fd: number,
  chunk: U8,
  from: number,
  problem: (kind: Problem, error?: unknown) => void,
): boolean {
  let got = 0;
  let failure: { readonly error: unknown } | undefined;
  for (let at = 0; at < chunk.length; at += got) {
    try {
      got = io.read(fd, chunk.subarray(at), from + at);
    } catch (error) {
      failure = { error };
    }
    if (failure) problem("unreadable", failure.error);
    else if (got === 0) problem("cut");
    else continue;
    chunk.fill(0, at);
    return false;
  }
  return true;
}

function compare(io: Io, fd: number, before: Stat, problem: (kind: Problem) => void): void {
  const after = io.stat(fd);
  if (after.size !== before.size || after.mtimeMs !== before.mtimeMs) problem("changed");
}

/** The first bytes of an open or small file; for telling what it is. */
export function startsWith(path: string, magic: Uint8Array, io: Io = NODE): boolean {
  const start = new Uint8Array(magic.length);
  const fd = io.open(path);
  try {
    return io.read(fd, start, 0) === magic.length && magic.every((byte, i) => byte === start[i]);
  } finally {
    io.close(fd);
  }
}

/** A small file's text (an ignore file); undefined when it is no regular file or larger than 1 MiB. */
export function readText(path: string, io: Io = NODE): string | undefined {
  const fd = io.open(path);
  try {
    const stat = io.stat(fd);
    if (!stat.isFile || stat.size > SMALL_BYTES) return undefined;
    const text = new Uint8Array(SMALL_BYTES);
    return new TextDecoder().decode(text.subarray(0, fill(io, fd, text)));
  } finally {
    io.close(fd);
  }
}

/** Names of users and groups by number, from /etc/passwd or /etc/group; empty where that may not be read. */
export function ownerNames(file: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  // Asked first, because reading without the permission would stop at a prompt.
  if (Deno.permissions.querySync({ name: "read", path: file }).state !== "granted") return names;
  try {
    for (const line of readFileSync(file, "utf8").split("\n")) {
      const [name, , id] = line.split(":");
      if (name && id && /^\d+$/.test(id) && !names.has(Number(id))) names.set(Number(id), name);
    }
  } catch {
    return names;
  }
  return names;
}
