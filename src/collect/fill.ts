/**
 * Reads an archive's entries into staged trees, and looks through its index beforehand where there is one.
 *
 * @module
 */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { setImmediate } from "node:timers";
import { formatBytes } from "../bytes.ts";
import { ExistsError, IntegrityError, NotFoundError, StoreError } from "../errors.ts";
import type { Context, Entry, Files, IndexEntry } from "../stage.ts";
import type { Disk } from "./disk.ts";
import { type Names, namesFor } from "./names.ts";
import type { Tree } from "./place.ts";
import { type Preview, preview, shownPath } from "./report.ts";
import { checkPath, counter, isStaging, quote, type Selection, type Spot } from "./select.ts";

/** What is known before the first byte is written. */
export interface Survey {
  /** Contents whose first name is not wanted but another one is: the first name, and where the content goes. */
  readonly rescued: ReadonlyMap<string, Spot>;
  /** The wanted content in bytes; undefined without an index. */
  readonly bytes: number | undefined;
}

type Visit = (entry: Entry | IndexEntry, spot: Spot) => void;

/**
 * Goes through the index, if there is one: everything that can be refused before a byte is written is refused here.
 * Throws {@linkcode IntegrityError}, {@linkcode ExistsError}, {@linkcode NotFoundError}.
 */
export async function survey(
  files: Files,
  context: Context,
  selection: Selection,
  disk: Disk,
): Promise<Survey> {
  if (!files.listing) return { rescued: new Map(), bytes: undefined };
  const rescued = new Map<string, Spot>();
  const look = preview(selection, context.want, disk);
  let bytes = 0;
  const visit: Visit = (entry, spot) => {
    // Of a sparse file about what is stored of it is written.
    bytes += "stored" in entry ? entry.stored ?? entry.bytes : entry.bytes;
    look.look(entry, spot);
    const { kind, target } = entry;
    if (kind !== "hardlink" || target === undefined || rescued.has(target)) return;
    if (!reaches(selection, target)) rescued.set(target, spot);
  };
  await scan(files.listing(), context, selection, namesFor(disk.raw, context.log), visit);
  refuseConflicts(look, selection);
  return { rescued, bytes };
}

/** Reports what a restore would do with each wanted entry. Without an index it reads the archive to its end. */
export async function dryRun(
  files: Files,
  context: Context,
  selection: Selection,
  disk: Disk,
): Promise<void> {
  const look = preview(selection, context.want, disk);
  const names = namesFor(disk.raw, context.log);
  await scan(files.listing ? files.listing() : files.entries(), context, selection, names, (entry, spot) => {
    const action = look.look(entry, spot);
    const shown = shownPath(selection.places[spot.place]!, spot.path);
    if (shown !== "") context.want.report?.(shown, action);
  });
  warnUnmatched(context, selection);
  names.report();
  refuseConflicts(look, selection);
}

async function scan(
  entries: AsyncIterable<Entry | IndexEntry>,
  context: Context,
  selection: Selection,
  names: Names,
  visit: Visit,
): Promise<void> {
  const count = counter(context.want.limits);
  const pause = pauser(context.signal);
  let any = false;
  for await (const entry of entries) {
    checkPath(entry.path, "the entry", context.want.limits);
    const asked = selection.wanted(entry.path) && !isStaging(entry.path);
    const wanted = asked && names.takes(entry);
    if (asked && !wanted) names.leave(entry);
    count(entry, wanted);
    const spot = wanted ? selection.spot(entry.path, entry.kind === "directory") : undefined;
    if (spot) {
      any = true;
      visit(entry, spot);
    }
    await pause();
  }
  requireAny(any, context);
}

function reaches(selection: Selection, path: string): boolean {
  return selection.wanted(path) && selection.spot(path, false) !== undefined;
}

/** Throws when nothing was wanted. */
function requireAny(any: boolean, context: Context): void {
  const { only, strip } = context.want;
  if (!any && (only.length > 0 || strip > 0)) {
    const what = only.length > 0 ? `matches ${some(only)}` : `has more than ${strip} path parts`;
    throw new NotFoundError(
      `Cannot restore: nothing in the backup ${what}. Nothing was changed; see its names with --dry-run and no --only`,
    );
  }
}

function warnUnmatched(context: Context, selection: Selection): void {
  const globs = selection.unmatched();
  if (globs.length > 0) context.log.warn("unmatched", `Nothing in the backup matches ${some(globs)}`);
}

/** The first few of many names. */
function some(names: readonly string[]): string {
  const more = names.length > 5 ? ` and ${names.length - 5} more` : "";
  return names.slice(0, 5).map(quote).join(", ") + more;
}

/** Throws {@linkcode ExistsError} naming the first conflicts. */
export function refuseConflicts(look: Pick<Preview, "conflicts">, selection: Selection): void {
  const { first, count } = look.conflicts();
  if (count === 0) return;
  const into = selection.places.map(({ shown }) => quote(shown)).join(", ");
  const names = first.map(quote).join(", ") +
    (count > first.length ? ` and ${count - first.length} more` : "");
  throw new ExistsError(
    `Cannot restore into ${into}: ${count === 1 ? "this exists" : `${count} things exist`} ` +
      `already: ${names}. ` +
      "Nothing was changed. Use --conflict skip or --conflict overwrite, or another folder",
  );
}

/** Throws when the index says that the content will not fit. `staged` are the staging folders. */
export function checkSpace(bytes: number | undefined, staged: readonly string[]): void {
  for (const path of bytes === undefined ? [] : staged.slice(0, 1)) {
    let free: number;
    try {
      const { bavail, bsize } = statfsSync(path);
      free = bavail * bsize;
    } catch {
      return; // not every file system (or permission set) tells
    }
    if (bytes! > free) {
      throw new StoreError(
        `Cannot restore: ${formatBytes(bytes!)} are needed and ${formatBytes(free)} are free in ${
          quote(dirname(path))
        }. ` +
          "Nothing was changed; free space or choose another target",
      );
    }
  }
}

/** Writes every wanted entry into its tree. Returns when the archive has ended, that is, when all of it is verified. */
export async function fill(
  files: Files,
  context: Context,
  selection: Selection,
  trees: readonly Tree[],
  { rescued }: Survey,
  names: Names,
): Promise<void> {
  const { limits } = context.want;
  const count = counter(limits);
  const pause = pauser(context.signal);
  const above = folderStack();
  const moved = new Map<string, Spot>();
  const tops: Entry[] = [];
  let entries = 0;
  let bytes = 0;
  let told = 0;
  async function tick(more: number): Promise<void> {
    bytes += more;
    if (bytes - told >= 1 << 20) {
      told = bytes;
      context.progress({ phase: "restore", bytes, entries });
    }
    await pause();
  }

  const needed = (path: string): boolean => selection.wanted(path) || rescued.has(path);
  for await (const entry of files.entries(context.want.only.length > 0 ? needed : undefined)) {
    checkPath(entry.path, "the entry", limits);
    if (isStaging(entry.path)) {
      context.log.warn(
        "staging",
        `Left out ${quote(entry.path)}: it was a restore under way when the backup was made`,
      );
      continue;
    }
    const wanted = selection.wanted(entry.path);
    if (!names.takes(entry)) {
      if (wanted) names.leave(entry);
      continue;
    }
    const kept = rescued.get(entry.path);
    // A chain gives such a folder more than once; none is kept.
    if (entry.kind !== "directory" || wanted) count(entry, wanted || kept !== undefined);
    if (entry.kind === "directory" && context.want.only.length > 0) above.push(entry);
    const spot = (wanted ? selection.spot(entry.path, entry.kind === "directory") : undefined) ?? kept;
    if (spot) {
      entries++;
      if (kept) moved.set(entry.path, kept);
      if (context.want.only.length > 0) above.make(entry.path, selection, trees);
      if (context.want.strip > 0 && isTop(spot, selection)) tops.push(entry);
      else await put(entry, spot, trees, tick);
      if (entry.body instanceof Uint8Array) bytes += entry.bytes;
    }
    await tick(0);
  }
  // Where strip makes just one folder the target itself, that folder's mode and time are the target's.
  if (tops.length === 1) await put(tops[0]!, selection.spot(tops[0]!.path, true)!, trees, tick);
  requireAny(entries > 0, context);
  warnUnmatched(context, selection);
  for (const made of trees) made.finish();
  names.report();
  context.progress({ phase: "restore", bytes, entries });

  async function put(entry: Entry, spot: Spot, all: readonly Tree[], ticks: typeof tick): Promise<void> {
    checkEntry(entry);
    const into = all[spot.place]!;
    switch (entry.kind) {
      case "directory":
        return into.directory(spot.path, entry, true);
      case "file":
        return await into.file(spot.path, entry, ticks);
      case "symlink":
        return into.symlink(spot.path, entry);
      case "hardlink": {
        checkPath(entry.target ?? "", `the hard link ${quote(entry.path)} to`, limits);
        const from = origin(entry, selection, moved);
        if (from.place === spot.place && from.path === spot.path && moved.has(entry.target!)) return;
        return into.hardlink(spot.path, entry, all[from.place]!, from.path);
      }
      default:
        throw new IntegrityError(
          `Cannot restore ${quote(entry.path)}: only files, folders and links are restored, not ${
            quote(String(entry.kind))
          }`,
        );
    }
  }
}

/** Where a hard link's content has gone. */
function origin(entry: Entry, selection: Selection, moved: ReadonlyMap<string, Spot>): Spot {
  const target = entry.target!;
  const spot = moved.get(target) ?? (selection.wanted(target) ? selection.spot(target, false) : undefined);
  if (spot) return spot;
  throw new NotFoundError(
    `Cannot restore ${quote(entry.path)}: it is a hard link to ${
      quote(target)
    }, which is left out. Add --only ${quote(target)}`,
  );
}

/** Whether a spot is the folder the operator named. */
function isTop(spot: Spot, selection: Selection): boolean {
  const { prefix, inner } = selection.places[spot.place]!;
  return prefix === "" && spot.path === inner;
}

function checkEntry(entry: Entry): void {
  const { mode, mtimeMs, bytes } = entry;
  const fine = Number.isInteger(mode) && mode >= 0 && mode <= 0o7777 && Number.isFinite(mtimeMs) &&
    Math.abs(mtimeMs) <= 8.64e15 && Number.isSafeInteger(bytes) && bytes >= 0;
  if (fine) return;
  throw new IntegrityError(
    `Cannot restore ${quote(entry.path)}: its mode, time or size is impossible. ` +
      "The archive is damaged; take another copy, or restore the rest with --only",
  );
}

/** The folders above the current entry, so that those made on the way to a wanted one get their own metadata. */
function folderStack(): {
  push: (entry: Entry) => void;
  make: (path: string, selection: Selection, trees: readonly Tree[]) => void;
} {
  let stack: Entry[] = [];
  return {
    push: (entry) => {
      stack = stack.filter(({ path }) => entry.path.startsWith(path + "/"));
      stack.push(entry);
    },
    make: (path, selection, trees) => {
      for (const folder of stack) {
        if (!path.startsWith(folder.path + "/")) continue;
        const spot = selection.spot(folder.path, true);
        if (spot && !isTop(spot, selection)) trees[spot.place]!.directory(spot.path, folder, false);
      }
    },
  };
}

/** Lets timers and signals in every 16 ms, and stops when the run is cancelled. */
function pauser(signal: AbortSignal): () => Promise<void> | void {
  let last = performance.now();
  return () => {
    const now = performance.now();
    if (now - last < 16) return;
    return new Promise((resolve, reject) =>
      setImmediate(() => {
        last = performance.now();
        if (signal.aborted) reject(signal.reason);
        else resolve();
      })
    );
  };
}
