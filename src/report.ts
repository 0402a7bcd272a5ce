/**
 * How a plan has been doing: recovery time, recovery point, durations and sizes, against its targets.
 *
 * @module
 */
import { makeContext, type RunOptions } from "./context.ts";
import { type Plan, shelfOf } from "./find.ts";
import { monitoringOf } from "./monitor.ts";
import { type History, readHistory } from "./report/history.ts";
import { type Targets, targetValues } from "./report/targets.ts";

/** What to report. */
export interface ReportOptions extends RunOptions {
  /** The newest so many backups, and so many drills. Default: 1,000. */
  readonly last?: number | undefined;
  /** Targets. Default: those of the plan's `monitor`. */
  readonly targets?: Targets | undefined;
}

/** One thing that is measured, over all its points. */
export interface Measure {
  /** "rto" and "duration" in milliseconds, "rpo" as well; "bytes". */
  readonly name: "rto" | "rpo" | "duration" | "bytes";
  /** How many points there are. */
  readonly count: number;
  /** The newest value: of "rpo", how old the newest backup is now. */
  readonly last?: number | undefined;
  /** The median. */
  readonly median?: number | undefined;
  /** The largest. */
  readonly worst?: number | undefined;
  /** The newest third's median against the oldest third's, as a share: 0.1 is a tenth more. From six points on. */
  readonly trend?: number | undefined;
  /** The target. */
  readonly target?: number | undefined;
  /** Points above the target; undefined without one. */
  readonly missed?: number | undefined;
  /** Whether the newest value is within the target; undefined without one, or without points. */
  readonly met?: boolean | undefined;
}

/** A plan's report. */
export interface Report extends History {
  /** The backup's name. */
  readonly name: string;
  /** When it was made (RFC 3339, UTC). */
  readonly at: string;
  /** Recovery time, recovery point, duration and size. */
  readonly measures: readonly Measure[];
}

/**
 * Reports a plan's past from the receipts in its stores; no key is needed. Of drills only those count that are signed as the plan
 * asks; a drill that failed misses every target. Throws TypeError or RangeError for targets that cannot be understood, and the
 * store's error when none can be listed.
 */
export async function report(plan: Plan, options: ReportOptions = {}): Promise<Report> {
  const targets = targetValues(options.targets ?? monitoringOf(plan).targets ?? {});
  const { last = 1000 } = options;
  if (!(Number.isSafeInteger(last) && last > 0)) {
    throw new RangeError(`Cannot report the last ${last} backups`);
  }
  const context = makeContext(options);
  const shelf = shelfOf(plan);
  const history = await readHistory(shelf, last, context);
  const { backups, drills } = history;
  const newest = backups.at(-1);
  const age = newest && Math.max(0, context.now.getTime() - Date.parse(newest.time));
  const gaps = backups.flatMap(({ gapMs }) => gapMs ?? []);
  return {
    name: shelf.name,
    at: context.now.toISOString(),
    measures: [
      measure(
        "rto",
        drills.map(({ rtoMs, verdict }) => verdict === "failed" ? Infinity : rtoMs),
        targets.rto,
      ),
      measure("rpo", age === undefined ? gaps : [...gaps, age], targets.rpo),
      measure("duration", backups.flatMap(({ durationMs }) => durationMs ?? []), targets.duration),
      measure("bytes", backups.map(({ bytes }) => bytes), targets.bytes),
    ],
    ...history,
  };
}

function measure(name: Measure["name"], values: readonly number[], target: number | undefined): Measure {
  const finite = values.filter((value) => value !== Infinity);
  const last = values.at(-1);
  const third = Math.floor(finite.length / 3);
  const before = median(finite.slice(0, third));
  const after = median(finite.slice(finite.length - third));
  return {
    name,
    count: values.length,
    last: last === Infinity ? undefined : last,
    median: median(finite),
    worst: finite.length === 0 ? undefined : finite.reduce((a, b) => Math.max(a, b)),
    trend: third < 2 || !before || after === undefined ? undefined : after / before - 1,
    target,
    missed: target === undefined ? undefined : values.filter((value) => value > target).length,
    met: target === undefined || last === undefined ? undefined : last <= target,
  };
}

function median(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}
