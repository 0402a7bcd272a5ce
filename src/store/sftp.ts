/**
 * A folder on another machine as a store: any server that speaks SFTP.
 *
 * @module
 */
import { posix } from "node:path";
import type { Store } from "../stage.ts";
import type { Action } from "./sftp/explain.ts";
import { itemOf, look, pathOf, type Root, space, syncFolder, tidyFolders } from "./sftp/folder.ts";
import { linkOf } from "./sftp/link.ts";
import { list } from "./sftp/list.ts";
import { defaultUser } from "./sftp/login.ts";
import { settingsOf, type SftpOptions } from "./sftp/options.ts";
import { removed } from "./sftp/publish.ts";
import { read } from "./sftp/read.ts";
import { urlOf } from "./sftp/url.ts";
import { write } from "./sftp/write.ts";

export type { SftpOptions } from "./sftp/options.ts";

/**
 * Keeps objects as files (mode 0600) in a folder of an SSH server, over SFTP version 3 (draft-ietf-secsh-filexfer-02) with
 * OpenSSH's extensions (PROTOCOL, section 4) where the server has them.
 *
 * The server must be known: one whose key no known_hosts file and no `hostKeys` names is refused, and so, loudly, is a changed key.
 * An object appears under its name only when it is whole and on the disk: temporary file, fsync, then a hard link
 * for a conditional write or a rename for a replacing one. Requests are pipelined, at most 4 MiB up and 2 MiB down; a connection that
 * breaks is made anew and work goes on where it broke, with what was written read back at the end. There are no locks, so
 * leases are objects.
 *
 * Nothing is loaded or sent before the first call. Throws TypeError or RangeError for options that cannot work.
 */
export function sftp(options: SftpOptions): Store {
  const settings = settingsOf(options);
  const { host, port, path, user = defaultUser() } = settings;
  if (user === undefined) throw new TypeError("Cannot tell who logs in: give a user");
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const place = { url: urlOf(host, port, user, path), address, user, path };
  const root: Root = { link: linkOf(settings, place), seen: false };
  const swept = new Set<string>();
  return {
    url: place.url,
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
