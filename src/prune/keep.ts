/**
 * Retention: which backups stay, and why. Pure: no clock, no store.
 *
 * @module
 */
import { type Calendar, calendarOf, pad } from "./calendar.ts";
import { type Period, type Policy, type Rule, rulesOf } from "./policy.ts";

export { type CalendarDuration, parseDuration } from "./duration.ts";
export { checkPolicy, type Policy } from "./policy.ts";

/** A complete backup. Incomplete ones are no candidates: they neither stay nor fill a rule's place. */
export interface Candidate {
  /** The full file name; no two candidates share one. */
  readonly id: string;
  /** The backup's name. Names are decided one by one, as if the others did not exist. */
  readonly name: string;
  /** When the backup was started. */
  readonly time: Date;
  /** Whether a full verification or a drill of it succeeded. */
  readonly verified: boolean;
  /** When that was; for the caller's tables, decides nothing. */
  readonly verifiedAt?: Date | undefined;
  /** Ids of the backups this one cannot be restored without. */
  readonly bases?: readonly string[] | undefined;
}

/** What is to happen to one backup. */
export interface Decision {
  /** The backup. */
  readonly id: string;
  /** Whether it stays. */
  readonly keep: boolean;
  /** Why: "daily 2026-11-20", "last 1 of 7", "within 14d", "newest verified", ...; or "no rule keeps it". Never empty. */
  readonly reasons: readonly string[];
}

/** A candidate on its way to a decision. */
interface Item {
  readonly candidate: Candidate;
  readonly time: number;
  readonly reasons: string[];
}

/**
 * Decides which backups stay: those any rule of `policy` wants, and whatever the rules say
 *
 * - the newest, and the newest that is verified ("the last proven copy survives");
 * - those dated after `now`: a clock was wrong, so nothing follows from their date. They fill no rule's place and `keepWithin`
 *   does not count from them;
 * - the pinned ones;
 * - every base of a backup that stays.
 *
 * The order of `backups` does not matter; of two with the same time the one with the greater id counts as newer. The decisions
 * come by name, then newest first. Deciding again over what was kept keeps all of it. An earlier `now` never removes more, and
 * a `now` after the newest backup makes no difference at all. Throws as {@linkcode checkPolicy} does, and TypeError for two
 * backups with one id or a date that is none: then nothing should be removed.
 *
 * @example
 * ```ts
 * import { keep } from "./keep.ts";
 *
 * const backups = [18, 19, 20].map((day) => (
 *   { id: `app-${day}`, name: "app", time: new Date(Date.UTC(2026, 10, day, 3)), verified: false }
 * ));
 * const [newest, , oldest] = keep({ keepDaily: 2 }, backups, new Date("2026-11-20T04:00:00Z"));
 * console.assert(newest!.keep && newest!.reasons.includes("daily 2026-11-20"));
 * console.assert(!oldest!.keep && oldest!.reasons.includes("no rule keeps it"));
 * ```
 */
export function keep(policy: Policy, backups: readonly Candidate[], now: Date): readonly Decision[] {
  const rules = rulesOf(policy);
  const pins = new Set(policy.pins);
  const zone = policy.timezone ?? "UTC";
  const calendar = calendarOf(zone);
  checkDates(backups, now);
  return groups(backups).flatMap((group) => {
    const present = markFuture(group, now.getTime());
    for (const rule of rules) walk(rule, present, zone, calendar);
    present[0]?.reasons.push("newest");
    present.find(({ candidate }) => candidate.verified)?.reasons.push("newest verified");
    for (const { candidate, reasons } of group) if (pins.has(candidate.id)) reasons.push("pinned");
    markBases(group);
    return group.map(decision);
  });
}

function checkDates(backups: readonly Candidate[], now: Date): void {
  if (Number.isNaN(now.getTime())) throw new TypeError("Cannot decide what to keep: now is not a date");
  const ids = new Set<string>();
  for (const { id, time } of backups) {
    if (Number.isNaN(time.getTime())) {
      throw new TypeError(`Cannot decide what to keep: the time of "${id}" is not a date`);
    }
    // Two decisions about one id could contradict each other, and the caller would delete a backup that must stay.
    if (ids.has(id)) throw new TypeError(`Cannot decide what to keep: two backups are called "${id}"`);
    ids.add(id);
  }
}

/** One list for each name, by name; newest first within. */
function groups(backups: readonly Candidate[]): Item[][] {
  const byName = new Map<string, Item[]>();
  for (const candidate of backups) {
    const item = { candidate, time: candidate.time.getTime(), reasons: [] };
    const group = byName.get(candidate.name);
    if (group) group.push(item);
    else byName.set(candidate.name, [item]);
  }
  return [...byName]
    .sort(([a], [b]) => compare(a, b))
    .map(([, group]) => group.sort((a, b) => b.time - a.time || compare(b.candidate.id, a.candidate.id)));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Gives those that are not in the future. */
function markFuture(group: readonly Item[], now: number): readonly Item[] {
  return group.filter(({ time, reasons }) => time <= now || void reasons.push("in the future"));
}

/**
 * Keeps the newest of each period until the rule's count is reached. Periods are remembered, not compared with the one before:
 * where clocks go back across midnight (America/St_Johns until 2011), a day comes twice.
 */
function walk(rule: Rule, present: readonly Item[], zone: string, calendar: Calendar): void {
  const after = cutoff(rule, present[0], zone);
  const seen = new Set<string>();
  let taken = 0;
  for (const item of present) {
    if (taken >= rule.count || item.time <= after) break;
    const key = rule.period && periodOf(rule.period, item, calendar);
    if (key !== undefined && seen.has(key)) continue;
    if (key !== undefined) seen.add(key);
    taken++;
    item.reasons.push(reasonOf(rule, key, taken));
  }
}

/** The instant a backup must be younger than. */
function cutoff(rule: Rule, newest: Item | undefined, zone: string): number {
  if (!rule.within || !newest) return -Infinity;
  try {
    const time = Temporal.Instant.fromEpochMilliseconds(newest.time).toZonedDateTimeISO(zone);
    return time.subtract(rule.within.duration).epochMilliseconds;
  } catch {
    return -Infinity; // before the first date there is
  }
}

function periodOf(period: Period, item: Item, calendar: Calendar): string {
  const { date, hour, offset } = calendar.at(item.time);
  switch (period) {
    case "hourly":
      // With the offset, the hour that comes twice in autumn is two hours.
      return `${date}T${pad(hour)}${offset === "+00:00" ? "Z" : offset}`;
    case "daily":
      return date;
    case "weekly":
      return calendar.week(date);
    case "monthly":
      return date.slice(0, -3);
    case "yearly":
      return date.slice(0, -6);
  }
}

function reasonOf(rule: Rule, key: string | undefined, taken: number): string {
  const within = rule.within ? `within ${rule.within.text}` : "";
  if (key !== undefined) return `${rule.period} ${key} ${within}`.trimEnd();
  if (within) return within;
  return rule.count === Infinity ? `last ${taken}` : `last ${taken} of ${rule.count}`;
}

/** Marks every base of a backup that stays, and the bases of those, each with the newest backup that needs it. */
function markBases(group: readonly Item[]): void {
  const byId = new Map(group.map((item) => [item.candidate.id, item]));
  const kept = new Set(group.filter(({ reasons }) => reasons.length > 0));
  const basesOf = ({ candidate }: Item): Item[] =>
    (candidate.bases ?? []).flatMap((id) => byId.get(id) ?? []);
  for (const item of kept) for (const base of basesOf(item)) kept.add(base); // a Set's loop reaches what is added meanwhile
  const marked = new Set<Item>();
  for (const item of group) {
    if (!kept.has(item)) continue;
    for (const base of basesOf(item)) {
      if (base === item || marked.has(base)) continue;
      marked.add(base);
      base.reasons.push(`base of ${item.candidate.id}`);
    }
  }
}

const NO_RULE: readonly string[] = ["no rule keeps it"];

function decision({ candidate: { id }, reasons }: Item): Decision {
  return reasons.length > 0 ? { id, keep: true, reasons } : { id, keep: false, reasons: NO_RULE };
}
