/**
 * The tree that a chain of backups of files comes to: each increment holds what had changed, and a list of what was gone.
 *
 * @module
 */
import { readAll } from "./bytes.ts";
import { findError, IntegrityError, NotFoundError } from "./errors.ts";
import { comparePaths } from "./order.ts";
import { nameOf } from "./raw_name.ts";
import type { BackupReceipt } from "./receipt.ts";
import type { Context, Entry, Files, IndexEntry, U8 } from "./stage.ts";

/**
 * The file of an increment that lists what is gone since its base: paths, as the bytes of their names, each ended by a NUL; of a
 * folder, that path alone. What is of another kind than before is listed too. Sorts behind names in ASCII, so that it comes last.
 */
export const GONE = "~holdfast-gone";

/** The longest list that is read: 1 GiB. */
const GONE_LIMIT = 2 ** 30;

/** Whether a backup holds only what of a tree had changed. */
export function isIncrement({ contents, sources }: BackupReceipt): boolean {
  return contents.base !== null &&
    sources.some(({ tool, facts }) => tool === "files" && facts.incremental === true);
}

/** How many entries and bytes a backup comes to at most when it is restored with what it builds on. */
export function boundsOf(
  { contents, sources }: BackupReceipt,
): { readonly entries: number; readonly bytes: number } {
  // Of several sources some may be stored whole beside the trees that are not.
  const beside = sources.length > 1 && contents.base !== null;
  const most = (what: "entries" | "bytes"): number => {
    const trees = sources.map(({ facts }) => (facts as { tree?: Record<string, unknown> }).tree?.[what])
      .filter((size) => Number.isSafeInteger(size)) as number[];
    const sum = trees.reduce((sum, size) => sum + size, beside ? contents[what] : 0);
    return Math.max(contents[what], sum);
  };
  return { entries: most("entries"), bytes: most("bytes") };
}

/** What one increment says is gone. Reads to the end of what it reads: then it is verified. */
export async function goneIn(files: Files): Promise<ReadonlySet<string>> {
  let list: U8 | undefined;
  for await (const entry of files.entries((path) => path === GONE)) {
    if (entry.path === GONE) list = await contentOf(entry);
  }
  if (list === undefined) {
    throw new IntegrityError(
      `Cannot use this increment: it lacks "${GONE}", the list of what is gone. Take another copy, or an older backup`,
    );
  }
  return new Set(namesIn(list));
}

/** Names are bytes, as in the archive: stock tools are to find them. */
function* namesIn(list: U8): Generator<string, void, undefined> {
  for (let at = 0; at < list.length;) {
    const nul = list.indexOf(0, at);
    const end = nul < 0 ? list.length : nul;
    if (end > at) yield nameOf(list.subarray(at, end));
    at = end + 1;
  }
}

async function contentOf({ body, bytes }: Entry): Promise<U8> {
  if (bytes > GONE_LIMIT) throw new IntegrityError(`Cannot read "${GONE}": it has ${bytes} bytes`);
  if (typeof body === "function") return await readAll(body(), GONE_LIMIT, `"${GONE}"`);
  return body ?? new Uint8Array(0);
}

/** Whether a path, or a folder above it, is among `gone`. */
export function isGone(path: string, gone: Pick<ReadonlySet<string>, "has">): boolean {
  for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
    if (gone.has(end === path.length ? path : path.slice(0, end))) return true;
  }
  return false;
}

/**
 * The whole tree of an increment: its own entries, and those of the backups below that are neither newer here nor gone. They come archive
 * by archive, the oldest first, so that a hard link follows its file; a folder comes when it is first met, with its newest metadata. The
 * paths that the increments hold are kept in memory. `path` is the one that is asked for, if it is one: then no more is read than
 * finding it takes.
 */
export function layered(files: Files, path?: string): Files {
  let opened: Promise<Layers> | undefined;
  const open = (): Promise<Layers> => opened ??= openLayers(files);
  const { index: _, below: __, ordered: ___, ...rest } = files;
  return {
    ...rest,
    entries: (wanted) =>
      path !== undefined && wanted?.(path) ? search(files, path, wanted) : merged(open, wanted),
    ...(files.listing ? { listing: () => listed(open) } : {}),
  };
}

/** The newest archive that has the path, or says that it is gone. */
async function* search(
  newest: Files,
  path: string,
  wanted: (path: string) => boolean,
): AsyncGenerator<Entry, void, undefined> {
  for (let files: Files | undefined = newest; files;) {
    let found = false;
    try {
      for await (const entry of files.entries(wanted)) {
        if (entry.path !== path) continue;
        found = true;
        yield entry;
      }
    } catch (error) {
      if (!findError(error, NotFoundError) || !files.below) throw error;
    }
    if (found || !files.below || isGone(path, await goneIn(files))) return;
    files = await files.below();
  }
}

/** An archive without its receipt: where it is an increment, that is said, and its list of what is gone is left out. */
export function alone(files: Files, { log }: Pick<Context, "log">): Files {
  const { listing } = files;
  const said = (): void =>
    log.warn(
      "increment",
      "This archive holds only what had changed since another backup, which it does not name by itself: restore it from its store, or by the " +
        "commands of its RESTORE.txt",
    );
  return {
    ...files,
    entries: (wanted) => without(files.entries(wanted), said),
    listing: listing && (() => without(listing(), () => {})),
  };
}

async function* without<T extends { readonly path: string }>(
  entries: AsyncIterable<T>,
  met: () => void,
): AsyncGenerator<T, void, undefined> {
  for await (const entry of entries) {
    if (entry.path === GONE) met();
    else yield entry;
  }
}

/** A chain, opened. Level 0 is the newest. */
interface Layers {
  readonly files: readonly Files[];
  /** The newest level of each path that an increment holds. */
  readonly nearest: ReadonlyMap<string, number>;
  /** Folders of increments by path, as the newest has them. */
  readonly folders: ReadonlyMap<string, IndexEntry | Entry>;
  /** Whether an entry of a level is part of the tree. */
  readonly stands: (level: number, path: string) => boolean;
}

async function openLayers(newest: Files): Promise<Layers> {
  const files: Files[] = [];
  const nearest = new Map<string, number>();
  const folders = new Map<string, IndexEntry | Entry>();
  const goneAt = new Map<string, number>();
  let next: Files | undefined = newest;
  for (let level = 0; next?.below; level++) {
    for await (const entry of next.listing ? next.listing() : next.entries()) {
      if (nearest.has(entry.path)) continue;
      nearest.set(entry.path, level);
      if (entry.kind === "directory") folders.set(entry.path, entry);
    }
    for (const path of await goneIn(next)) if (!goneAt.has(path)) goneAt.set(path, level);
    files.push(next);
    next = await next.below();
  }
  files.push(next!);
  await dress(files.slice(0, -1), nearest, folders);
  const stands = (level: number, path: string): boolean => {
    if (path === GONE || (nearest.get(path) ?? level) < level) return false;
    const later = { has: (one: string): boolean => (goneAt.get(one) ?? level) < level };
    return goneAt.size === 0 || !isGone(path, later);
  };
  return { files, nearest, folders, stands };
}

/** Gives folders the attributes that an index has no more than a digest of: they are yielded before their own increment is read. */
async function dress(
  increments: readonly Files[],
  nearest: ReadonlyMap<string, number>,
  folders: Map<string, IndexEntry | Entry>,
): Promise<void> {
  const bare = new Set<number>();
  for (const [path, entry] of folders) {
    if ("attributes" in entry && entry.attributes !== undefined) bare.add(nearest.get(path)!);
  }
  for (const level of bare) {
    for await (const entry of increments[level]!.entries(() => false)) {
      if (entry.kind === "directory" && nearest.get(entry.path) === level) folders.set(entry.path, entry);
    }
  }
}

async function* merged(
  open: () => Promise<Layers>,
  wanted?: (path: string) => boolean,
): AsyncGenerator<Entry, void, undefined> {
  const { files, nearest, folders, stands } = await open();
  const early = new Set<string>();
  for (let level = files.length - 1; level >= 0; level--) {
    const own = (path: string): boolean => stands(level, path) && wanted!(path);
    for await (const entry of files[level]!.entries(wanted && own)) {
      const { path } = entry;
      if (stands(level, path)) {
        // Of a part, a folder that is not wanted itself comes once more, directly before what is wanted in it.
        if (!early.has(path) || wanted && entry.kind === "directory" && !wanted(path)) yield entry;
        continue;
      }
      const newer = entry.kind === "directory" ? folders.get(path) : undefined;
      if (!newer || early.has(path) || !stands(nearest.get(path)!, path)) continue;
      early.add(path);
      yield folderOf(newer);
    }
  }
}

/** A folder's entry, out of a line of the index or as it is. */
function folderOf(entry: IndexEntry | Entry): Entry {
  const { path, kind, mode, mtimeMs, mtimeNs, uid, gid, uname, gname, bytes } = entry;
  const on = "attributes" in entry ? {} : { xattrs: (entry as Entry).xattrs, acl: (entry as Entry).acl };
  return { path, kind, mode, mtimeMs, mtimeNs, uid, gid, uname, gname, bytes, ...on };
}

/** The lines of all levels that stand, in path order: each level's come so. */
async function* listed(open: () => Promise<Layers>): AsyncGenerator<IndexEntry, void, undefined> {
  const { files, stands } = await open();
  if (files.some(({ listing }) => !listing)) {
    throw new IntegrityError(
      "Cannot list this backup: one that it builds on has no index. Restore all of it",
    );
  }
  const heads = await Promise.all(files.map(async ({ listing }, level) => {
    const lines = listing!()[Symbol.asyncIterator]();
    const step = async (): Promise<IndexEntry | undefined> => {
      for (;;) {
        const { done, value } = await lines.next();
        if (done) return undefined;
        if (stands(level, value.path)) return value;
      }
    };
    return { step, line: await step() };
  }));
  for (;;) {
    let first: typeof heads[number] | undefined;
    for (const head of heads) {
      if (head.line && (!first || comparePaths(head.line.path, first.line!.path) < 0)) first = head;
    }
    if (!first) return;
    yield first.line!;
    first.line = await first.step();
  }
}
