/**
 * Lists a folder in archive order, and tells names that are not UTF-8 from those that are.
 *
 * @module
 */
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { utf8 } from "../bytes.ts";
import type { Reading } from "../libc/read.ts";
import { isRaw } from "../raw_name.ts";
import { libcIo } from "./io.ts";
import { readText, startsWith } from "./read.ts";

/** What a name stands for. */
export interface Node {
  /** The name, without its folder. */
  readonly name: string;
  /** What the listing says it is. */
  readonly kind: "file" | "directory" | "symlink" | "special";
}

/** Folders that are larger than this (256 KiB, some ten thousand names) are listed by `listLargeFolder`. */
export const LARGE_FOLDER: number = 256 * 1024;

/**
 * What lies in a folder, sorted by UTF-8 bytes. By the C library where it may be asked, in half the time. Else by Deno, which shows
 * every byte that is not UTF-8 as U+FFFD, so two names may look the same, and opening one may open another file. But a name that
 * truly holds U+FFFD can be looked up, and only once: the others go to `unreadable`. Throws what the system throws.
 */
export function listFolder(path: string, unreadable: (name: string) => void, libc?: Reading): Node[] {
  if (libc?.unbounded || libc && isRaw(path)) return listBytes(path, libc).sort(byName);
  const names = listing(libc);
  for (const found of Deno.readDirSync(path)) names.add(found);
  return names.end(path, unreadable);
}

/**
 * The same, name by name. The call that does not wait holds all names twice in the heap: a million of them takes it a minute and
 * 500 MiB, and this one a second and 50 MiB; in small folders it is the slower one.
 */
export async function listLargeFolder(
  path: string,
  unreadable: (name: string) => void,
  libc?: Reading,
): Promise<Node[]> {
  if (libc && isRaw(path)) return listBytes(path, libc).sort(byName);
  const names = listing(libc);
  for await (const found of Deno.readDir(path)) names.add(found);
  return names.end(path, unreadable);
}

interface Listing {
  readonly add: (found: Deno.DirEntry) => void;
  readonly end: (path: string, unreadable: (name: string) => void) => Node[];
}

/** A name that Deno does not show as it is, or that stands for another in src/raw_name.ts. */
const DOUBTFUL = /\ufffd|\udbff[\udf80-\udfff]/;

/** What lies in a folder, each name by its bytes; only what `wanted` takes. */
function listBytes(path: string, libc: Reading, wanted: (name: string) => boolean = () => true): Node[] {
  const nodes: Node[] = [];
  for (const { name, kind } of libc.list(path)) {
    if (!wanted(name)) continue;
    try {
      nodes.push({ name, kind: kind ?? libc.stat(join(path, name)).kind });
    } catch (error) {
      // It went meanwhile; anything else is told of when it is opened.
      if ((error as { code?: unknown }).code !== "ENOENT") nodes.push({ name, kind: "file" });
    }
  }
  return nodes;
}

function byName(a: Node, b: Node): number {
  return compareNames(a.name, b.name);
}

function listing(libc: Reading | undefined): Listing {
  const nodes: Node[] = [];
  const doubtful = new Map<string, number>();
  return {
    add: (found) => {
      if (DOUBTFUL.test(found.name)) doubtful.set(found.name, (doubtful.get(found.name) ?? 0) + 1);
      else nodes.push({ name: found.name, kind: kindOf(found) });
    },
    end: (path, unreadable) => {
      if (libc && doubtful.size > 0) {
        nodes.push(...listBytes(path, libc, (name) => DOUBTFUL.test(name)));
        doubtful.clear();
      }
      for (const [name, count] of doubtful) {
        const kind = isRaw(name) ? undefined : lookUp(join(path, name));
        if (kind) nodes.push({ name, kind });
        for (let i = kind ? 1 : 0; i < count; i++) unreadable(name);
      }
      return nodes.sort(byName);
    },
  };
}

/** Nodes of a large folder that are turned into text, and back, at a time. */
const TURN = 4096;

/**
 * The nodes in their order, each once. Very many are taken out of `nodes` and wait as text outside the heap: the walk through them
 * takes long, and the collector lets a heap grow to three times what lives in it.
 */
export function inTurn(nodes: Node[]): Iterator<Node, unknown, undefined> {
  if (nodes.length <= TURN) return nodes.values();
  const texts: Uint8Array[] = [];
  for (let at = 0; at < nodes.length; at += TURN) {
    texts.push(utf8(nodes.slice(at, at + TURN).map(({ kind, name }) => `${kind}/${name}`).join("\0")));
  }
  nodes.length = 0;
  return unpacked(texts);
}

function* unpacked(texts: readonly Uint8Array[]): Generator<Node, void, undefined> {
  const decoder = new TextDecoder();
  for (const text of texts) {
    for (const node of decoder.decode(text).split("\0")) {
      const slash = node.indexOf("/");
      yield { kind: node.slice(0, slash) as Node["kind"], name: node.slice(slash + 1) };
    }
  }
}

interface Kinds {
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly isSymlink: boolean;
}

function kindOf({ isFile, isDirectory, isSymlink }: Kinds): Node["kind"] {
  if (isFile) return "file";
  if (isDirectory) return "directory";
  return isSymlink ? "symlink" : "special";
}

function lookUp(path: string): Node["kind"] | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat && kindOf({
    isFile: stat.isFile(),
    isDirectory: stat.isDirectory(),
    isSymlink: stat.isSymbolicLink(),
  });
}

/** Order of names by their UTF-8 bytes. UTF-16 sorts surrogates (U+10000 and up) before U+E000 to U+FFFF; UTF-8 after. */
export function compareNames(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** The texts of a folder's ignore files, in the order of `names`. `failed` is told about one that cannot be read. */
export function ignoreTexts(
  path: string,
  nodes: readonly Node[],
  names: readonly string[],
  failed: (name: string, error: unknown) => void,
  libc?: Reading,
): readonly string[] {
  const io = libc && isRaw(path) ? libcIo(libc) : undefined;
  const texts: string[] = [];
  for (const name of names) {
    if (!nodes.some((node) => node.name === name && node.kind === "file")) continue;
    try {
      const text = readText(join(path, name), io);
      if (text !== undefined) texts.push(text);
    } catch (error) {
      failed(name, error);
    }
  }
  return texts;
}

const CACHE_TAG = "CACHEDIR.TAG";
const CACHE_SIGNATURE = utf8("Signature: 8a477f597d28d172789f06886806bc55");

/** The folder's tag alone when it is marked as a cache (https://bford.info/cachedir/), otherwise all of its nodes. */
export function withoutCache(path: string, nodes: Node[], libc?: Reading): Node[] {
  const io = libc && isRaw(path) ? libcIo(libc) : undefined;
  const tag = nodes.find((node) => node.name === CACHE_TAG && node.kind === "file");
  try {
    return tag && startsWith(join(path, CACHE_TAG), CACHE_SIGNATURE, io) ? [tag] : nodes;
  } catch {
    return nodes;
  }
}
