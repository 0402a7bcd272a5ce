/**
 * What a restore may take from a backup.
 *
 * @module
 */
import type { Limits } from "../stage.ts";
import { numberOption } from "./args.ts";

/** The options. */
export const limitArgs = {
  limitEntries: numberOption("--limit-entries", "Most entries that may come out"),
  limitBytes: numberOption("--limit-bytes", "Most bytes that may come out"),
  limitRatio: numberOption("--limit-ratio", "Most bytes that may come out for one that went in"),
  limitPathBytes: numberOption("--limit-path-bytes", "Most bytes in a path"),
} as const;

/** What they say; nothing where they say nothing. */
export function limitsOf(args: {
  readonly limitEntries: number | undefined;
  readonly limitBytes: number | undefined;
  readonly limitRatio: number | undefined;
  readonly limitPathBytes: number | undefined;
}): Partial<Limits> {
  const { limitEntries, limitBytes, limitRatio, limitPathBytes } = args;
  return {
    ...(limitEntries === undefined ? {} : { entries: limitEntries }),
    ...(limitBytes === undefined ? {} : { bytes: limitBytes }),
    ...(limitRatio === undefined ? {} : { ratio: limitRatio }),
    ...(limitPathBytes === undefined ? {} : { pathBytes: limitPathBytes }),
  };
}
