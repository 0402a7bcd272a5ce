/**
 * Folders on the server: the store's own, and those of keys.
 *
 * @module
 */
import { posix } from "node:path";
import { StoreError } from "../../errors.ts";
import type { StoreItem } from "../../stage.ts";
import { checkKey } from "../key.ts";
import { type Action, explain, STATUS, statusOf } from "./explain.ts";
import type { Attributes } from "./library.ts";
import type { Link } from "./link.ts";
import type { Wire } from "./wire.ts";

const TYPE = 0o170000;
const FILE = 0o100000;
const FOLDER = 0o040000;

/** The store's folder on a link. */
export interface Root {
  /** The server. */
  readonly link: Link;
  /** Whether the folder has been there: what was there and is gone is not made anew, since the backups went with it. */
  seen: boolean;
}

/** The path of a key. Throws TypeError for one that is not safe. */
export function pathOf(root: Root, key: string): string {
  return posix.join(root.link.settings.path, checkKey(key));
}

/** Whether attributes are a regular file's. A server that tells no types keeps files only. */
export function isFile({ mode }: Attributes): boolean {
  return mode === undefined || (mode & TYPE) === 0 || (mode & TYPE) === FILE;
}

/** Whether attributes are a folder's. */
export function isFolder({ mode }: Attributes): boolean {
  return mode !== undefined && (mode & TYPE) === FOLDER;
}

/** What is known of an object from its attributes. */
export function itemOf(key: string, { size, mtime }: Attributes): StoreItem {
  return { key, bytes: size, modified: new Date(mtime * 1000) };
}

/** Throws StoreError unless the store's folder is there: only then is a missing file proven absent. */
export async function checkFolder(root: Root, wire: Wire, action: Action): Promise<void> {
  const { settings: { path }, place } = root.link;
  let found: Attributes;
  try {
    found = await wire.stat(path);
  } catch (error) {
    if (statusOf(error) !== STATUS.absent) throw error;
    const how = root.seen ? "was there and is gone" : "does not exist";
    throw new StoreError(
      `${action.text} in ${place.url}: the folder "${path}" ${how} on the server. Create it there, or correct the path`,
      { cause: error },
    );
  }
  root.seen ||= isFolder(found);
  if (isFolder(found)) return;
  throw new StoreError(
    `${action.text} in ${place.url}: "${path}" is not a folder on the server. Correct the path`,
  );
}

/** An object's attributes, or undefined when it is proven absent. */
export async function look(
  root: Root,
  wire: Wire,
  path: string,
  action: Action,
): Promise<Attributes | undefined> {
  try {
    const found = await wire.lstat(path);
    if (isFile(found)) return found;
  } catch (error) {
    if (statusOf(error) !== STATUS.absent) throw error;
  }
  await checkFolder(root, wire, action);
  return undefined;
}

/** Makes the folders of a key, the store's own included where that may be. */
export async function makeFolders(root: Root, wire: Wire, folder: string, action: Action): Promise<void> {
  const { settings: { path, create } } = root.link;
  if (folder === posix.normalize(path)) {
    if (!create || root.seen) return await checkFolder(root, wire, action);
    await makeFolder(wire, path, (error) => statusOf(error) === STATUS.absent);
    return await checkFolder(root, wire, action);
  }
  await makeFolders(root, wire, posix.dirname(folder), action);
  await makeFolder(wire, folder);
}

/** Makes one; fine when it is there. What is `forgiven` shows in what is done next. */
async function makeFolder(
  wire: Wire,
  path: string,
  forgiven: (error: unknown) => boolean = () => false,
): Promise<void> {
  try {
    await wire.mkdir(path);
    await syncFolder(wire, posix.dirname(path));
  } catch (error) {
    // A name that is taken is "failure" for most servers, and "denied" in a folder that is not one's own.
    const there = await wire.stat(path).then(isFolder, () => false);
    if (!there && !forgiven(error)) throw error;
  }
}

/** Removes empty folders from `folder` up to, and without, the store's own. */
export async function tidyFolders(root: Root, wire: Wire, folder: string): Promise<void> {
  const top = posix.normalize(root.link.settings.path);
  for (let at = folder; at !== top && at !== "." && at !== "/"; at = posix.dirname(at)) {
    try {
      await wire.rmdir(at);
    } catch {
      return; // not empty, or gone already
    }
  }
}

/** Makes a folder's entries survive a power cut, where the server lets folders be opened (OpenSSH does). */
export async function syncFolder(wire: Wire, path: string): Promise<void> {
  try {
    const handle = await wire.open(path, "r");
    await wire.sync(handle).finally(() => wire.close(handle));
  } catch {
    // Best effort: few servers know how.
  }
}

/** Free bytes; undefined where the server does not tell. */
export async function space(root: Root): Promise<number | undefined> {
  const { link } = root;
  const { path } = link.settings;
  const action: Action = { text: "Cannot tell the free space", right: "read" };
  for (const at of [path, posix.dirname(path)]) {
    const free = await link.run(action, async (wire) => {
      try {
        const { f_bavail, f_frsize } = await wire.space(at);
        return f_bavail * f_frsize;
      } catch (error) {
        if (statusOf(error) === 0) throw error;
        return undefined; // absent, not permitted, or not known here
      }
    });
    if (free !== undefined) return Number.isSafeInteger(free) ? free : undefined;
  }
  return undefined;
}

/** What a write that the server failed without a reason most likely ran into. */
export async function explainFull(root: Root, wire: Wire, action: Action, error: unknown): Promise<Error> {
  const { settings: { path }, place } = root.link;
  const room = await wire.space(path).catch(() => undefined);
  const full = room !== undefined && (room.f_bavail === 0 || (room.f_files > 0 && room.f_favail === 0));
  const why = full
    ? `no space left on the server in "${path}". Free some space there, or prune`
    : `the server stopped writing and does not say why. Most likely the quota of the user "${place.user}", or a limit on the size of files, is used up: free some space there, prune, or ask for more`;
  const { cause } = explain(error, action, place);
  return new StoreError(`${action.text} in ${place.url}: ${why}`, { cause });
}
