/**
 * Plans how a staged tree takes its place: one rename where nothing stands in the way, else a merge, topmost things first.
 * Planning changes nothing; all conflicts are known when it ends.
 *
 * @module
 */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { StoreError } from "../errors.ts";
import { isRaw } from "../raw_name.ts";
import type { Conflict } from "../stage.ts";
import {
  beginJournal,
  type FolderMeta,
  type Journal,
  markDone,
  type Move,
  perform,
  type Touch,
} from "./journal.ts";
import { type Disk, type Look, plainDisk } from "./disk.ts";
import type { Step } from "./moves.ts";
import { codeOf } from "./place.ts";
import { isStaging, quote } from "./select.ts";
import type { Mounts, Staging } from "./staging.ts";

/** What a swap will do at one place. */
export interface Plan {
  /** Renames, in order. */
  readonly moves: Move[];
  /** Existing folders that change. */
  readonly touches: Touch[];
  /** Paths below the target that stand in the way, under "error". */
  readonly conflicts: string[];
  /** Paths below the target that stay as they are, under "skip". */
  readonly skipped: string[];
}

/** How to plan. */
export interface PlanOptions {
  /** What to do with existing things. */
  readonly conflict: Conflict;
  /** Whether the archive itself holds this directory, so that an existing one takes its metadata under "overwrite". */
  readonly asked: (path: string) => boolean;
  /** Where other file systems begin. */
  readonly mounts: Mounts;
  /** Whether owners are restored. */
  readonly owners: boolean;
  /** Whether a folder takes the place of the one that stands there as a whole, with all that is in it, instead of being merged. */
  readonly replace?: boolean | undefined;
  /** Default: without the C library. */
  readonly disk?: Disk | undefined;
}

/** A file system's own folder at its root, which fsck(8) needs. */
const FILE_SYSTEM_OWN = "lost+found";

/** Compares `staging`/new with its target. */
export function planSwap(staging: Staging, options: PlanOptions): Plan {
  const { target } = staging.owner;
  const { disk = plainDisk } = options;
  const top = join(staging.path, "new");
  const plan: Plan = { moves: [], touches: [], conflicts: [], skipped: [] };
  let aside = 0;

  function visit(path: string): void {
    const from = path === "" ? top : `${top}/${path}`;
    const to = path === "" ? target : join(target, path);
    const here = disk.look(to);
    if (!here) return void plan.moves.push({ from, to });
    const staged = disk.look(from)!;
    if (here.isDirectory() && staged.isDirectory()) return merge(path, from, to, here, staged);
    if (options.conflict === "error") return void plan.conflicts.push(path);
    if (options.conflict === "skip") return void plan.skipped.push(path);
    if (here.isDirectory()) refuseMounts(disk, to, here.dev, options.mounts);
    plan.moves.push(replacing(from, to, staged, here));
  }

  function replacing(from: string, to: string, staged: Look, here: Look): Move {
    return {
      from,
      to,
      old: join(staging.path, "old", String(aside++)),
      inodes: [staged.ino, here.ino],
    };
  }

  function merge(path: string, from: string, to: string, here: Look, staged: Look): void {
    if (path === "" && options.replace && !holdsStaging(staging, to)) {
      refuseMounts(disk, to, here.dev, options.mounts);
      return void plan.moves.push(replacing(from, to, staged, here));
    }
    const before = metaOf(here);
    const apply = options.conflict === "overwrite" && options.asked(path);
    if (path === "" && replaceable(staging, to, options.mounts)) {
      // The one folder nobody has put anything in: the new one takes its place whole, with its mode unless asked otherwise.
      if (!options.asked("")) dress(from, before, options.owners);
      plan.moves.push({ from, to, empty: true });
      plan.touches.push({ folder: to, before });
      return;
    }
    const items = disk.names(from).sort();
    if (items.length > 0 && here.dev !== staged.dev || (path !== "" && isMount(to, options.mounts))) {
      throw new StoreError(
        `Cannot restore into ${quote(to)}: it is another file system than ${
          quote(target)
        }, and a swap cannot span two. ` +
          "Restore that folder on its own (--only and --into)",
      );
    }
    const after = apply
      ? { ...metaOf(staged), ...(options.owners ? {} : { uid: here.uid, gid: here.gid }) }
      : undefined;
    plan.touches.push({ folder: to, before, ...(after ? { after } : {}) });
    if (path === "" && options.replace) replaceChildren(to, here.dev, items);
    else for (const name of items) visit(path === "" ? name : `${path}/${name}`);
  }

  /** Of a folder that has to stay, such as a mount point: everything in it goes, and what is staged comes. */
  function replaceChildren(folder: string, dev: number, items: readonly string[]): void {
    const here = disk.names(folder).filter((name) => !isStaging(name) && name !== FILE_SYSTEM_OWN);
    for (const name of new Set([...here, ...items])) {
      const to = join(folder, name);
      const from = items.includes(name) ? join(top, name) : undefined;
      if (from !== undefined && !here.includes(name)) {
        plan.moves.push({ from, to });
        continue;
      }
      const standing = disk.look(to)!;
      if (standing.isDirectory()) refuseMounts(disk, to, dev, options.mounts);
      plan.moves.push(
        from === undefined
          ? { to, old: join(staging.path, "old", String(aside++)) }
          : replacing(from, to, disk.look(from)!, standing),
      );
    }
  }

  visit("");
  if (plan.conflicts.length === 0) refuseClosed(plan.moves);
  return plan;
}

/** Linux makes a file without a name wherever one may be made: it leaves no trace, not even in the folder's time. */
const O_TMPFILE = 0o20200000;

/** A folder that takes nothing new is better found before the first thing has moved. */
function refuseClosed(moves: readonly Move[]): void {
  if (Deno.build.os !== "linux") return;
  for (const folder of new Set(moves.filter(({ empty }) => !empty).map(({ to }) => dirname(to)))) {
    if (isRaw(folder)) continue;
    try {
      fs.closeSync(fs.openSync(folder, O_TMPFILE | fs.constants.O_WRONLY, 0o600));
    } catch (cause) {
      // Whatever else is wrong, such as a file system without such files, the moves themselves will tell.
      if (!["EACCES", "EPERM", "EROFS"].includes(codeOf(cause))) continue;
      throw new StoreError(
        `Cannot restore into ${quote(folder)}: this user may not write in it (${codeOf(cause)}). ` +
          "Nothing was changed. Choose another target, or run as a user who may",
        { cause },
      );
    }
  }
}

function isMount(path: string, mounts: Mounts): boolean {
  return mounts.known && !isRaw(path) && mounts.isMount(path);
}

/** An empty folder that can be replaced as a whole: no mount point, and not the one the staging folder lies in. */
function replaceable(staging: Staging, target: string, mounts: Mounts): boolean {
  return !holdsStaging(staging, target) && !mounts.isMount(target) &&
    fs.readdirSync(target).length === 0;
}

/** Whether the staging folder lies inside its target, which then cannot be moved. */
function holdsStaging(staging: Staging, target: string): boolean {
  return staging.path.startsWith(join(target, "/"));
}

function dress(folder: string, meta: FolderMeta, owners: boolean): void {
  if (owners) fs.chownSync(folder, meta.uid, meta.gid);
  fs.chmodSync(folder, meta.mode);
}

/** Moving a folder aside and removing it must not reach into what is mounted in it. */
function refuseMounts(disk: Disk, path: string, dev: number, mounts: Mounts): void {
  const point = mounts.below(path) ??
    (isMount(path, mounts) ? path : foreign(disk, path, dev));
  if (point !== undefined) {
    throw new StoreError(`Cannot replace ${quote(path)}: ${quote(point)} is a mount point. Unmount it first`);
  }
}

function foreign(disk: Disk, path: string, dev: number): string | undefined {
  for (const name of disk.folders(path)) {
    const child = join(path, name);
    const found = disk.look(child);
    // Gone, or a name that cannot be reached here.
    if (!found) continue;
    if (found.dev !== dev) return child;
    const deeper = foreign(disk, child, dev);
    if (deeper !== undefined) return deeper;
  }
  return undefined;
}

function metaOf(stat: Look): FolderMeta {
  return { mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, mtimeMs: stat.mtimeMs };
}

/** Makes the moves of all places under one journal, for good. `step` is for tests. */
export function commit(
  stagings: readonly Staging[],
  plans: readonly Plan[],
  step?: Step,
  disk?: Disk,
): void {
  markDone(swapIn(stagings, plans, step, disk), step);
}

/** Makes the moves of all places under one journal, which can take them back until it is marked as done. */
export function swapIn(
  stagings: readonly Staging[],
  plans: readonly Plan[],
  step?: Step,
  disk?: Disk,
): Journal {
  const journal: Journal = {
    stagings: stagings.map(({ path }) => path),
    moves: plans.flatMap(({ moves }) => moves),
    touches: plans.flatMap(({ touches }) => touches),
  };
  beginJournal(journal.stagings[0]!, journal);
  perform(journal, step, disk);
  return journal;
}
