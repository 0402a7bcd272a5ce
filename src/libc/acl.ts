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

const TAGS: Readonly<Record<string, readonly [own: number, named: number]>> = {
  user: [USER_OBJ, USER],
  u: [USER_OBJ, USER],
  group: [GROUP_OBJ, GROUP],
  g: [GROUP_OBJ, GROUP],
  mask: [MASK, MASK],
  m: [MASK, MASK],
  other: [OTHER, OTHER],
  o: [OTHER, OTHER],
};
const NOBODY = 0xffffffff;

/**
 * The binary form of a text as GNU tar, star and bsdtar write it: entries between commas or lines, names or numbers, with or without the
 * number in a fourth field. A name counts where this host knows it, else the number does. A string: why it cannot be read.
 */
export function aclBytes(
  text: string,
  users: ReadonlyMap<string, number>,
  groups: ReadonlyMap<string, number>,
): Uint8Array<ArrayBuffer> | string {
  const entries: (readonly [tag: number, permissions: number, id: number])[] = [];
  for (const part of text.split(/[,\n]/)) {
    const entry = part.replace(/#.*/s, "").replace(/^\s*(?:default:)?/, "").trim();
    if (entry === "") continue;
    const match = /^([a-z]+):([^:]*):?([r-]?[w-]?[x-]?)(?::([0-9]+))?$/.exec(entry);
    const tags = match ? TAGS[match[1]!] : undefined;
    if (!match || !tags) return `"${entry}" is no entry of an ACL`;
    const [, , name, letters, number] = match;
    const permissions = [..."rwx"].reduce((sum, one, i) => sum + (letters!.includes(one) ? 4 >> i : 0), 0);
    if (name === "" || tags[0] === tags[1]) {
      entries.push([tags[0], permissions, NOBODY]);
      continue;
    }
    const id = (tags[1] === USER ? users : groups).get(name!) ??
      Number(number ?? (/^[0-9]+$/.test(name!) ? name : NaN));
    if (!(id < NOBODY)) return `this host does not know the ${tags[1] === USER ? "user" : "group"} "${name}"`;
    entries.push([tags[1], permissions, id]);
  }
  // The kernel takes them in this order only.
  entries.sort((a, b) => a[0] - b[0] || a[2] - b[2]);
  const bytes = new Uint8Array(4 + 8 * entries.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, VERSION, true);
  entries.forEach(([tag, permissions, id], i) => {
    view.setUint16(4 + 8 * i, tag, true);
    view.setUint16(6 + 8 * i, permissions, true);
    view.setUint32(8 + 8 * i, id, true);
  });
  return bytes;
}
