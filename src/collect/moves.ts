/**
 * The moves of a swap: one rename, two where something makes way, or an exchange of both in one step; and the way back.
 *
 * @module
 */
import * as fs from "node:fs";
import { dirname } from "node:path";
import { IntegrityError } from "../errors.ts";
import type { Move } from "./journal.ts";
import { codeOf } from "./place.ts";

/** Called before each change on disk; tests die in it. */
export type Step = (what: string) => void;

/** Exchanges two names in one step; false: nothing was done, it cannot be. */
export type Exchange = (one: string, other: string) => boolean;

/** Where there is no such call. */
export const never: Exchange = () => false;

/** Makes a move by exchange; false: not possible, and nothing was done. */
export function exchanged({ from, to, old, inodes }: Move, step: Step, exchange: Exchange): boolean {
  if (exchange === never || from === undefined || old === undefined || !inodes) return false;
  // Two numbers too large to be told apart; or somebody has put another thing there since the plan was made.
  if (inodes[0] === inodes[1] || inodeOf(to) !== inodes[1]) return false;
  step(`exchange ${to}`);
  if (!exchange(from, to)) return false;
  step(`aside ${to}`);
  move(from, old);
  return true;
}

/** Takes one move back, wherever it stopped, or taking it back did. */
export function takeBack(one: Move, step: Step, exchange: Exchange): void {
  const { from, to, old, empty } = one;
  settleExchange(one, step);
  if (old !== undefined && from !== undefined && exists(old) && !exists(from) && exists(to)) {
    step(`exchange back ${to}`);
    // What a service has made there meanwhile goes with the rest of what is taken back.
    if (one.inodes && inodeOf(to) === one.inodes[0] && exchange(old, to)) {
      step(`unmove ${to}`);
      return move(old, from);
    }
  }
  const aside = old !== undefined && exists(old);
  // What may only be judged by its absence in the staging folder: without `old` in its place nothing of ours is at `to`.
  if (from !== undefined && !exists(from) && (old === undefined || aside)) {
    step(`unmove ${to}`);
    ifPresent(() => move(to, from, dirname(from)));
  }
  if (aside) {
    // What a service has made there meanwhile goes with the rest of what is taken back.
    if (from === undefined && exists(to)) move(to, `${old}.new`);
    step(`restore ${to}`);
    move(old, to);
  }
  if (empty && !exists(to)) {
    step(`empty ${to}`);
    fs.mkdirSync(to, 0o700);
  }
}

/** An exchange that died before what it had brought out was in its place, in either direction: from there on all is as after two renames. */
function settleExchange({ from, to, old, inodes }: Move, step: Step): void {
  if (!inodes || from === undefined || old === undefined) return;
  const [ours, theirs] = inodes;
  if (!exists(old)) {
    const inode = inodeOf(from);
    if (inode === undefined || inode === ours) return;
    if (inode !== theirs) {
      throw new IntegrityError(
        `Cannot roll back the restore of "${to}": what is in "${from}" is neither the old thing nor the new one. ` +
          "Put the old one back by hand, then remove that folder",
      );
    }
    step(`aside ${to}`);
    move(from, old);
  } else if (!exists(from) && inodeOf(old) === ours) {
    step(`unmove ${to}`);
    move(old, from);
  }
}

/**
 * A rename. An ordinary user may not move a folder whose mode forbids writing (its ".." changes): it is opened for the moment.
 * So is `staged`, a folder of the staged tree, for good: nothing but this swap looks at it.
 */
export function move(from: string, to: string, staged?: string): void {
  try {
    return fs.renameSync(from, to);
  } catch (error) {
    if (codeOf(error) !== "EACCES") throw error;
    if (staged !== undefined) fs.chmodSync(staged, 0o700);
  }
  const stat = fs.lstatSync(from);
  const shut = stat.isDirectory() && (stat.mode & 0o200) === 0;
  if (shut) fs.chmodSync(from, 0o700);
  let at = from;
  try {
    fs.renameSync(from, to);
    at = to;
  } finally {
    if (shut) fs.chmodSync(at, stat.mode & 0o7777);
  }
}

function exists(path: string): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function inodeOf(path: string): number | undefined {
  return fs.lstatSync(path, { throwIfNoEntry: false })?.ino;
}

/** Does what may have become pointless because the thing is gone. */
export function ifPresent(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}
