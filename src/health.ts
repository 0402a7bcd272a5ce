/**
 * Is all well with a plan's backups? `health`, for monitoring: a listing of each store and a few small objects, no key needed.
 *
 * @module
 */
import type { Shelved } from "./catalog.ts";
import { makeContext, type RunOptions } from "./context.ts";
import { formatSpan } from "./duration.ts";
import { IntegrityError, messageOf } from "./errors.ts";
import { type Plan, shelfOf } from "./find.ts";
import { drilled } from "./health/drills.ts";
import { type Finding, finding } from "./health/finding.ts";
import { oldKeys } from "./health/keys.ts";
import { type Bounds, boundsOf, type HealthLimits } from "./health/limits.ts";
import { size } from "./health/size.ts";
import { type Glance, glance, unreachable } from "./health/store.ts";
import { vanished } from "./health/vanished.ts";
import { provenReceipt } from "./ledger.ts";
import { monitoringOf } from "./monitor.ts";
import type { BackupReceipt } from "./receipt.ts";
import type { Context, Shelf } from "./stage.ts";

/** What to hold a plan's backups against. */
export interface HealthOptions extends RunOptions {
  /** Limits; what it leaves out is as the plan's `monitor` says, or the default. */
  readonly limits?: HealthLimits | undefined;
}

/** What `health` found. */
export interface HealthResult {
  /** The backup's name. */
  readonly name: string;
  /** "problems": a restore now would lose more than allowed, or nobody knows. "warnings": it will come to that. */
  readonly status: "healthy" | "warnings" | "problems";
  /** What is not as it should be, problems first. */
  readonly findings: readonly Finding[];
  /** The newest complete backup. */
  readonly newest?: { readonly id: string; readonly time: string; readonly bytes: number } | undefined;
  /** When the last successful drill ended. */
  readonly drilledAt?: string | undefined;
  /** Every store that could be looked at. */
  readonly stores: readonly {
    readonly store: string;
    readonly backups: number;
    readonly newest?: string | undefined;
  }[];
}

/**
 * Looks whether backups are made, whole, in every store, of a plausible size and drilled, and whether anything is stuck. It proves
 * nothing about their bytes: that is for `verify` and `drill`. A store that cannot be looked at is a finding, not an error. Throws
 * TypeError or RangeError for limits that cannot be understood.
 */
export async function health(plan: Plan, options: HealthOptions = {}): Promise<HealthResult> {
  const context = makeContext(options);
  const shelf = shelfOf(plan);
  const { require } = shelf;
  const limits = { ...monitoringOf(plan).health, ...options.limits };
  const bounds = boundsOf(limits, require === "none" ? undefined : require?.maxAge);
  const looks = await Promise.all(
    shelf.stores.map((store) => glance(store, shelf, context.now, bounds.runMs)),
  );
  context.signal.throwIfAborted();
  const glances = looks.flatMap(({ glance }) => glance ?? []);
  const findings = looks.flatMap(({ findings }) => findings);
  const best = glances.filter(({ newest }) => newest)
    .reduce<Glance | undefined>((a, b) => a && a.newest!.time >= b.newest!.time ? a : b, undefined);
  for (const glance of glances) {
    try {
      findings.push(...await vanished(glance, shelf, context));
    } catch (error) {
      context.signal.throwIfAborted();
      findings.push(unreachable(glance.store, error));
    }
  }
  let drilledAt: string | undefined;
  if (best) {
    findings.push(
      ...age(best.newest!, shelf, bounds, context.now),
      ...behind(best, glances),
    );
    try {
      findings.push(...await size(best, shelf, bounds));
      const drills = await drilled(glances, shelf, bounds, context);
      drilledAt = drills.at;
      findings.push(...drills.findings, ...await receipts(best, shelf, bounds, context));
    } catch (error) {
      context.signal.throwIfAborted();
      findings.push(unreachable(best.store, error));
    }
  } else if (glances.length > 0) {
    const where = glances.map(({ store }) => store.url).join(", ");
    findings.push(finding("missing", `There is no complete backup of "${shelf.name}" in ${where}`, MAKE));
  }
  findings.sort((a, b) => Number(a.level === "warning") - Number(b.level === "warning"));
  const newest = best?.newest;
  return {
    name: shelf.name,
    status: findings.length === 0 ? "healthy" : findings[0]!.level === "problem" ? "problems" : "warnings",
    findings,
    newest: newest && { id: newest.id, time: newest.time.toISOString(), bytes: bytesOf(newest) },
    drilledAt,
    stores: glances.map(({ store, catalog, newest }) => ({
      store: store.url,
      backups: catalog.backups.filter(({ state }) => state === "complete").length,
      newest: newest?.id,
    })),
  };
}

const MAKE = 'Read what the last run said and look at its timer, then make one now with "backup"';

function bytesOf({ parts }: Shelved): number {
  return parts.get("")?.bytes ?? 0;
}

function age(newest: Shelved, shelf: Shelf, { ageMs }: Bounds, now: Date): Finding[] {
  const old = now.getTime() - newest.time.getTime();
  const about = `The newest backup of "${shelf.name}", "${newest.id}", is`;
  if (old > ageMs) {
    return [finding("old", `${about} ${formatSpan(old)} old, the limit is ${formatSpan(ageMs)}`, MAKE)];
  }
  if (old >= -HOUR) return [];
  const next = "Compare the clocks of this machine and of the one that backs up";
  return [finding("clock", `${about} dated ${formatSpan(old)} in the future`, next)];
}

const HOUR = 3_600_000;

/** Targets without the newest backup, unless a run is just bringing it there. */
function behind(best: Glance, glances: readonly Glance[]): Finding[] {
  const ids = best.catalog.backups.filter(({ state }) => state === "complete").map(({ id }) => id);
  return glances.flatMap(({ store, catalog, newest }) => {
    const states = new Map(catalog.backups.map(({ id, state }) => [id, state]));
    const last = states.get(best.newest!.id);
    if (last === "complete" || last === "incomplete") return [];
    const missed = ids.length - 1 - (newest ? ids.lastIndexOf(newest.id) : -1);
    const what = newest ? `the last it has is "${newest.id}"` : "it has none";
    return [finding(
      "behind",
      `${store.url} misses the newest ${missed === 1 ? "backup" : `${missed} backups`}: ${what}`,
      `Look why it fails in the last run, and bring it up to date with "copy"`,
      store.url,
    )];
  });
}

/** What the newest backup's receipt says: who signed, and which keys are in use. */
async function receipts(
  best: Glance,
  shelf: Shelf,
  { keyAgeMs }: Bounds,
  context: Context,
): Promise<Finding[]> {
  const { store, newest } = best;
  let receipt: BackupReceipt;
  try {
    const read = await provenReceipt(store, newest!.id, shelf, context.state);
    if (read.receipt.event !== "backup") {
      throw new IntegrityError(`"${newest!.id}" is not a backup's receipt`);
    }
    receipt = read.receipt;
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
    const next =
      'Run "verify", and find out who wrote it: a backup of your own is signed and bears its own name';
    return [
      finding(
        "untrusted",
        `Cannot trust "${newest!.id}" in ${store.url}: ${messageOf(error)}`,
        next,
        store.url,
      ),
    ];
  }
  return keyAgeMs === Infinity ? [] : await oldKeys(best, receipt, shelf, keyAgeMs, context);
}
