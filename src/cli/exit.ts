/**
 * Exit codes: what a script can rely on.
 *
 * @module
 */
import { BusyError, ConfigError, IntegrityError, KeyError } from "../errors.ts";

/** 0 complete, 1 failed, 2 usage or configuration, 3 complete with warnings, 4 key, 5 integrity, 6 busy, 130 cancelled. */
export const EXIT = {
  complete: 0,
  failed: 1,
  usage: 2,
  warnings: 3,
  key: 4,
  integrity: 5,
  busy: 6,
  cancelled: 130,
} as const;

/** Gravest first: what was cancelled says nothing about the rest, damage outranks a missing key, and so on down to 0. */
const ORDER: readonly number[] = [130, 5, 4, 1, 6, 2, 3, 0];

/** The gravest of several exit codes: 130, 5, 4, 1, 6, 2, 3, 0. Of none: 0. */
export function gravest(codes: readonly number[]): number {
  return ORDER.find((code) => codes.includes(code)) ?? (codes.length > 0 ? EXIT.failed : EXIT.complete);
}

/** The exit code of an error: the outermost class in the chain of causes that has one, else 1. */
export function exitCode(error: unknown): number {
  for (let at = error, depth = 0; depth < 32 && at !== undefined && at !== null; depth++) {
    if (at instanceof DOMException && at.name === "AbortError") return EXIT.cancelled;
    if (at instanceof ConfigError) return EXIT.usage;
    if (at instanceof KeyError) return EXIT.key;
    if (at instanceof IntegrityError) return EXIT.integrity;
    if (at instanceof BusyError) return EXIT.busy;
    if (at instanceof AggregateError) return gravest(at.errors.map(exitCode));
    if (!(at instanceof Error)) break;
    at = at.cause;
  }
  return EXIT.failed;
}
