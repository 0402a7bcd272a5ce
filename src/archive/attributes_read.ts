/**
 * What PAX records say beyond POSIX: extended attributes, ACLs, and times below the millisecond.
 *
 * @module
 */
import { ACL_ATTRIBUTES, aclText } from "../libc/acl.ts";
import { nameOf } from "../raw_name.ts";
import type { Acl, Entry, U8 } from "../stage.ts";
import { ACL_KEYS, nameOfKeyword, XATTR_KEY } from "./attributes.ts";
import type { PaxRecords } from "./pax.ts";

/** bsdtar's own form: the name as in a URL, the value in base64 without padding. It writes both, for what reads only one. */
const LIBARCHIVE_KEY = "LIBARCHIVE.xattr.";

/** The attributes among a member's records; nothing for most. Bytes are copies. */
export function attributesOf(records: PaxRecords | undefined): Pick<Entry, "xattrs" | "acl"> {
  if (!records) return NONE;
  let xattrs: Map<string, U8> | undefined;
  let acl: { access?: string; default?: string } | undefined;
  for (const [key, value] of records) {
    // Most keys are "mtime" and "path".
    if (!key.startsWith("SCHILY.") && !key.startsWith("LIBARCHIVE.")) continue;
    if (key.startsWith(XATTR_KEY)) {
      (xattrs ??= new Map()).set(nameOfKeyword(key.slice(XATTR_KEY.length)), new Uint8Array(value));
    } else if (key.startsWith(LIBARCHIVE_KEY)) {
      const found = fromLibarchive(key.slice(LIBARCHIVE_KEY.length), value);
      if (found && !records.has(XATTR_KEY + found[0])) (xattrs ??= new Map()).set(...found);
    } else if (key === ACL_KEYS.access) (acl ??= {}).access = nameOf(value);
    else if (key === ACL_KEYS.default) (acl ??= {}).default = nameOf(value);
  }
  xattrs?.delete("");
  for (const which of ["access", "default"] as const) {
    // GNU tar, told to take every attribute, stores the kernel's form of an ACL, alone or beside the text.
    const binary = xattrs?.get(ACL_ATTRIBUTES[which]);
    if (!binary) continue;
    const text = acl?.[which] ?? aclText(binary, NO_NAMES, NO_NAMES);
    if (text === undefined) continue;
    (acl ??= {})[which] = text;
    xattrs!.delete(ACL_ATTRIBUTES[which]);
  }
  if (xattrs?.size === 0) xattrs = undefined;
  if (!xattrs && !acl) return NONE;
  return { ...(xattrs ? { xattrs } : {}), ...(acl ? { acl: acl as Acl } : {}) };
}

const NO_NAMES: ReadonlyMap<number, string> = new Map();
const NONE: Pick<Entry, "xattrs" | "acl"> = {};

/** Undefined for what is not of that form. */
function fromLibarchive(word: string, value: Uint8Array): [string, U8] | undefined {
  try {
    const base64 = new TextDecoder().decode(value).replaceAll(/[=\s]/g, "");
    return [decodeURIComponent(word), Uint8Array.fromBase64(base64)];
  } catch {
    return undefined;
  }
}

/** Nanoseconds of a PAX time after the millisecond that `decodeTime` gives: 0 to 999,999, rounded towards the past as that is. */
export function decodeNanos(value: string): number {
  const match = /^(-?)[0-9]+\.([0-9]{4,})$/.exec(value);
  if (!match) return 0;
  const after = Number(match[2]!.slice(3, 9).padEnd(6, "0"));
  const more = /[1-9]/.test(match[2]!.slice(9));
  if (match[1] === "") return after;
  return after === 0 && !more ? 0 : 1_000_000 - after - (more ? 1 : 0);
}
