/**
 * What a host remembers of one entry: one line, compared as text.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Entry } from "../../stage.ts";

/** One entry as it was stored. */
export interface Line {
  /** Its path. */
  readonly path: string;
  /** All that makes it what it is, but its content: see {@linkcode headOf}. */
  readonly head: string;
  /** When its inode changed last, in whole seconds since 1970: more than that Deno does not tell. */
  readonly changed: number;
  /** Whether its content must be read to know whether it is as it was. */
  readonly doubtful: boolean;
  /** Lower-case hexadecimal SHA-256 of its content; "" where it has none, or it is not known. */
  readonly sha256: string;
}

/** Metadata as a text: two entries with one head differ in nothing that is stored but content. */
export function headOf(entry: Omit<Entry, "body">, ino: number): string {
  const { kind, mode, mtimeMs, uid, gid, uname, gname, bytes, target } = entry;
  const names = uname === "" && gname === "" ? "" : JSON.stringify([uname, gname]);
  const link = target === undefined ? "" : JSON.stringify(target);
  return `${kind}\t${mode}\t${mtimeMs}\t${uid}\t${gid}\t${bytes}\t${
    kind === "file" ? ino : ""
  }\t${names}\t${link}${moreOf(entry)}`;
}

/** What only full metadata has: nothing where there is none, so that a host's lists stay as they are. */
function moreOf({ mtimeNs, xattrs, acl }: Omit<Entry, "body">): string {
  if (!xattrs && !acl) return mtimeNs === undefined ? "" : `\t${mtimeNs}`;
  const hash = createHash("sha256").update(JSON.stringify([acl?.access ?? null, acl?.default ?? null]));
  for (const name of [...xattrs?.keys() ?? []].sort()) {
    hash.update(JSON.stringify([name, xattrs!.get(name)!.toHex()]));
  }
  return `\t${mtimeNs ?? 0}\t${hash.digest("hex")}`;
}

/** The kind that a head is of. */
export function kindOf(head: string): string {
  return head.slice(0, head.indexOf("\t"));
}

/** A line as it is written, with its end. */
export function writeLine({ path, head, changed, doubtful, sha256 }: Line): string {
  return `${JSON.stringify(path)}\t${head}\t${changed}\t${doubtful ? 1 : 0}\t${sha256}\n`;
}

/** A line as it was written, without its end. */
export function readLine(text: string): Line {
  const start = text.indexOf("\t");
  const digest = text.lastIndexOf("\t");
  const doubt = text.lastIndexOf("\t", digest - 1);
  const time = text.lastIndexOf("\t", doubt - 1);
  const path = text.slice(0, start);
  return {
    path: path.includes("\\") ? JSON.parse(path) : path.slice(1, -1),
    head: text.slice(start + 1, time),
    changed: Number(text.slice(time + 1, doubt)),
    doubtful: text.slice(doubt + 1, digest) !== "0",
    sha256: text.slice(digest + 1),
  };
}
