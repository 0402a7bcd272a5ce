/** What the tests of collectors share: entries read whole, small trees. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Entry, Files } from "../../src/stage.ts";

/** An entry with its content read. */
export interface Kept extends Entry {
  readonly content: Uint8Array;
}

/** Reads all entries and their content. */
export async function readEntries(files: Files): Promise<Kept[]> {
  const all: Kept[] = [];
  for await (const entry of files.entries()) all.push({ ...entry, content: await contentOf(entry) });
  return all;
}

/** Entries by their paths. */
export function byPath(entries: readonly Kept[]): Map<string, Kept> {
  return new Map(entries.map((entry) => [entry.path, entry]));
}

/** Content of an entry. */
export async function contentOf(entry: Entry): Promise<Uint8Array> {
  if (entry.body instanceof Uint8Array) return entry.body;
  const chunks: Uint8Array[] = [];
  for await (const chunk of entry.body?.() ?? []) chunks.push(chunk);
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** Paths of all entries, folders with a slash at the end. */
export async function paths(files: Files): Promise<string[]> {
  return (await readEntries(files)).map(({ path, kind }) => kind === "directory" ? `${path}/` : path);
}

/** Writes a tree: keys are paths; a key with a slash at the end is a folder. */
export function plant(root: string, tree: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [path, content] of Object.entries(tree)) {
    const full = join(root, path);
    if (path.endsWith("/")) {
      mkdirSync(full, { recursive: true });
    } else {
      mkdirSync(dirname(full), { recursive: true });
      writeFileSync(full, content);
    }
  }
}

/** SHA-256, hexadecimal. */
export function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Open files of this process that lie, or lay, in a folder: other suites of the process have their own. */
export function openIn(folder: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(folder) ? [`/proc/self/fd/${fd}`] : [];
    } catch {
      return [];
    }
  });
}
