/**
 * What an operator wants to reach.
 *
 * @module
 */
import { spanOf } from "../duration.ts";

/** Targets of a plan. Spans are written "30min", "4h", "2d". What is not given is not judged. */
export interface Targets {
  /** Recovery time: the longest that a restore may take, as drills measure it. */
  readonly rto?: string | undefined;
  /** Recovery point: the most that may be lost, which is the longest time between two backups. */
  readonly rpo?: string | undefined;
  /** The longest that a backup may take. */
  readonly duration?: string | undefined;
  /** The largest archive, in bytes. */
  readonly bytes?: number | undefined;
}

/** Targets as numbers: milliseconds, and bytes. */
export interface TargetValues {
  /** Recovery time. */
  readonly rto?: number | undefined;
  /** Recovery point. */
  readonly rpo?: number | undefined;
  /** A backup's duration. */
  readonly duration?: number | undefined;
  /** An archive's length. */
  readonly bytes?: number | undefined;
}

/** The numbers that targets mean. Throws TypeError or RangeError for what cannot be understood. */
export function targetValues(targets: Targets): TargetValues {
  const known = ["rto", "rpo", "duration", "bytes"];
  const odd = Object.keys(targets).find((key) => !known.includes(key));
  if (odd !== undefined) {
    throw new TypeError(`Cannot use the target "${odd}": it is not known. Known: ${known.join(", ")}`);
  }
  const { rto, rpo, duration, bytes } = targets;
  if (bytes !== undefined && !(Number.isSafeInteger(bytes) && bytes > 0)) {
    throw new RangeError(`Cannot use the target bytes = ${bytes}: it must be a whole number above 0`);
  }
  const span = (text: string | undefined, name: string): number | undefined =>
    text === undefined ? undefined : spanOf(text, name);
  return { rto: span(rto, "rto"), rpo: span(rpo, "rpo"), duration: span(duration, "duration"), bytes };
}
