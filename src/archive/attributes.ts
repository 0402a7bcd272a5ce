/**
 * Extended attributes and ACLs as PAX records: `SCHILY.xattr.NAME` with the value's bytes, `SCHILY.acl.access` and `SCHILY.acl.default`
 * with acl(5)'s text. star made them, GNU tar (`--xattrs --acls`) and bsdtar read and write them.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { utf8 } from "../bytes.ts";
import type { Entry } from "../stage.ts";
import { encodeRecords } from "./pax.ts";

/** What the keys of extended attributes start with. */
export const XATTR_KEY = "SCHILY.xattr.";
/** Keys of the two ACLs. */
export const ACL_KEYS = { access: "SCHILY.acl.access", default: "SCHILY.acl.default" } as const;

/** A PAX record whose value is bytes. */
export type ByteRecord = readonly [key: string, value: Uint8Array];

type Attributes = Pick<Entry, "xattrs" | "acl">;

/** The records of an entry's attributes, in order of their keys; none for most. */
export function attributeRecords({ xattrs, acl }: Attributes): readonly ByteRecord[] {
  if (!xattrs && !acl) return NONE;
  const records: ByteRecord[] = [];
  for (const which of ["access", "default"] as const) {
    const text = acl?.[which];
    if (text) records.push([ACL_KEYS[which], utf8(text)]);
  }
  const names = [...xattrs?.keys() ?? []].sort((a, b) => a < b ? -1 : 1);
  for (const name of names) records.push([XATTR_KEY + keyword(name), xattrs!.get(name)!]);
  return records;
}

const NONE: readonly ByteRecord[] = [];

/** A key ends at its first "=": GNU tar (from 1.32 on) writes that, and "%", as in a URL. */
function keyword(name: string): string {
  return name.replaceAll("%", "%25").replaceAll("=", "%3D");
}

/** The name of an attribute, from what follows `SCHILY.xattr.` in a key. */
export function nameOfKeyword(word: string): string {
  return word.replaceAll("%3D", "=").replaceAll("%25", "%");
}

/** Lower-case hexadecimal SHA-256 of the records as they are written; undefined for an entry without attributes. */
export function attributesDigest(entry: Attributes): string | undefined {
  const records = attributeRecords(entry);
  return records.length === 0 ? undefined : createHash("sha256").update(encodeRecords(records)).digest("hex");
}
