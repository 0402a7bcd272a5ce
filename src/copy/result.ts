/**
 * What is asked of a copy, and what it answers.
 *
 * @module
 */
import type { RunOptions } from "../context.ts";
import type { Store } from "../stage.ts";

/** What to copy, and between which stores. */
export interface CopyOptions extends RunOptions {
  /** The archive's file name, or "latest". Default: every whole backup that a target lacks. */
  readonly id?: string | undefined;
  /** Where backups are taken from, the first that has one whole. Default: the plan's stores. */
  readonly from?: readonly Store[] | undefined;
  /** Where missing ones are put. Default: the plan's stores. */
  readonly to?: readonly Store[] | undefined;
  /** Say what would be copied, and change nothing. Default: false. */
  readonly dryRun?: boolean | undefined;
}

/** One backup that went, or would go, from one store to another. */
export interface CopyStep {
  /** The archive's file name. */
  readonly id: string;
  /** The store it came from. */
  readonly from: string;
  /** The store it went to. */
  readonly to: string;
  /** Bytes of archive and index. */
  readonly bytes: number;
}

/** What could not be copied. */
export interface CopyTrouble {
  /** The archive's file name; undefined when the whole target failed. */
  readonly id?: string | undefined;
  /** The store it should have gone to. */
  readonly to: string;
  /** Why. */
  readonly error: Error;
}

/** What copy did, or with `dryRun` would do. */
export interface CopyResult {
  /** In the order of copying: each target's oldest first. */
  readonly copied: readonly CopyStep[];
  /** Each fails by itself; the others go on. */
  readonly troubles: readonly CopyTrouble[];
}
