/**
 * A folder as a store: one file per object, plain enough for any tool.
 *
 * @module
 */
import { statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { NotFoundError } from "../errors.ts";
import type { ByteRange, Bytes, Store, StoreItem } from "../stage.ts";
import { checkFolder, explain, isAbsent, type Root, syncFolder, tidyFolders } from "./folder.ts";
import { lockFile } from "./flock.ts";
import { checkKey, checkRange, compareKeys, isLease, LEASE_SUFFIX, resolveRange } from "./key.ts";
import { streamFile } from "./read.ts";
import { sweep, write } from "./write.ts";

/** How many files are looked at together while listing. */
const BATCH = 64;

/** ext4 keeps one at the top of each file system, and only root can read it: it is never part of a store. */
const SYSTEM_FOLDER = "lost+found";

/** Options of {@linkcode directory}. */
export interface DirectoryOptions {
  /**
   * Whether a write makes the folder (mode 0700) when it is missing and the folder above it is there. Default: true. Say
   * false for a disk that may not be mounted.
   */
  readonly create?: boolean | undefined;
}

/**
 * Keeps objects as files (mode 0600) of the folder `path`; a relative path starts from the working folder at the time of this
 * call.
 *
 * An object appears under its name only when it is whole and on the disk: temporary file in the same folder, fsync, link(2)
 * for a conditional write or rename(2) for a replacing one, fsync of the folder. Where there are no hard links (FAT, some
 * network file systems) a conditional write takes flock(2) on a guard file, looks, and renames. What is not a regular file
 * is never listed, read or followed; nor are leases listed. Temporary files of dead runs go with the first write a day later.
 *
 * Free space is told only with Deno's permission `--allow-sys=statfs`. Throws TypeError for an empty path.
 */
export function directory(path: string, options: DirectoryOptions = {}): Store {
  if (path === "" || path.includes("\0")) {
    throw new TypeError(`Cannot use ${JSON.stringify(path)} as a store folder: give a path`);
  }
  const root: Root = { path: resolve(path), create: options.create ?? true, seen: false };
  const swept = new Set<string>();
  return {
    url: root.path,
    folder: root.path,
    put: async (key, body, putOptions = {}) => {
      const target = { root, key, path: pathOf(root, key) };
      const folder = dirname(target.path);
      if (!swept.has(folder)) await sweep(folder);
      swept.add(folder);
      await write(target, body, putOptions);
    },
    get: (key, range) => get(root, key, range),
    head: (key) => head(root, key, `Cannot look up "${key}"`),
    list: (prefix = "") => walk(root, "", prefix),
    delete: (key) => remove(root, key),
    space: () => space(root),
    lock: async (key, text) => await lockFile(root, pathOf(root, checkLease(key)), text),
  };
}

function pathOf(root: Root, key: string): string {
  checkKey(key);
  if (key === SYSTEM_FOLDER || key.startsWith(`${SYSTEM_FOLDER}/`)) {
    throw new TypeError(`Cannot use "${key}" as a key: "${SYSTEM_FOLDER}" belongs to the file system`);
  }
  return join(root.path, ...key.split("/"));
}

function checkLease(key: string): string {
  if (isLease(key)) return key;
  throw new TypeError(`Cannot lock "${key}": the name of a lock ends in "${LEASE_SUFFIX}"`);
}

async function head(root: Root, key: string, action: string): Promise<StoreItem | undefined> {
  const item = await look(root, key, pathOf(root, key), action);
  // Absence is proven only by a folder that is there: an unmounted disk proves nothing.
  if (!item) await checkFolder(root, action);
  return item;
}

async function look(root: Root, key: string, path: string, action: string): Promise<StoreItem | undefined> {
  try {
    const info = await Deno.lstat(path);
    if (!info.isFile) return undefined;
    return { key, bytes: info.size, modified: info.mtime ?? new Date(0) };
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw await explain(error, action, root);
  }
}

async function get(root: Root, key: string, range?: ByteRange): Promise<Bytes> {
  const action = `Cannot read "${key}"`;
  const path = pathOf(root, key);
  if (range) checkRange(range);
  const absent = (): NotFoundError => new NotFoundError(`${action}: it is not in "${root.path}"`);
  // Before open: a pipe or a device in the folder would block or worse.
  if (!await head(root, key, action)) throw absent();
  let file: Deno.FsFile | undefined;
  try {
    file = await Deno.open(path);
    const part = resolveRange(key, (await file.stat()).size, range);
    if (part.start > 0) await file.seek(part.start, Deno.SeekMode.Start);
    return streamFile(file, part, (error) => explain(error, action, root));
  } catch (error) {
    file?.close();
    if (error instanceof RangeError) throw error;
    if (isAbsent(error)) {
      await head(root, key, action); // the folder may have gone instead, and this says so
      throw absent(); // even if another run has put it again since: when it was opened, it was not there
    }
    throw await explain(error, action, root);
  }
}

/** The objects below one folder, in the order of their whole keys: a folder sorts as its name with a "/". */
async function* walk(
  root: Root,
  base: string,
  prefix: string,
): AsyncGenerator<StoreItem, void, undefined> {
  const action = "Cannot list";
  const keys = await keysOf(root, base, prefix, action);
  for (let at = 0; at < keys.length; at += BATCH) {
    const batch = keys.slice(at, at + BATCH);
    const items = await Promise.all(
      batch.map((key) => key.endsWith("/") ? undefined : look(root, key, join(root.path, key), action)),
    );
    for (const [i, key] of batch.entries()) {
      const item = items[i];
      if (key.endsWith("/")) yield* walk(root, key, prefix);
      else if (item) yield item; // else: deleted since the folder was read
    }
  }
}

async function keysOf(root: Root, base: string, prefix: string, action: string): Promise<string[]> {
  const keys: string[] = [];
  try {
    for await (const entry of Deno.readDir(join(root.path, base))) {
      const key = base + entry.name + (entry.isDirectory ? "/" : "");
      if (entry.isDirectory) {
        if (key === `${SYSTEM_FOLDER}/`) continue;
        if (key.startsWith(prefix) || prefix.startsWith(key)) keys.push(key);
      } else if (entry.isFile && key.startsWith(prefix) && isObject(key)) keys.push(key);
    }
  } catch (error) {
    if (isAbsent(error) && base !== "") { // tidied away since its parent was read
      await checkFolder(root, action);
      return [];
    }
    throw await explain(error, action, root);
  }
  return keys.sort(compareKeys);
}

/** Whether a file is an object that is listed. A temporary file has no valid key, nor has what no put can have made. */
function isObject(key: string): boolean {
  if (isLease(key)) return false;
  try {
    return checkKey(key) === key;
  } catch {
    return false;
  }
}

async function remove(root: Root, key: string): Promise<void> {
  const action = `Cannot delete "${key}"`;
  const path = pathOf(root, key);
  if (!await head(root, key, action)) return;
  try {
    await Deno.remove(path);
    await syncFolder(dirname(path)); // deletions survive a power cut in the order they were made
    await tidyFolders(root, dirname(path));
  } catch (error) {
    if (!isAbsent(error)) throw await explain(error, action, root);
    await checkFolder(root, action);
  }
}

async function space(root: Root): Promise<number | undefined> {
  for (const path of [root.path, dirname(root.path)]) {
    try {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    } catch (error) {
      if (!isAbsent(error)) return undefined; // not permitted, or not known here
    }
  }
  return undefined;
}
