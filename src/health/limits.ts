/**
 * From when on something is not healthy.
 *
 * @module
 */
import { spanOf } from "../duration.ts";

/** Limits of `health`. Spans are written "30min", "26h", "2d", "1w"; "off" switches a limit off. */
export interface HealthLimits {
  /** The newest backup may be so old. Default: `maxAge` of upload's `require`, else "26h". */
  readonly maxAge?: string | undefined;
  /** The last successful drill, or without one the oldest backup, may be so old. Default: "95d". */
  readonly maxDrillAge?: string | undefined;
  /**
   * The archive's size may differ from the median of up to ten before it by this share of that median. 0 switches it off.
   * Default: 0.5.
   */
  readonly sizeShare?: number | undefined;
  /** A run may take so long: what it holds or leaves unfinished for longer is stuck. Default: "24h". */
  readonly maxRunTime?: string | undefined;
  /** A recipient or signing key may be in use for so long. Default: "off". */
  readonly maxKeyAge?: string | undefined;
}

/** The limits in milliseconds; Infinity where one is off. */
export interface Bounds {
  /** Of the newest backup's age. */
  readonly ageMs: number;
  /** Of the last drill's. */
  readonly drillAgeMs: number;
  /** Share of the median size. */
  readonly sizeShare: number;
  /** Of a run. */
  readonly runMs: number;
  /** Of a key's use. */
  readonly keyAgeMs: number;
}

/** The bounds that `limits` mean. Throws TypeError or RangeError for one that cannot be understood. */
export function boundsOf(limits: HealthLimits, required?: string | undefined): Bounds {
  const { maxAge = required ?? "26h", maxDrillAge = "95d", maxRunTime = "24h", maxKeyAge = "off" } = limits;
  const { sizeShare = 0.5 } = limits;
  const span = (text: string, name: string): number => text === "off" ? Infinity : spanOf(text, name);
  if (!(sizeShare >= 0 && sizeShare <= 100)) {
    throw new RangeError(
      `Cannot use sizeShare = ${sizeShare}: write a share such as 0.5, or 0 to switch it off`,
    );
  }
  return {
    ageMs: span(maxAge, "maxAge"),
    drillAgeMs: span(maxDrillAge, "maxDrillAge"),
    sizeShare: sizeShare === 0 ? Infinity : sizeShare,
    runMs: span(maxRunTime, "maxRunTime"),
    keyAgeMs: span(maxKeyAge, "maxKeyAge"),
  };
}

/** Throws TypeError or RangeError unless the limits can be understood. */
export function checkLimits(limits: HealthLimits): void {
  const known = ["maxAge", "maxDrillAge", "sizeShare", "maxRunTime", "maxKeyAge"];
  const odd = Object.keys(limits).find((key) => !known.includes(key));
  if (odd !== undefined) {
    throw new TypeError(`Cannot use the limit "${odd}": it is not known. Known: ${known.join(", ")}`);
  }
  boundsOf(limits);
}
