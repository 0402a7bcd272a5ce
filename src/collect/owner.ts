/**
 * Who owns what is restored: by name where this host knows the name, else by number; only root can give files away.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { Entry, Log } from "../stage.ts";
import { messageOf } from "../errors.ts";

/** This host's accounts, when files may be given away. */
export interface Owners {
  /** Who new files belong to. */
  readonly uid: number;
  /** Group of new files. */
  readonly gid: number;
  /** Numbers of user names. */
  readonly users: ReadonlyMap<string, number>;
  /** Numbers of group names. */
  readonly groups: ReadonlyMap<string, number>;
  /** Told when an owner could not be set (a user namespace, a file system without owners). */
  readonly refused: (path: string, error: unknown) => void;
}

/** The accounts of this host for root (`uid` 0, who new files belong to), undefined for others. */
export function ownersFor(made: { uid: number; gid: number }, log: Log): Owners | undefined {
  if (made.uid !== 0 || Deno.build.os === "windows") return undefined;
  return {
    uid: made.uid,
    gid: made.gid,
    ...accounts(),
    refused: (path, error) =>
      log.warn("owner", `Cannot set the owner of ${JSON.stringify(path)}: ${messageOf(error)}`),
  };
}

/** Numbers of this host's user and group names. */
export function accounts(): Pick<Owners, "users" | "groups"> {
  return { users: table("/etc/passwd"), groups: table("/etc/group") };
}

/** The owner an entry gets. */
export function ownerOf(
  entry: Pick<Entry, "uid" | "gid" | "uname" | "gname">,
  owners: Owners,
): { uid: number; gid: number } {
  return {
    uid: owners.users.get(entry.uname) ?? entry.uid,
    gid: owners.groups.get(entry.gname) ?? entry.gid,
  };
}

/** Names and numbers of passwd(5) or group(5); empty when it cannot be read. */
function table(path: string): Map<string, number> {
  const numbers = new Map<string, number>();
  let lines: string[] = [];
  try {
    lines = readFileSync(path, "utf8").split("\n");
  } catch { /* without names, numbers decide */ }
  for (const line of lines) {
    const [name, , id] = line.split(":");
    if (name && id && /^\d+$/.test(id) && !numbers.has(name)) numbers.set(name, Number(id));
  }
  return numbers;
}
