/**
 * What the C library adds to an entry: nanoseconds, extended attributes, ACLs; and where the data of a file with holes lies.
 *
 * @module
 */
import { messageOf } from "../errors.ts";
import { ACL_ATTRIBUTES, aclText } from "../libc/acl.ts";
import type { Reading } from "../libc/read.ts";
import type { Acl, Entry, U8 } from "../stage.ts";
import type { Finding } from "./found.ts";
import type { Stat } from "./quick.ts";
import type { Holes } from "./read.ts";

/** What is stored: other namespaces are the system's own (SELinux labels, IMA and EVM hashes), and mean nothing on another. */
const STORED = /^(?:user\.|trusted\.|security\.capability$)/;
/** Most bytes of one entry's attributes: an archive's header that holds them has a limit. */
const MOST_BYTES = 512 * 1024;
/** What cannot be looked at is told of where it is opened. */
const TOLD: readonly unknown[] = ["ENOENT", "ENOTDIR", "EACCES"];

/** The entry with all that is known of what stands at `source`; `stat`: what is known already. */
export function detailed(state: Finding, source: string, entry: Entry, stat?: Stat): Entry {
  const { libc } = state;
  if (!libc || entry.kind === "hardlink") return entry;
  try {
    const { mtimeMs, mtimeNs = 0 } = stat?.mtimeNs === undefined ? libc.stat(source) : stat;
    const found = stat?.attributed === false ? undefined : libc.attributes(source);
    // A time that is another by now: the nanoseconds are not of what was read.
    const precise = mtimeNs > 0 && mtimeMs === entry.mtimeMs ? { ...entry, mtimeNs } : entry;
    return found ? { ...precise, ...attributesOf(state, entry.path, found) } : precise;
  } catch (error) {
    if (!TOLD.includes((error as { code?: unknown }).code)) {
      state.warn("attributes", entry.path, `its attributes cannot be read (${messageOf(error)})`);
    }
    return entry;
  }
}

function attributesOf(
  state: Finding,
  path: string,
  found: ReadonlyMap<string, U8>,
): Pick<Entry, "xattrs" | "acl"> {
  const xattrs = new Map([...found].filter(([name]) => STORED.test(name)));
  let bytes = 0;
  for (const [name, value] of xattrs) bytes += name.length + value.length;
  if (bytes > MOST_BYTES) {
    state.warn(
      "attributes",
      path,
      `its extended attributes take ${bytes} bytes, and at most ${MOST_BYTES} are stored`,
    );
    xattrs.clear();
  }
  const acl = aclOf(state, path, found);
  return { ...(xattrs.size > 0 ? { xattrs } : {}), ...(acl ? { acl } : {}) };
}

function aclOf(state: Finding, path: string, found: ReadonlyMap<string, U8>): Acl | undefined {
  let acl: Acl | undefined;
  for (const which of ["access", "default"] as const) {
    const bytes = found.get(ACL_ATTRIBUTES[which]);
    const text = bytes && aclText(bytes, state.users, state.groups);
    if (text) acl = { ...acl, [which]: text };
    else if (bytes && text === undefined) {
      state.warn("attributes", path, `its ${which} ACL is of an unknown form`);
    }
  }
  return acl;
}

/** Tells where a file's data lies; the map is of the file that is open, or none. */
export function holesBy(libc: Reading): Holes {
  return (path, { size, ino }) => {
    try {
      const details = libc.stat(path);
      if (details.allocated >= size || details.ino !== ino) return undefined;
      const fd = libc.open(path);
      try {
        const opened = libc.stat(fd);
        return opened.id === details.id && opened.size === size ? libc.extents(fd, size) : undefined;
      } finally {
        libc.shut(fd);
      }
    } catch {
      return undefined; // stored whole, zeros and all
    }
  };
}
