/**
 * Listing: folder by folder, each read to its end before its names are handed on in order.
 *
 * @module
 */
import { posix } from "node:path";
import type { StoreItem } from "../../stage.ts";
import { checkKey, compareKeys, isLease } from "../key.ts";
import { type Action, STATUS, statusOf } from "./explain.ts";
import { checkFolder, isFile, isFolder, itemOf, type Root } from "./folder.ts";
import type { Wire } from "./wire.ts";

const ACTION: Action = { text: "Cannot list", right: "read folders" };

/** The top of many file systems, which only root can read: it is never part of a store. */
const SYSTEM_FOLDER = "lost+found/";

/** The objects below one folder, in the order of their whole keys: a folder sorts as its name with a "/". */
export async function* list(
  root: Root,
  prefix: string,
  base = "",
): AsyncGenerator<StoreItem, void, undefined> {
  const found = await root.link.run(ACTION, (wire) => namesIn(root, wire, base, prefix));
  for (const item of found.sort((a, b) => compareKeys(a.key, b.key))) {
    if (item.key.endsWith("/")) yield* list(root, prefix, item.key);
    else yield item;
  }
}

async function namesIn(root: Root, wire: Wire, base: string, prefix: string): Promise<StoreItem[]> {
  const found: StoreItem[] = [];
  try {
    const handle = await wire.opendir(posix.join(root.link.settings.path, base));
    try {
      for (let names = await wire.readdir(handle); names; names = await wire.readdir(handle)) {
        for (const { filename, attrs } of names) {
          if (isFolder(attrs)) {
            const key = `${base}${filename}/`;
            if (key === SYSTEM_FOLDER || !isKey(key.slice(0, -1))) continue;
            if (key.startsWith(prefix) || prefix.startsWith(key)) found.push({ ...itemOf(key, attrs) });
          } else if (isFile(attrs)) {
            const key = base + filename;
            if (key.startsWith(prefix) && !isLease(key) && isKey(key)) found.push(itemOf(key, attrs));
          }
        }
      }
    } finally {
      wire.close(handle).catch(() => {});
    }
  } catch (error) {
    if (statusOf(error) !== STATUS.absent) throw error;
    await checkFolder(root, wire, ACTION); // a folder tidied away since its parent was read
    return [];
  }
  return found;
}

/** Whether it is an object. A temporary file has no valid key, nor has what no put can have made. */
function isKey(key: string): boolean {
  try {
    return checkKey(key) === key;
  } catch {
    return false;
  }
}
