/**
 * Numbers of a report, for people.
 *
 * @module
 */
import { formatBytes } from "../bytes.ts";
import type { Measure } from "../report.ts";

/** What each measure is called, and what it says. */
export const TITLES: Readonly<Record<Measure["name"], { readonly title: string; readonly about: string }>> = {
  rto: { title: "Recovery time (RTO)", about: "How long a restore took, as drills measured it." },
  rpo: {
    title: "Recovery point (RPO)",
    about:
      "How old the backup before had become when the next was made: what a loss just then would have cost.",
  },
  duration: { title: "Duration", about: "How long each backup took." },
  bytes: { title: "Size", about: "How large each archive is." },
};

/** A value of a measure. */
export function formatValue(name: Measure["name"], value: number | undefined): string {
  if (value === undefined) return "-";
  return name === "bytes" ? formatBytes(Math.round(value)) : formatMs(value);
}

/** Milliseconds in the unit that fits, with at most three digits. */
export function formatMs(ms: number): string {
  const seconds = ms / 1000;
  for (const [unit, size] of [["d", 86_400], ["h", 3600], ["min", 60]] as const) {
    if (seconds >= size * (unit === "d" ? 2 : 1.5)) return `${short(seconds / size)} ${unit}`;
  }
  return ms < 1000 ? `${Math.round(ms)} ms` : `${short(seconds)} s`;
}

/** A trend, as "+12 %". */
export function formatTrend(trend: number | undefined): string {
  if (trend === undefined) return "-";
  const percent = Math.round(trend * 100);
  return percent === 0 ? "steady" : `${percent > 0 ? "+" : "\u2212"}${Math.abs(percent)} %`;
}

/** A measure's newest value: a drill that failed has none. */
export function formatLast({ name, last, count }: Measure): string {
  return name === "rto" && last === undefined && count > 0 ? "failed" : formatValue(name, last);
}

/** A number of things. */
export function counted(count: number, one: string): string {
  return count === 1 ? `1 ${one}` : `${count} ${one}s`;
}

/** Whether a target is met, in words. */
export function formatMet({ met, target, missed, count }: Measure): string {
  if (target === undefined) return "no target";
  if (count === 0) return "nothing measured";
  if (missed === 0) return "met";
  return `${met ? "met now, " : ""}missed ${missed} of ${count} times`;
}

function short(value: number): string {
  return value < 10 ? String(Math.round(value * 10) / 10) : String(Math.round(value));
}
