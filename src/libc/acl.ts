/**
 * POSIX ACLs: the kernel's binary form (`system.posix_acl_access` and `_default`, linux/posix_acl_xattr.h), and the text of acl(5) that
 * tar archives carry.
 *
 * @module
 */

/** Names of the attributes that hold ACLs. */
export const ACL_ATTRIBUTES = {
  access: "system.posix_acl_access",
  default: "system.posix_acl_default",
} as const;

const VERSION = 2;
const USER_OBJ = 1;
const USER = 2;
const GROUP_OBJ = 4;
const GROUP = 8;
const MASK = 16;
const OTHER = 32;
const WORDS: Readonly<Record<number, string>> = {
  [USER_OBJ]: "user",
  [USER]: "user",
  [GROUP_OBJ]: "group",
  [GROUP]: "group",
  [MASK]: "mask",
  [OTHER]: "other",
};

/**
 * The text of a binary ACL, with the number of named users and groups in a fourth field; the name is the number too where `users` or
 * `groups` has none, or one that would not be read back. Undefined where the bytes are no ACL of the known version.
 */
export function aclText(
  bytes: Uint8Array,
  users: ReadonlyMap<number, string>,
  groups: ReadonlyMap<number, string>,
): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 4 || bytes.length % 8 !== 4 || view.getUint32(0, true) !== VERSION) return undefined;
  const entries: string[] = [];
  for (let at = 4; at < bytes.length; at += 8) {
    const tag = view.getUint16(at, true);
    const permissions = view.getUint16(at + 2, true);
    const id = view.getUint32(at + 4, true);
    const word = WORDS[tag];
    if (word === undefined || permissions > 7) return undefined;
    const letters = ["r", "w", "x"].map((letter, i) => permissions & (4 >> i) ? letter : "-").join("");
    if (tag !== USER && tag !== GROUP) entries.push(`${word}::${letters}`);
    else entries.push(`${word}:${nameIn(tag === USER ? users : groups, id)}:${letters}:${id}`);
  }
  return entries.join(",");
}

function nameIn(names: ReadonlyMap<number, string>, id: number): string {
  const name = names.get(id) ?? "";
  return /^[A-Za-z_][\w.@-]*\$?$/.test(name) ? name : String(id);
}
