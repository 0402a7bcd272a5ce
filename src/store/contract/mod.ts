/**
 * The contract of every store: one sentence, and what proves it, for each thing a store promises.
 *
 * @module
 */
import type { Check, Place } from "./help.ts";
import { testErrors, testLock } from "./errors.ts";
import { testFailedPut } from "./failed_put.ts";
import { testGet } from "./get.ts";
import { testDelete, testList } from "./list.ts";
import { testPut } from "./put.ts";

export { bytesOf, keysOf, type Place } from "./help.ts";

/** One thing that every store promises. */
export interface Sentence {
  /** It, in words: "put replaces". */
  readonly text: string;
  /** Proves it in an empty place, or throws. */
  readonly run: (place: Place) => Promise<void>;
}

/** Options of {@linkcode sentences}. */
export interface ContractOptions {
  /** How many objects make a long listing. Default: 1,100, more than a page of S3. */
  readonly many?: number | undefined;
}

/** The contract. Each sentence wants a place of its own, and leaves objects behind. */
export function sentences({ many = 1100 }: ContractOptions = {}): readonly Sentence[] {
  const all: Sentence[] = [];
  const check: Check = (text, run) => all.push({ text, run });
  testPut(check);
  testFailedPut(check);
  testGet(check);
  testList(check, many);
  testDelete(check);
  testErrors(check);
  testLock(check);
  return all;
}
