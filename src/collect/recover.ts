/**
 * Takes back, or finishes, what a crash left of a restore. Called at the start of every command.
 *
 * @module
 */
import { lstatSync } from "node:fs";
import { dirname, isAbsolute, join, normalize, sep } from "node:path";
import { messageOf } from "../errors.ts";
import type { Log, State } from "../stage.ts";
import { openDisk } from "./disk.ts";
import { isDone, type Journal, readJournal, rollBack } from "./journal.ts";
import type { Step } from "./moves.ts";
import { registered } from "./registry.ts";
import { claimLeftover, leftoversNear, removeStaging, type Staging } from "./staging.ts";

/** What {@linkcode recover} found, by target. */
export interface Recovered {
  /** Targets that are again as they were before a restore that died. */
  readonly rolledBack: readonly string[];
  /** Targets whose restore was complete but not cleaned up. */
  readonly finished: readonly string[];
  /** Targets beside which an unfinished copy was removed. */
  readonly removed: readonly string[];
}

type Outcome = keyof Recovered | "alive" | "gone" | "unknown";

/**
 * Rolls back restores that died before their end and finishes those that died after it: all that this host's state knows,
 * and those lying beside the `targets` (absolute paths). Restores whose process lives are left alone. Safe to call at any
 * time, from many processes. A roll back that fails beside a target throws, one elsewhere warns; the next call tries again.
 */
export async function recover(
  context: { readonly state: State; readonly log: Log },
  targets: readonly string[] = [],
  step: (what: string) => void = () => {},
): Promise<Recovered> {
  const found = { rolledBack: [] as string[], finished: [] as string[], removed: [] as string[] };
  function note({ outcome, target }: { outcome: Outcome; target: string }): void {
    if (outcome === "rolledBack" || outcome === "finished" || outcome === "removed") {
      found[outcome].push(target);
    }
    if (outcome === "rolledBack") context.log.info(`Took back an interrupted restore into "${target}"`);
    if (outcome === "unknown") {
      context.log.warn(
        "leftover",
        `Left "${target}" alone: it looks like an interrupted restore, but is not this user's`,
      );
    }
  }
  const near = new Set(targets.flatMap(leftoversNear));
  for (const { path, forget } of await registered(context.state)) {
    try {
      const result = settle(path, true, step);
      note(result);
      // A missing parent may be a disk that is not mounted just now: keep the line until it is back.
      const unmounted = result.outcome === "gone" && !lstatSync(dirname(path), { throwIfNoEntry: false });
      if (result.outcome !== "alive" && !unmounted) await forget();
    } catch (error) {
      // What cannot be taken back somewhere else must not stop this command.
      if (near.has(path)) throw error;
      context.log.warn("leftover", messageOf(error));
    }
    near.delete(path);
  }
  for (const path of near) note(settle(path, false, step));
  return found;
}

/** Brings one leftover to an end. `known`: this host's state says it is ours, so its journal is believed. */
function settle(path: string, known: boolean, step: Step): { outcome: Outcome; target: string } {
  if (!known && !mine(path)) return { outcome: "unknown", target: path };
  const staging = claimLeftover(path);
  if (!staging) return { outcome: "gone", target: path };
  if (staging === "alive") return { outcome: "alive", target: path };
  try {
    return { outcome: end(staging, known, step), target: staging.owner.target };
  } finally {
    staging.release();
  }
}

function end(staging: Staging, known: boolean, step: Step): Outcome {
  const { path, owner } = staging;
  if (owner.lead !== path) return endFollower(staging, known, step);
  const journal = readJournal(path);
  if (!journal) {
    // Either nothing was moved yet, or everything was, and only the clearing up is left.
    const done = isDone(path);
    removeStaging(staging, !done);
    return done ? "finished" : "removed";
  }
  if (!known && !confined(staging, journal)) return "unknown";
  const done = isDone(path);
  if (!done) {
    using disk = openDisk();
    rollBack(journal, step, disk);
  }
  for (const follower of journal.stagings.slice(1)) {
    const claimed = claimLeftover(follower);
    if (claimed && claimed !== "alive") removeStaging(claimed, !done);
  }
  removeStaging(staging, !done);
  return done ? "finished" : "rolledBack";
}

/** A staging folder whose journal is elsewhere: that one decides; without it nothing had begun, or all was cleared. */
function endFollower(staging: Staging, known: boolean, step: Step): Outcome {
  const { path, owner } = staging;
  if (lstatSync(owner.lead, { throwIfNoEntry: false })) {
    if (!known) return "unknown";
    // Whoever ends the leading one takes this one's lock.
    staging.release();
    return settle(owner.lead, known, step).outcome;
  }
  // With old things in it, its journal may be on a disk that is not mounted just now.
  if (hasOld(path)) return "unknown";
  removeStaging(staging, true);
  return "removed";
}

function hasOld(path: string): boolean {
  try {
    return Array.from(Deno.readDirSync(join(path, "old"))).length > 0;
  } catch {
    return false;
  }
}

/** Made by this user, and closed to others: what another user puts beside a target is not acted on. */
function mine(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return true;
  let uid: number | undefined;
  try {
    uid = Deno.uid() ?? undefined;
  } catch { /* not permitted to ask; then the state has to know the folder */ }
  return stat.uid === uid && (stat.mode & 0o077) === 0;
}

/**
 * A journal that only lies there, unknown to this host's state, may have come out of somebody's archive: it is believed only
 * as far as it stays with its own target.
 */
function confined({ path, owner }: Staging, journal: Journal): boolean {
  const { target } = owner;
  const beside = dirname(path) === dirname(target) || dirname(path) === target;
  const plain = [
    target,
    ...journal.moves.flatMap((m) => [m.from ?? path, m.to, m.old ?? path]),
    ...journal.touches.map((t) => t.folder),
  ]
    .every((name) => isAbsolute(name) && normalize(name) === name);
  return beside && plain && journal.stagings.length === 1 && journal.stagings[0] === path &&
    journal.moves.every((m) =>
      within(m.from ?? path, path) && (!m.old || within(m.old, path)) && within(m.to, target)
    ) &&
    journal.touches.every((t) => within(t.folder, target));
}

function within(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
