/**
 * The way back: entries become files, all or none.
 *
 * Everything is first written into a staging folder on the target's file system. Only when the archive has ended without an
 * error (so everything has been verified) are the new things swapped in, by renames that a journal can take back.
 *
 * @module
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { ExistsError, messageOf, StoreError } from "../errors.ts";
import { ACL_ATTRIBUTES } from "../libc/acl.ts";
import type { Context, Files } from "../stage.ts";
import { type Disk, openDisk } from "./disk.ts";
import { type Dresser, dresser } from "./dress.ts";
import { checkSpace, dryRun, fill, refuseConflicts, type Survey, survey } from "./fill.ts";
import { markDone, readJournal, rollBack } from "./journal.ts";
import { namesFor } from "./names.ts";
import { type Owners, ownersFor } from "./owner.ts";
import { makeShared } from "./parents.ts";
import { codeOf, type Tree, tree } from "./place.ts";
import { recover } from "./recover.ts";
import { register, type Registration } from "./registry.ts";
import { reportPlan, shownPath } from "./report.ts";
import { quote, select, type Selection } from "./select.ts";
import { type Mounts, readMounts, removeStaging, stage, type Staging, ways } from "./staging.ts";
import { type Plan, planSwap, swapIn } from "./swap.ts";
import { syncTrees } from "./sync_trees.ts";

export { recover, type Recovered } from "./recover.ts";

/** A collected root: where it lies in the archive, and where it came from. */
export interface Root {
  /** Stored path, as in {@linkcode Entry}. */
  readonly path: string;
  /** The absolute path it was read from. */
  readonly source: string;
}

/** Where an entry waits and where it will stand; undefined for one that is not wanted. */
export type Placed = (path: string) => { readonly staged: string; readonly target: string } | undefined;

/** A last look, when everything is staged and verified and there is no conflict: what it throws takes all back. */
export type Inspect = (placed: Placed) => Promise<void>;

/** A restore under way. */
interface Session {
  readonly selection: Selection;
  readonly stagings: readonly Staging[];
  readonly trees: readonly Tree[];
  readonly owners: Owners | undefined;
  readonly mounts: Mounts;
  readonly registration: Registration;
  readonly disk: Disk;
  readonly on: Dresser;
}

/**
 * Writes the wanted entries below `want.into`, or with `want.inPlace` each root to where it came from; all or none.
 *
 * - Conflicts: "error" finds all of them before anything is touched, "skip" leaves what exists, "overwrite" replaces it (a
 *   folder where the archive has a folder is merged, and takes its mode and time). Things the archive does not have stay.
 * - Mode, modification time to the millisecond, symbolic and hard links always; owner, set-uid and set-gid for root only.
 * - No entry leaves the target; links are never followed; devices and pipes are refused.
 * - What replaces something is on disk before what it replaces is removed. What replaces nothing is left to the system's own
 *   write-back, as with tar: after a power failure within seconds of the end, restore again.
 *
 * Throws {@linkcode ExistsError}, {@linkcode IntegrityError} (names, limits, damage), {@linkcode NotFoundError} (`want.only`
 * matches nothing), {@linkcode StoreError} (disk full, not writable). Whatever it throws, the target is as it was. `inspect` is asked
 * before anything is swapped in.
 */
export async function extract(
  files: Files,
  context: Context,
  roots: readonly Root[] = [],
  inspect?: Inspect,
): Promise<void> {
  const asked = await select(context.want, roots);
  if (context.want.dryRun) {
    using disk = openDisk();
    return await dryRun(files, context, asked, disk);
  }
  await recover(context, asked.places.map(({ target }) => target));
  const forget = context.want.inPlace
    ? makeShared(asked.places.map(({ target, inner }) => join(target, inner)))
    : () => {};
  try {
    await restoreAll(files, context, roots, inspect);
  } catch (error) {
    forget();
    throw error;
  }
}

async function restoreAll(
  files: Files,
  context: Context,
  roots: readonly Root[],
  inspect: Inspect | undefined,
): Promise<void> {
  // What was taken back may have been above the target.
  const selection = await select(context.want, roots);
  using disk = openDisk();
  const found = await survey(files, context, selection, disk);
  const session = await open(context, selection, disk);
  let plans: readonly Plan[];
  try {
    checkSpace(found.bytes, session.stagings.map(({ path }) => path));
    plans = await write(files, context, session, found, inspect);
  } catch (error) {
    throw await abandon(session, error);
  }
  await clear(context, session, plans);
}

async function open(context: Context, selection: Selection, disk: Disk): Promise<Session> {
  const mounts = readMounts();
  const stagings: Staging[] = [];
  try {
    for (const { target } of selection.places) stagings.push(stage(target, mounts, stagings[0]?.path));
    for (const { path } of stagings) disinherit(path, disk);
    const registration = await register(context.state, stagings.map(({ path }) => path));
    const { umask, ...made } = ways(stagings[0]!);
    const owners = ownersFor(made, context.log);
    const on = dresser(disk.writer, owners, context.log);
    const trees = stagings.map(({ path }) => tree(join(path, "new"), umask, owners, on, disk));
    return { selection, stagings, trees, owners, mounts, registration, disk, on };
  } catch (error) {
    for (const staging of stagings.toReversed()) removeStaging(staging, true);
    throw error;
  }
}

/** What is made in a folder gets its default ACL instead of the umask; what is restored has its own, or none. */
function disinherit(path: string, { writer }: Disk): void {
  if (!writer?.removeAttribute(path, ACL_ATTRIBUTES.default)) return;
  fs.rmdirSync(join(path, "old"));
  fs.mkdirSync(join(path, "old"), 0o777);
}

async function write(
  files: Files,
  context: Context,
  session: Session,
  found: Survey,
  inspect: Inspect | undefined,
): Promise<readonly Plan[]> {
  const { selection, stagings, trees } = session;
  selection.places.forEach(({ prefix, inner }, i) => {
    if (prefix === "") trees[i]!.directory(inner, undefined, false);
  });
  await fill(files, context, selection, trees, found, namesFor(session.disk.raw, context.log));
  session.on.report();
  context.signal.throwIfAborted();
  const plans = plan(context, session);
  const replacing = plans.flatMap(({ moves }) =>
    moves.flatMap(({ from, old }) => old !== undefined && from !== undefined ? [from] : [])
  );
  await inspect?.(placesOf(session));
  await syncTrees(replacing, session.disk);
  await session.registration.renew();
  context.signal.throwIfAborted();
  const journal = swapIn(stagings, plans, undefined, session.disk);
  // Whoever depends on the new things has the last word, while the old ones are still there.
  await context.want.confirm?.();
  markDone(journal);
  return plans;
}

function placesOf({ selection, stagings }: Session): Placed {
  return (path) => {
    const spot = selection.wanted(path) ? selection.spot(path, false) : undefined;
    if (!spot) return undefined;
    const { target } = selection.places[spot.place]!;
    return { staged: join(stagings[spot.place]!.path, "new", spot.path), target: join(target, spot.path) };
  };
}

function plan(context: Context, session: Session): readonly Plan[] {
  const { selection, stagings, trees, owners, mounts, disk } = session;
  const { conflict, replace } = context.want;
  const plans = stagings.map((staging, i) =>
    // In place, a root that the request left out has nothing staged.
    fs.lstatSync(join(staging.path, "new"), { throwIfNoEntry: false })
      ? planSwap(staging, {
        conflict,
        replace: replace === true && conflict === "overwrite",
        mounts,
        asked: trees[i]!.asked,
        owners: owners !== undefined,
        disk,
      })
      : { moves: [], touches: [], conflicts: [], skipped: [] }
  );
  const all = plans.flatMap(({ conflicts }, i) =>
    conflicts.map((path) => shownPath(selection.places[i]!, path))
  );
  refuseConflicts({ conflicts: () => ({ first: all.slice(0, 5), count: all.length }) }, selection);
  return plans;
}

/** Takes everything back and gives the error to throw. */
async function abandon({ stagings, registration, disk }: Session, error: unknown): Promise<unknown> {
  try {
    const journal = readJournal(stagings[0]!.path);
    if (journal) rollBack(journal, undefined, disk);
    for (const staging of stagings.toReversed()) removeStaging(staging, true);
    await registration.remove();
  } catch (cause) {
    for (const staging of stagings) staging.release();
    return new AggregateError(
      [error, cause],
      `Cannot restore (${messageOf(error)}), and taking it back failed (${
        messageOf(cause)
      }). The next command tries again`,
    );
  }
  if (codeOf(error) === "") return error;
  const target = quote(stagings[0]!.owner.target);
  const Kind = codeOf(error) === "EEXIST" ? ExistsError : StoreError;
  return new Kind(`Cannot restore into ${target}: ${messageOf(error)}. Everything was taken back`, {
    cause: error,
  });
}

/** The new tree stands; what is left must not make the restore fail. */
async function clear(context: Context, session: Session, plans: readonly Plan[]): Promise<void> {
  const { stagings, selection, registration, disk } = session;
  try {
    if (context.want.report) {
      plans.forEach((one, i) =>
        reportPlan(one, stagings[i]!, selection.places[i]!, context.want.report!, disk)
      );
    }
  } finally {
    try {
      for (const staging of stagings.toReversed()) removeStaging(staging, false);
      await registration.remove();
    } catch (error) {
      for (const staging of stagings) staging.release();
      context.log.warn(
        "leftover",
        `Restored, but the replaced things could not be removed: ${messageOf(error)}`,
      );
    }
  }
}
