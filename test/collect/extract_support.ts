/** Entries by hand, and trees as text. */
import { execFileSync } from "node:child_process";
import type { Context, Entry, EntryKind, Files, IndexEntry, RestoreAction, Want } from "../../src/stage.ts";
import { utf8 } from "../../src/bytes.ts";
import { type Seen, streamOf, testContext } from "../support.ts";
import { extract, type Root } from "../../src/collect/extract.ts";

export const TIME = 1_700_000_000_123;

function entry(path: string, kind: EntryKind, more: Partial<Entry> = {}): Entry {
  return { path, kind, mode: 0o644, mtimeMs: TIME, uid: 0, gid: 0, uname: "", gname: "", bytes: 0, ...more };
}

export function file(path: string, content: string | Uint8Array = path, more: Partial<Entry> = {}): Entry {
  const body = typeof content === "string" ? utf8(content) : new Uint8Array(content);
  return entry(path, "file", { bytes: body.length, body, ...more });
}

export function streamed(path: string, chunks: Uint8Array[], more: Partial<Entry> = {}): Entry {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return entry(path, "file", { bytes, body: () => streamOf(...chunks), ...more });
}

export function dir(path: string, mode = 0o755, more: Partial<Entry> = {}): Entry {
  return entry(path, "directory", { mode, ...more });
}

export function link(path: string, target: string, more: Partial<Entry> = {}): Entry {
  return entry(path, "symlink", { target, mode: 0o777, ...more });
}

export function hard(path: string, target: string): Entry {
  return entry(path, "hardlink", { target });
}

/** An archive of these entries; `end` is thrown after the last; with `index` it has a listing. */
export function archive(entries: readonly Entry[], options: { end?: Error; index?: boolean } = {}): Files {
  return {
    kind: "files",
    entries: async function* (): AsyncGenerator<Entry> {
      for (const one of entries) yield await one;
      if (options.end) throw options.end;
    },
    facts: () => ({ sources: [], stages: [] }),
    ...(options.index
      ? {
        listing: async function* (): AsyncGenerator<IndexEntry> {
          for (const { body: _, sha256: __, ...rest } of entries) yield await { ...rest, offset: 0 };
        },
      }
      : {}),
  };
}

/** Restores, and gives what was reported and warned about. */
export async function restore(
  entries: readonly Entry[] | Files,
  want: Partial<Want>,
  roots: readonly Root[] = [],
  context?: Context,
): Promise<{ actions: [string, RestoreAction][]; seen: Seen }> {
  const seen: Seen = { warnings: [], infos: [] };
  const actions: [string, RestoreAction][] = [];
  const report = (path: string, action: RestoreAction): void => void actions.push([path, action]);
  const made = testContext({ want: { report, ...want }, seen });
  await extract("kind" in entries ? entries : archive(entries), context ?? made, roots);
  return { actions, seen };
}

/** Everything below a folder, one line each: kind, mode, owner, time, links, path, link target, digest. */
export function treeOf(path: string, times = true): string {
  return execFileSync("/bin/bash", [
    "-c",
    `
    cd "$1" 2>/dev/null || { echo absent; exit 0; }
    find . -printf '%y %#m %U:%G ${
      times ? "%T@ " : ""
    }%n %s %P -> %l\\n' | sed -E 's/^(d .*) ([0-9]+) ([0-9]+) ([^ ]* -> )/\\1 \\4/' | LC_ALL=C sort -k6
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum`,
    "-",
    path,
  ], { encoding: "utf8", maxBuffer: 2 ** 28 });
}

/** Names of staging folders below a folder. */
export function leftovers(path: string): string[] {
  return execFileSync("find", [path, "-name", "*holdfast-*", "-not", "-path", path], { encoding: "utf8" })
    .split("\n").filter((line) => /holdfast-[0-9a-f]{16}$/.test(line));
}

/** The rejection of a promise; fails when it resolves. */
export async function failure(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error(`Not an error: ${String(error)}`);
  }
  throw new Error("Did not fail");
}
