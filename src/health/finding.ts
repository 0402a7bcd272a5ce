/**
 * What `health` has to say.
 *
 * @module
 */

/**
 * What is wrong. Problems: "missing", "old", "behind", "damaged", "vanished", "untrusted", "drill-failed", "unreachable". Warnings:
 * "size", "drill", "unfinished", "lock", "key", "clock".
 */
export type FindingCode =
  | "missing"
  | "old"
  | "behind"
  | "damaged"
  | "vanished"
  | "untrusted"
  | "drill-failed"
  | "unreachable"
  | "size"
  | "drill"
  | "unfinished"
  | "lock"
  | "key"
  | "clock";

/** One thing that is not as it should be. */
export interface Finding {
  /** What. */
  readonly code: FindingCode;
  /** "problem": a restore now would lose more than allowed, or nobody knows. "warning": it will be one. */
  readonly level: "problem" | "warning";
  /** One sentence: what was found, and the limit. */
  readonly message: string;
  /** One sentence: what to do. */
  readonly next: string;
  /** Where, when it is about one store. */
  readonly store?: string | undefined;
}

const PROBLEMS: ReadonlySet<FindingCode> = new Set(
  ["missing", "old", "behind", "damaged", "vanished", "untrusted", "drill-failed", "unreachable"],
);

/** Makes a finding. */
export function finding(code: FindingCode, message: string, next: string, store?: string): Finding {
  return {
    code,
    level: PROBLEMS.has(code) ? "problem" : "warning",
    message,
    next,
    ...(store !== undefined && { store }),
  };
}
