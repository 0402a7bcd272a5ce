/**
 * Makes entries of what a walk finds.
 *
 * @module
 */
import { lstatSync, readlinkSync } from "node:fs";
import { utf8 } from "../bytes.ts";
import { messageOf } from "../errors.ts";
import type { Reading } from "../libc/read.ts";
import { isRaw } from "../raw_name.ts";
import type { Entry, EntryKind } from "../stage.ts";
import { detailed, holesBy } from "./details.ts";
import { type Io, libcIo, NODE } from "./io.ts";
import { type Stat, statAt } from "./quick.ts";
import { openCarefully, type OpenFile, openSmall, type Problem, problemOf, startsWith } from "./read.ts";

/** Why something is missing from the backup, or odd in it. */
export type WarningKind =
  | "vanished"
  | "changed"
  | "unreadable"
  | "special"
  | "name"
  | "sqlite"
  | "attributes";

/** One thing found. */
export interface Found {
  /** Everything but the content. */
  readonly entry: Entry;
  /** A file's content; closed when the walk goes on. */
  readonly file?: OpenFile | undefined;
}

/** What is known while things are found. */
export interface Finding {
  /** Told about each thing that is missing or odd, by its stored path. Must not throw. */
  readonly warn: (kind: WarningKind, path: string, reason: string) => void;
  /** Names of users. */
  readonly users: ReadonlyMap<number, string>;
  /** Names of groups. */
  readonly groups: ReadonlyMap<number, string>;
  /** The C library, where it may be used. */
  readonly libc?: Reading | undefined;
  /** First stored path of each file with several names, and how many of its names are still to come. */
  readonly links: Map<string, Name>;
}

/** The first name of a file that has several. */
export interface Name {
  /** Its stored path. */
  readonly path: string;
  /** How many names are still to come. */
  left: number;
  /** It is not stored, being as it was. */
  readonly kept?: boolean | undefined;
}

/** A regular file, looked at and not yet opened. */
export interface Seen {
  /** Where it is. */
  readonly source: string;
  /** Its entry, were it stored; of a further name of a stored file, a hard link. */
  readonly entry: Entry;
  /** What the system says. */
  readonly stat: Stat;
  /** Device and inode, when the file has more than one name. */
  readonly link: string | undefined;
  /** Whether the file that this is a further name of is stored anew: then so is the name. */
  readonly renewed: boolean;
}

/** Why a thing is left out that is no longer what the listing said. */
export const REPLACED = "it was replaced during the backup";

/** A symbolic link as an entry; undefined, with a warning, when it cannot be stored. */
export function symlink(state: Finding, source: string, stored: string): Found | undefined {
  const stat = statAt(source, state.libc);
  if (!stat.isSymlink) return void state.warn("changed", stored, REPLACED);
  try {
    const target = linkText(source, state.libc);
    return { entry: detailed(state, source, { ...entryOf(state, stored, "symlink", stat), target }, stat) };
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
    return void state.warn("name", stored, "the link's text is not UTF-8. Make it anew");
  }
}

/** The text of a symbolic link. Throws InvalidData where it is not UTF-8 and its bytes cannot be had. */
function linkText(source: string, libc: Reading | undefined): string {
  if (libc && isRaw(source)) return libc.link(source);
  try {
    const target = readlinkSync(source);
    if (!isRaw(target)) return target;
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
  }
  if (!libc) throw new Deno.errors.InvalidData("the link's text is not UTF-8");
  return libc.link(source);
}

/** Looks at a regular file; undefined when something else stands there. Throws what the system throws. */
export function look(state: Finding, source: string, stored: string): Seen | undefined {
  const stat = statAt(source, state.libc);
  if (!stat.isFile) return undefined;
  const plain = { ...entryOf(state, stored, "file", stat), bytes: stat.size };
  const entry = detailed(state, source, plain, stat);
  if (stat.nlink === 1) return { source, entry, stat, link: undefined, renewed: false };
  const link = linkOf(source, state.libc);
  const first = state.links.get(link);
  if (!first) return { source, entry, stat, link, renewed: false };
  const name: Entry = { ...plain, kind: "hardlink", bytes: 0, target: first.path };
  return { source, entry: name, stat, link, renewed: first.kept !== true };
}

/** Device and inode in full: an inode number may be larger than a double holds. */
function linkOf(source: string, libc: Reading | undefined): string {
  if (libc && isRaw(source)) return libc.stat(source).id;
  const { dev, ino } = lstatSync(source, { bigint: true });
  return `${dev}:${ino}`;
}

/** Notes a name of a file that is not stored, being as it was. */
export function keepName(state: Finding, { link, stat, entry }: Seen): void {
  if (link === undefined) return;
  const first = state.links.get(link);
  if (!first) state.links.set(link, { path: entry.path, left: stat.nlink - 1, kept: true });
  else if (--first.left === 0) state.links.delete(link);
}

const SQLITE = utf8("SQLite format 3\0");

/** A file, opened, as an entry; undefined when something else stands there. Throws what node:fs throws. */
export function file(
  state: Finding,
  source: string,
  stored: string,
  hasLog: (path: string) => boolean,
): Found | undefined {
  const { libc } = state;
  const raw = libc && isRaw(source) ? libcIo(libc) : undefined;
  const opened = (raw ? undefined : openSmall(source, libc)) ?? openRest(state, source, stored, raw);
  if (!opened) return undefined;
  const { link, stat, changed } = opened;
  const first = link === undefined ? undefined : state.links.get(link);
  if (link !== undefined && first) {
    if (--first.left === 0) state.links.delete(link);
    return { entry: { ...entryOf(state, stored, "hardlink", stat), target: first.path } };
  }
  if (link !== undefined) state.links.set(link, { path: stored, left: stat.nlink - 1 });
  if (changed) state.warn("changed", stored, CHANGED);
  if (hasLog(`${source}-wal`) && startsWith(source, SQLITE, raw)) {
    state.warn(
      "sqlite",
      stored,
      "a SQLite database in use is stored file by file. Use collect.sqlite for it",
    );
  }
  const entry = detailed(state, source, { ...entryOf(state, stored, "file", stat), bytes: stat.size }, stat);
  return { entry: opened.extents ? { ...entry, extents: opened.extents } : entry, file: opened };
}

function openRest(state: Finding, source: string, stored: string, raw: Io | undefined): OpenFile | undefined {
  const known = (link: string): boolean => state.links.has(link);
  const problem = (kind: Problem, error?: unknown): void => {
    if (kind === "changed") state.warn(kind, stored, CHANGED);
    else if (kind === "cut") state.warn("changed", stored, `${CHANGED}; ${PADDED}`);
    else state.warn(kind, stored, `${reasonOf(error)}; ${PADDED}`);
  };
  return openCarefully(source, known, problem, raw ?? NODE, state.libc && holesBy(state.libc));
}

const CHANGED = "it changed while it was read";
const PADDED = "what was missing is stored as zeros";

/** An entry from what the system says. */
export function entryOf(state: Finding, path: string, kind: EntryKind, stat: Stat): Entry {
  return {
    path,
    kind,
    mode: stat.mode & 0o7777,
    mtimeMs: Math.floor(stat.mtimeMs),
    uid: stat.uid,
    gid: stat.gid,
    uname: state.users.get(stat.uid) ?? "",
    gname: state.groups.get(stat.gid) ?? "",
    bytes: 0,
  };
}

/** Warns about what node:fs threw. */
export function report(state: Finding, stored: string, error: unknown): void {
  const kind = problemOf(error);
  state.warn(kind, stored, kind === "vanished" ? "it vanished during the backup" : reasonOf(error));
}

function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? `it cannot be read (${code})` : `it cannot be read: ${messageOf(error)}`;
}
