/**
 * What an operator may ask retention to keep, checked when a plan is made.
 *
 * @module
 */
import { type CalendarDuration, parseDuration } from "./duration.ts";

/**
 * Retention rules, with the meaning they have in restic and borg. A backup stays when any rule wants it. A count is a whole
 * number; -1 or Infinity means all, 0 switches the rule off. Each count rule walks from the newest backup to the oldest and
 * keeps the newest of each calendar period until that many periods are filled; a period without backups uses nothing up.
 */
export interface Policy {
  /** The newest backups, whenever they were made. */
  readonly keepLast?: number | undefined;
  /** The newest backup of each clock hour. The hour that is repeated when clocks go back counts as two. */
  readonly keepHourly?: number | undefined;
  /** The newest backup of each day. */
  readonly keepDaily?: number | undefined;
  /** The newest backup of each ISO 8601 week (Monday to Sunday). */
  readonly keepWeekly?: number | undefined;
  /** The newest backup of each month. */
  readonly keepMonthly?: number | undefined;
  /** The newest backup of each year. */
  readonly keepYearly?: number | undefined;
  /**
   * Every backup younger than this, counted back from the newest backup (as restic does; borg counts from today), so that a
   * host whose backups stopped does not lose what it has. See {@linkcode parseDuration} for the form: "14d", "1y6m".
   */
  readonly keepWithin?: string | undefined;
  /** The newest backup of each hour, as far back as `keepWithin` would go. */
  readonly keepWithinHourly?: string | undefined;
  /** The newest backup of each day, as far back as `keepWithin` would go. */
  readonly keepWithinDaily?: string | undefined;
  /** The newest backup of each ISO week, as far back as `keepWithin` would go. */
  readonly keepWithinWeekly?: string | undefined;
  /** The newest backup of each month, as far back as `keepWithin` would go. */
  readonly keepWithinMonthly?: string | undefined;
  /** The newest backup of each year, as far back as `keepWithin` would go. */
  readonly keepWithinYearly?: string | undefined;
  /** Ids that stay whatever the rules say. Pins alone are no policy. */
  readonly pins?: readonly string[] | undefined;
  /** The IANA time zone whose calendar the rules follow. Default "UTC". */
  readonly timezone?: string | undefined;
}

/** One rule, ready to walk. */
export interface Rule {
  /** What the rule buckets by; undefined: every backup is a bucket of its own. */
  readonly period?: Period | undefined;
  /** How many buckets; Infinity for all. */
  readonly count: number;
  /** How far back, with the operator's own words. */
  readonly within?: { readonly text: string; readonly duration: CalendarDuration } | undefined;
}

/** A calendar period. */
export type Period = "hourly" | "daily" | "weekly" | "monthly" | "yearly";

const COUNTS = {
  keepLast: undefined,
  keepHourly: "hourly",
  keepDaily: "daily",
  keepWeekly: "weekly",
  keepMonthly: "monthly",
  keepYearly: "yearly",
} as const;

const WITHINS = {
  keepWithin: undefined,
  keepWithinHourly: "hourly",
  keepWithinDaily: "daily",
  keepWithinWeekly: "weekly",
  keepWithinMonthly: "monthly",
  keepWithinYearly: "yearly",
} as const;

/**
 * Throws when a policy cannot be meant: TypeError for an empty one, an unknown key or a value of the wrong type; RangeError for
 * a count that is not a whole number, for rules that are all 0, for an unknown time zone and for a duration of nothing.
 */
export function checkPolicy(policy: Policy): void {
  rulesOf(policy);
}

/** The rules of a policy, checked as {@linkcode checkPolicy} does. Never empty. */
export function rulesOf(policy: Policy): readonly Rule[] {
  checkKeys(policy);
  checkPins(policy.pins);
  checkTimezone(policy.timezone);
  const rules: Rule[] = [];
  let given = 0;
  for (const key of keysOf(COUNTS)) {
    const value = policy[key];
    if (value === undefined) continue;
    given++;
    const count = checkCount(key, value);
    if (count > 0) rules.push({ period: COUNTS[key], count });
  }
  for (const key of keysOf(WITHINS)) {
    const text = policy[key];
    if (text === undefined) continue;
    given++;
    rules.push({ period: WITHINS[key], count: Infinity, within: { text, duration: parseWithin(key, text) } });
  }
  if (given === 0) {
    throw new TypeError("An empty policy would keep nothing: set at least one rule, such as keepDaily: 14");
  }
  if (rules.length === 0) {
    throw new RangeError(
      "A policy whose rules are all 0 would keep nothing: set at least one above 0, such as keepDaily: 14",
    );
  }
  return rules;
}

function keysOf<Key extends string>(table: Readonly<Record<Key, unknown>>): Key[] {
  return Object.keys(table) as Key[];
}

/** A misspelt rule would keep less than was meant, so it is not passed over. */
function checkKeys(policy: Policy): void {
  if (typeof policy !== "object" || policy === null) {
    throw new TypeError("Cannot read the policy: it is not an object. Pass rules such as { keepDaily: 14 }");
  }
  const known = [...Object.keys(COUNTS), ...Object.keys(WITHINS), "pins", "timezone"];
  for (const key of Object.keys(policy)) {
    if (!known.includes(key)) {
      throw new TypeError(`Cannot use "${key}" in a policy: the rules are ${known.join(", ")}`);
    }
  }
}

function checkCount(key: string, value: unknown): number {
  if (typeof value !== "number") {
    throw new TypeError(`Cannot use ${key} ${JSON.stringify(value)}: give a number, such as 14`);
  }
  if (value === -1 || value === Infinity) return Infinity;
  if (!Number.isInteger(value) || value < 0) {
    throw new RangeError(`Cannot use ${key} ${value}: give a whole number from 0, or -1 for all`);
  }
  return value;
}

function parseWithin(key: string, text: string): CalendarDuration {
  try {
    return parseDuration(text);
  } catch (cause) {
    const message = `Cannot use ${key}: ${(cause as Error).message}`;
    throw cause instanceof RangeError
      ? new RangeError(message, { cause })
      : new TypeError(message, { cause });
  }
}

function checkPins(pins: unknown): void {
  if (pins === undefined) return;
  if (!Array.isArray(pins) || !pins.every((pin) => typeof pin === "string")) {
    throw new TypeError("Cannot use pins: give a list of backup ids");
  }
}

function checkTimezone(timezone: unknown): void {
  if (timezone === undefined) return;
  if (typeof timezone !== "string") {
    throw new TypeError('Cannot use timezone: give a name such as "Europe/Berlin"');
  }
  try {
    // Intl takes names only; Temporal would also read a zone out of a whole date string.
    new Intl.DateTimeFormat("en", { timeZone: timezone });
  } catch (cause) {
    throw new RangeError(
      `Cannot use the time zone "${timezone}": it is not known here. Give an IANA name such as "Europe/Berlin"`,
      { cause },
    );
  }
}
