/**
 * What an entry must be to be written, and its line in the index.
 *
 * @module
 */
import type { Entry, IndexEntry } from "../stage.ts";
import { pathFault, quote } from "./path.ts";

/** The keys of an index entry stand in the order of RFC 8785, so that `JSON.stringify` gives canonical JSON. */
export function indexEntry(entry: Entry, offset: number, digest: string | undefined): IndexEntry {
  return {
    bytes: entry.bytes,
    gid: entry.gid,
    gname: entry.gname,
    kind: entry.kind,
    mode: entry.mode,
    mtimeMs: entry.mtimeMs,
    offset,
    path: entry.path,
    ...(digest === undefined ? {} : { sha256: digest }),
    ...(entry.target === undefined ? {} : { target: entry.target }),
    uid: entry.uid,
    uname: entry.uname,
  };
}

/** Throws TypeError unless the entry keeps the contract of {@linkcode Entry}. */
export function checkEntry(entry: Entry): void {
  const { path, kind, target } = entry;
  const fail = (why: string): never => {
    throw new TypeError(`Cannot archive ${quote(path)}: ${why}`);
  };
  const fault = pathFault(path);
  if (fault) fail(`${fault}. Collectors give relative paths without "." and ".." parts`);
  if (!Number.isInteger(entry.mode) || entry.mode < 0 || entry.mode > 0o7777) {
    fail(`mode ${entry.mode} is not 0 to 0o7777`);
  }
  if (!Number.isSafeInteger(entry.mtimeMs)) fail(`mtimeMs ${entry.mtimeMs} is not whole milliseconds`);
  for (const key of ["uid", "gid", "bytes"] as const) {
    if (!Number.isSafeInteger(entry[key]) || entry[key] < 0) {
      fail(`${key} ${entry[key]} is not a whole number`);
    }
  }
  if (!nameable(entry.uname) || !nameable(entry.gname)) fail("its owner's name is not valid Unicode");
  if (kind === "file") {
    if (target !== undefined) fail("a file has no target");
    return;
  }
  if (entry.bytes !== 0 || entry.body !== undefined) fail(`a ${kind} has no content`);
  if (kind === "directory") {
    if (target !== undefined) fail("a directory has no target");
    return;
  }
  if (kind !== "symlink" && kind !== "hardlink") fail(`its kind "${kind}" is not known`);
  if (target === undefined || target === "" || !nameable(target)) fail(`a ${kind} needs a target`);
  const wrong = kind === "hardlink" ? pathFault(target!) : undefined;
  if (wrong) fail(`its target ${quote(target!)} is no path of this archive: ${wrong}`);
}

function nameable(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0");
}
