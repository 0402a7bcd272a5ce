/**
 * What can be said about the collecting of databases.
 *
 * @module
 */
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import type { Root } from "../extract.ts";
import { DELTA } from "./delta.ts";
import type { Check } from "./job.ts";
import type { Rules } from "./since.ts";

/** How databases are copied and checked. */
export interface SqliteOptions {
  /**
   * How a copy is checked before it is archived, and a restored one before it takes its place: "full" (`integrity_check`, default),
   * "quick" (`quick_check`: not the indexes), "off".
   */
  readonly check?: "full" | "quick" | "off" | undefined;
  /** What a row that breaks a foreign key is: "warn" (default) counts and warns, "error" fails the run, "off" says nothing. */
  readonly foreignKeys?: "warn" | "error" | "off" | undefined;
  /** How long to wait for a lock of another connection, in milliseconds. Default: 5,000. */
  readonly timeoutMs?: number | undefined;
  /** Folder for the copies, which lie there without a name until they are archived; default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
  /**
   * "latest": store the pages that differ from the newest backup's, if every target has that one and this host remembers its pages;
   * else, and in each `fullEvery`th run, whole databases. Default: whole databases always.
   */
  readonly since?: "latest" | undefined;
  /** With `since`: whole databases are stored every so many runs. Default: 100. */
  readonly fullEvery?: number | undefined;
  /** With `since`: whole databases are stored when the pages of all increments would be more than this share of them. Default: 1. */
  readonly fullShare?: number | undefined;
}

/** Options with their defaults. */
export interface SqliteSettings {
  /** How copies are checked. */
  readonly check: Check;
  /** What a row that breaks a foreign key is. */
  readonly foreignKeys: "warn" | "error" | "off";
  /** How long to wait for a lock. */
  readonly timeoutMs: number;
  /** Where the copies lie, absolute. */
  readonly spoolDir: string;
  /** When whole databases are stored; undefined: always. */
  readonly rules: Rules | undefined;
}

/** Fills in defaults. Throws TypeError or RangeError for what makes no sense. */
export function checkOptions(options: SqliteOptions): SqliteSettings {
  const { check = "full", foreignKeys = "warn", timeoutMs = 5000, spoolDir = tmpdir() } = options;
  oneOf("check", check, ["full", "quick", "off"]);
  oneOf("foreignKeys", foreignKeys, ["warn", "error", "off"]);
  if (!Number.isInteger(timeoutMs) || timeoutMs < 0 || timeoutMs > 2 ** 31 - 1) {
    throw new RangeError(`Cannot wait ${timeoutMs} ms for a lock: timeoutMs is a whole number from 0`);
  }
  return { check, foreignKeys, timeoutMs, spoolDir: resolve(spoolDir), rules: rulesOf(options) };
}

function rulesOf({ since, fullEvery, fullShare }: SqliteOptions): Rules | undefined {
  if (since === undefined) {
    const odd = fullEvery !== undefined ? "fullEvery" : fullShare !== undefined ? "fullShare" : undefined;
    if (odd === undefined) return undefined;
    throw new TypeError(`Cannot use ${odd} without since: whole databases are stored in every run`);
  }
  oneOf("since", since, ["latest"]);
  const every = fullEvery ?? 100;
  const share = fullShare ?? 1;
  if (!Number.isSafeInteger(every) || every < 1) {
    throw new RangeError(`Cannot use ${every} as fullEvery: it is a whole number from 1`);
  }
  if (!(share >= 0 && share < Infinity)) {
    throw new RangeError(
      `Cannot use ${share} as fullShare: it is a number from 0, 1 for as much as the databases`,
    );
  }
  return { increments: every - 1, share };
}

function oneOf(option: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return;
  throw new TypeError(`Cannot use ${JSON.stringify(value)} as ${option}: choose ${known.join(", ")}`);
}

/** Names that could be taken for a delta's. Throws TypeError. */
export function refuseDeltaNames(roots: readonly Root[]): void {
  const odd = roots.find(({ path }) => path.endsWith(DELTA));
  if (!odd) return;
  throw new TypeError(
    `Cannot store increments of "${odd.source}" as "${odd.path}": names that end in ${DELTA} are for what has changed. Name it otherwise: ` +
      `{ "app.db": "${odd.source}" }`,
  );
}

/** Why increments are no member of a group. */
export const ALONE: string =
  'what has changed in databases (since = "latest") needs a plan of its own. Leave since out, or make a second plan';
