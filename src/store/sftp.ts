/**
 * A folder on another machine as a store: any server that speaks SFTP.
 *
 * @module
 */
import type { Store } from "../stage.ts";
import { later } from "./later.ts";
import { defaultUser } from "./sftp/login.ts";
import { settingsOf, type SftpOptions } from "./sftp/options.ts";
import { urlOf } from "./sftp/url.ts";

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
  return {
    url: place.url,
    ...later(
      async () => (await import("./sftp/inside.ts")).openFolder(settings, place),
      ["put", "get", "head", "list", "delete", "space"],
    ),
  };
}
