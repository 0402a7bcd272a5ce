/**
 * What a store on an SFTP server does, once it is used.
 *
 * @module
 */
import { posix } from "node:path";
import type { Store } from "../../stage.ts";
import type { Action } from "./explain.ts";
import { itemOf, look, pathOf, type Root, space, syncFolder, tidyFolders } from "./folder.ts";
import { linkOf } from "./link.ts";
import { list } from "./list.ts";
import type { Settings } from "./options.ts";
import { removed } from "./publish.ts";
import { read } from "./read.ts";
import { write } from "./write.ts";

/** Everything but its URL. */
export function openFolder(
  settings: Settings,
  place: Parameters<typeof linkOf>[1],
): Omit<Store, "url"> & Required<Pick<Store, "space">> {
  const root: Root = { link: linkOf(settings, place), seen: false };
  const swept = new Set<string>();
  return {
    put: (key, body, putOptions = {}) => write(root, key, body, putOptions, swept),
    get: (key, range) => read(root, key, range),
    head: async (key) => {
      const at = pathOf(root, key);
      const action: Action = { text: `Cannot look up "${key}"`, right: "read files" };
      const found = await root.link.run(action, (wire) => look(root, wire, at, action));
      return found && itemOf(key, found);
    },
    list: (prefix = "") => list(root, prefix),
    delete: (key) => remove(root, key),
    space: () => space(root),
  };
}

async function remove(root: Root, key: string): Promise<void> {
  const path = pathOf(root, key);
  const action: Action = { text: `Cannot delete "${key}"`, right: "delete files" };
  await root.link.run(action, async (wire) => {
    if (!await look(root, wire, path, action)) return;
    await removed(wire, path); // another may have been faster
    await syncFolder(wire, posix.dirname(path)); // deletions survive a power cut in the order they were made
    await tidyFolders(root, wire, posix.dirname(path));
  });
}
