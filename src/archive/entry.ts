/**
 * What an entry must be to be written, and its line in the index.
 *
 * @module
 */
import type { Entry, IndexEntry } from "../stage.ts";
import { attributesDigest } from "./attributes.ts";
import { areExtents } from "./extents.ts";
import { pathFault, quote } from "./path.ts";

const NONE = {};

/** Where an entry with attributes or holes lies: it is read with its headers. */
export type Place = Pick<IndexEntry, "head" | "stored">;

/**
 * The keys of an index entry stand in the order of RFC 8785, so that `JSON.stringify` gives canonical JSON.
 */
export function indexEntry(
  entry: Entry,
  offset: number,
  digest: string | undefined,
  place?: Place,
): IndexEntry {
  const { mtimeNs, target } = entry;
  const attributes = attributesDigest(entry);
  return {
    ...(attributes === undefined ? NONE : { attributes }),
    bytes: entry.bytes,
    gid: entry.gid,
    gname: entry.gname,
    ...(place?.head === undefined ? NONE : { head: place.head }),
    kind: entry.kind,
    mode: entry.mode,
    mtimeMs: entry.mtimeMs,
    ...(mtimeNs === undefined || mtimeNs === 0 ? NONE : { mtimeNs }),
    offset,
    path: entry.path,
    ...(digest === undefined ? NONE : { sha256: digest }),
    ...(place?.stored === undefined ? NONE : { stored: place.stored }),
    ...(target === undefined ? NONE : { target }),
    uid: entry.uid,
    uname: entry.uname,
  };
}

/** Throws TypeError unless the entry keeps the contract of {@linkcode Entry}. */
export function checkEntry(entry: Entry): void {
  const fault = entryFault(entry);
  if (fault !== undefined) throw new TypeError(`Cannot archive ${quote(entry.path)}: ${fault}`);
}

function entryFault(entry: Entry): string | undefined {
  const fault = pathFault(entry.path);
  if (fault) return `${fault}. Collectors give relative paths without "." and ".." parts`;
  if (!Number.isInteger(entry.mode) || entry.mode < 0 || entry.mode > 0o7777) {
    return `mode ${entry.mode} is not 0 to 0o7777`;
  }
  if (!Number.isSafeInteger(entry.mtimeMs)) return `mtimeMs ${entry.mtimeMs} is not whole milliseconds`;
  if (entry.mtimeNs !== undefined && !(entry.mtimeNs >= 0 && entry.mtimeNs < 1e6)) {
    return `mtimeNs ${entry.mtimeNs} is not 0 to 999,999`;
  }
  if (!isCount(entry.uid)) return `uid ${entry.uid} is not a whole number`;
  if (!isCount(entry.gid)) return `gid ${entry.gid} is not a whole number`;
  if (!isCount(entry.bytes)) return `bytes ${entry.bytes} is not a whole number`;
  if (!nameable(entry.uname) || !nameable(entry.gname)) return "its owner's name is not valid Unicode";
  if (entry.extents && !areExtents(entry.extents, entry.bytes)) return "its extents are not in order";
  return kindFault(entry);
}

function kindFault({ kind, target, bytes, body }: Entry): string | undefined {
  if (kind === "file") return target === undefined ? undefined : "a file has no target";
  if (bytes !== 0 || body !== undefined) return `a ${kind} has no content`;
  if (kind === "directory") return target === undefined ? undefined : "a directory has no target";
  if (kind !== "symlink" && kind !== "hardlink") return `its kind "${kind}" is not known`;
  if (target === undefined || target === "" || !nameable(target)) return `a ${kind} needs a target`;
  const wrong = kind === "hardlink" ? pathFault(target) : undefined;
  return wrong && `its target ${quote(target)} is no path of this archive: ${wrong}`;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function nameable(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0");
}
