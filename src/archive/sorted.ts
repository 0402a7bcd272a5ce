/**
 * Entries made equal for equal input: path order, one time, no owner.
 *
 * @module
 */
import { formatBytes } from "../bytes.ts";
import { ConfigError } from "../errors.ts";
import { GONE } from "../layers.ts";
import type { Entry, Files } from "../stage.ts";
import { comparePaths, quote } from "./path.ts";

/** Most content that is held in memory while entries are sorted: 256 MiB. */
const HELD = 256 * 1024 * 1024;

/**
 * The entries in path order with a fixed time, no owner, no attributes and ACLs, holes filled, and modes as they are. Files that say they are `ordered` pass one by one,
 * and those that are `steady` in their own order; of others the whole entry list is held, with the content of small files, up to 256 MiB.
 */
export async function* normalised(files: Files, mtimeMs: number): AsyncGenerator<Entry, void, undefined> {
  const entries = files.ordered ? inOrder(files) : files.steady ? files.entries() : sorted(files);
  for await (const { mtimeNs: _, xattrs: __, acl: ___, extents: ____, ...entry } of entries) {
    yield { ...entry, mtimeMs, uid: 0, gid: 0, uname: "", gname: "" };
  }
}

async function* inOrder(files: Files): AsyncGenerator<Entry, void, undefined> {
  let last: string | undefined;
  for await (const entry of files.entries()) {
    // The list of what is gone comes last, whatever the roots are called.
    if (last !== undefined && entry.path !== GONE && comparePaths(last, entry.path) > 0) {
      throw new Error(
        `Cannot archive ${quote(entry.path)} after ${quote(last)}: the collector promised path order`,
      );
    }
    last = entry.path;
    yield entry;
  }
}

async function* sorted(files: Files): AsyncGenerator<Entry, void, undefined> {
  const held: Entry[] = [];
  let bytes = 0;
  for await (const entry of files.entries()) {
    if (typeof entry.body === "object") bytes += entry.body.length;
    if (bytes > HELD) {
      throw new ConfigError(
        `Cannot sort the entries: the small files alone take more than ${formatBytes(HELD)} of memory. ` +
          "Leave out the option deterministic, or use a collector that gives entries in path order",
      );
    }
    held.push(entry);
  }
  held.sort((a, b) => comparePaths(a.path, b.path));
  yield* relinked(held);
}

/** A hard link must follow its file, so the first name in path order becomes the file and the others links to it. */
function relinked(entries: readonly Entry[]): Entry[] {
  const files = new Map<string, Entry>();
  for (const entry of entries) if (entry.kind === "file") files.set(entry.path, entry);
  const first = new Map<string, string>();
  const claim = (file: string, path: string): void => {
    if (!first.has(file)) first.set(file, path);
  };
  for (const entry of entries) {
    if (entry.kind === "file") claim(entry.path, entry.path);
    if (entry.kind !== "hardlink") continue;
    if (!files.has(entry.target!)) {
      throw new Error(
        `Cannot archive ${quote(entry.path)}: it is a hard link to ${
          quote(entry.target!)
        }, which is no file of this backup`,
      );
    }
    claim(entry.target!, entry.path);
  }
  return entries.map((entry) => {
    const file = entry.kind === "file" ? entry.path : entry.kind === "hardlink" ? entry.target! : undefined;
    if (file === undefined) return entry;
    const leader = first.get(file)!;
    if (entry.path === leader) return { ...files.get(file)!, path: leader };
    const { body: _, sha256: __, ...rest } = entry;
    return { ...rest, kind: "hardlink", bytes: 0, target: leader };
  });
}
