/**
 * A walk held against what was there before, step by step in path order: what is new or different is stored, what is gone is listed.
 *
 * @module
 */
import { GONE } from "../../layers.ts";
import { comparePaths } from "../../order.ts";
import { bytesOf } from "../../raw_name.ts";
import type { Entry } from "../../stage.ts";
import type { Found, Seen } from "../found.ts";
import type { Stat } from "../quick.ts";
import { digestOf } from "./digest.ts";
import { headOf, kindOf, type Line } from "./line.ts";

/** Times within so many milliseconds of now may come again for another content: clocks of file systems tick slowly. */
const TICK_MS = 3000;

/** A walk being compared. */
export interface Comparison {
  /** Whether a file is as it was. Yields while a long one is read. */
  readonly known: (seen: Seen) => Generator<undefined, boolean, undefined>;
  /** What is to be stored once this has been found: folders above it that waited, itself, or nothing. */
  readonly take: (found: Found) => Generator<Found, void, undefined>;
  /** Told about a file or hard link that was stored. */
  readonly stored: (found: Found, sha256: string) => void;
  /** What is being stored has turned out to be not quite what was there. */
  readonly doubt: (path: string) => void;
  /** The end of the walk: folders that have lost something. */
  readonly end: () => Generator<Found, void, undefined>;
}

/** What a comparison works with. */
export interface ComparisonOptions {
  /** What was there, in path order. */
  readonly before: Generator<Line, void, undefined>;
  /** Whether contents are read though all else is as it was. */
  readonly rehash: boolean;
  /** Takes what is there now, in path order, with the length of its content. */
  readonly now: (line: Line, bytes: number) => void;
  /** Takes the paths that are gone, as the bytes of their names, each ended by a NUL. */
  readonly gone: (bytes: Uint8Array) => void;
}

interface Folder {
  readonly found: Found;
  waiting: boolean;
}

/** Begins a comparison. */
export function compare({ before, rehash, now, gone }: ComparisonOptions): Comparison {
  let next = before.next();
  let lastGone: string | undefined;
  const stack: Folder[] = [];
  let queue: Found[] = [];
  let asked: { readonly path: string; readonly line: Line | undefined; readonly seenAt: number } | undefined;
  let doubted: string | undefined;

  /** The folders above a path are stored with whatever is stored or gone in them: their times have changed, or will when it is put back. */
  function release(path: string): void {
    for (const folder of stack) {
      if (!folder.waiting || !isBelow(path, folder.found.entry.path)) continue;
      folder.waiting = false;
      queue.push(folder.found);
    }
  }

  function lost(path: string): void {
    release(path);
    if (lastGone !== undefined && isBelow(path, lastGone)) return;
    lastGone = path;
    gone(bytesOf(path + "\0"));
  }

  /** A file that was looked at and could not be stored then is not there. */
  function settle(path?: string): void {
    if (asked?.line && asked.path !== path) lost(asked.path);
    if (asked?.path !== path) asked = undefined;
  }

  /** What was at a path; all before it that did not come up is gone. */
  function advance(path: string): Line | undefined {
    for (; !next.done; next = before.next()) {
      const order = comparePaths(next.value.path, path);
      if (order > 0) return undefined;
      if (order === 0) {
        const line = next.value;
        next = before.next();
        return line;
      }
      lost(next.value.path);
    }
    return undefined;
  }

  function* flush(): Generator<Found, void, undefined> {
    const ready = queue;
    queue = [];
    yield* ready;
  }

  function* known({ source, entry, stat, renewed }: Seen): Generator<undefined, boolean, undefined> {
    const seenAt = Date.now();
    settle();
    const line = advance(entry.path);
    const head = headOf(entry, stat.ino);
    if (line?.head === head && !renewed) {
      const changed = secondsOf(stat);
      const link = entry.kind === "hardlink";
      const sure = !rehash && !line.doubtful && line.changed === changed;
      if (link || sure || (line.sha256 !== "" && (yield* digestOf(source, stat)) === line.sha256)) {
        now({ ...line, changed, doubtful: !link && isFresh(stat, seenAt) }, entry.bytes);
        return true;
      }
    }
    asked = { path: entry.path, line, seenAt };
    return false;
  }

  function* take(found: Found): Generator<Found, void, undefined> {
    const { entry } = found;
    settle(entry.path);
    const line = asked ? asked.line : advance(entry.path);
    while (stack.length > 0 && !isBelow(entry.path, stack.at(-1)!.found.entry.path)) stack.pop();
    const head = headOf(entry, found.file?.stat.ino ?? 0);
    if (line && kindOf(line.head) !== entry.kind) lost(entry.path);
    const folder = entry.kind === "directory";
    const same = (folder || entry.kind === "symlink") && line?.head === head;
    if (folder || entry.kind === "symlink") {
      now({ path: entry.path, head, changed: 0, doubtful: false, sha256: "" }, 0);
    }
    if (!same) release(entry.path);
    yield* flush();
    if (!same) yield found;
    if (folder) stack.push({ found, waiting: same });
  }

  function stored({ entry, file }: Found, sha256: string): void {
    const { path } = entry;
    const stat = file?.stat;
    const fresh = stat !== undefined && isFresh(stat, asked?.seenAt ?? 0);
    const doubtful = entry.kind === "file" && (fresh || doubted === path || sha256 === "");
    const head = headOf(entry, stat?.ino ?? 0);
    now({ path, head, changed: stat ? secondsOf(stat) : 0, doubtful, sha256 }, entry.bytes);
    asked = undefined;
  }

  function* end(): Generator<Found, void, undefined> {
    settle();
    for (; !next.done; next = before.next()) lost(next.value.path);
    yield* flush();
  }

  return { known, take, stored, doubt: (path) => void (doubted = path), end };
}

function isBelow(path: string, folder: string): boolean {
  return path.length > folder.length && path.charCodeAt(folder.length) === 0x2f && path.startsWith(folder);
}

function secondsOf({ ctimeMs }: Stat): number {
  return Math.floor(ctimeMs / 1000);
}

/** Whether a later change could leave the times as they are: they are of just now, or of a clock that is ahead. */
function isFresh({ ctimeMs, mtimeMs }: Stat, at: number): boolean {
  return ctimeMs > at - TICK_MS || Math.abs(mtimeMs - at) < TICK_MS;
}

/** The entry that carries the list of what is gone. */
export function goneEntry(bytes: number, at: Date, body: Entry["body"]): Entry {
  const owner = { uid: 0, gid: 0, uname: "", gname: "" };
  return { path: GONE, kind: "file", mode: 0o600, mtimeMs: at.getTime(), ...owner, bytes, body };
}
