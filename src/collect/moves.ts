/**
 * The moves of a swap: one rename, two where something makes way, or an exchange of both in one step; and the way back.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { IntegrityError } from "../errors.ts";
import type { Disk } from "./disk.ts";
import type { Move } from "./journal.ts";
import { codeOf } from "./place.ts";

/** Called before each change on disk; tests die in it. */
export type Step = (what: string) => void;

/** Makes a move by exchange; false: not possible, and nothing was done. */
export function exchanged({ from, to, old, inodes }: Move, step: Step, disk: Disk): boolean {
  if (!disk.writer || from === undefined || old === undefined || !inodes) return false;
  // Two numbers too large to be told apart; or somebody has put another thing there since the plan was made.
  if (inodes[0] === inodes[1] || inodeOf(disk, to) !== inodes[1]) return false;
  step(`exchange ${to}`);
  if (!disk.exchange(from, to)) return false;
  step(`aside ${to}`);
  move(disk, from, old);
  return true;
}

/** Takes one move back, wherever it stopped, or taking it back did. */
export function takeBack(one: Move, step: Step, disk: Disk): void {
  const { from, to, old, empty } = one;
  settleExchange(disk, one, step);
  if (
    old !== undefined && from !== undefined && exists(disk, old) && !exists(disk, from) && exists(disk, to)
  ) {
    step(`exchange back ${to}`);
    // What a service has made there meanwhile goes with the rest of what is taken back.
    if (one.inodes && inodeOf(disk, to) === one.inodes[0] && disk.exchange(old, to)) {
      step(`unmove ${to}`);
      return move(disk, old, from);
    }
  }
  const aside = old !== undefined && exists(disk, old);
  // What may only be judged by its absence in the staging folder: without `old` in its place nothing of ours is at `to`.
  if (from !== undefined && !exists(disk, from) && (old === undefined || aside)) {
    step(`unmove ${to}`);
    ifPresent(() => move(disk, to, from, dirname(from)));
  }
  if (aside) {
    // What a service has made there meanwhile goes with the rest of what is taken back.
    if (from === undefined && exists(disk, to)) move(disk, to, `${old}.new`);
    step(`restore ${to}`);
    move(disk, old, to);
  }
  if (empty && !exists(disk, to)) {
    step(`empty ${to}`);
    mkdirSync(to, 0o700);
  }
}

/** An exchange that died before what it had brought out was in its place, in either direction: from there on all is as after two renames. */
function settleExchange(disk: Disk, { from, to, old, inodes }: Move, step: Step): void {
  if (!inodes || from === undefined || old === undefined) return;
  const [ours, theirs] = inodes;
  if (!exists(disk, old)) {
    const inode = inodeOf(disk, from);
    if (inode === undefined || inode === ours) return;
    if (inode !== theirs) {
      throw new IntegrityError(
        `Cannot roll back the restore of "${to}": what is in "${from}" is neither the old thing nor the new one. ` +
          "Put the old one back by hand, then remove that folder",
      );
    }
    step(`aside ${to}`);
    move(disk, from, old);
  } else if (!exists(disk, from) && inodeOf(disk, old) === ours) {
    step(`unmove ${to}`);
    move(disk, old, from);
  }
}

/**
 * A rename. An ordinary user may not move a folder whose mode forbids writing (its ".." changes): it is opened for the moment.
 * So is `staged`, a folder of the staged tree, for good: nothing but this swap looks at it.
 */
export function move(disk: Disk, from: string, to: string, staged?: string): void {
  try {
    return disk.rename(from, to);
  } catch (error) {
    if (codeOf(error) !== "EACCES") throw error;
    if (staged !== undefined) disk.setMode(staged, 0o700);
  }
  const stat = disk.look(from)!;
  const shut = stat.isDirectory() && (stat.mode & 0o200) === 0;
  if (shut) disk.setMode(from, 0o700);
  let at = from;
  try {
    disk.rename(from, to);
    at = to;
  } finally {
    if (shut) disk.setMode(at, stat.mode & 0o7777);
  }
}

function exists(disk: Disk, path: string): boolean {
  return disk.look(path) !== undefined;
}

function inodeOf(disk: Disk, path: string): number | undefined {
  return disk.look(path)?.ino;
}

/** Does what may have become pointless because the thing is gone. */
export function ifPresent(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}
