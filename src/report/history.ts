/**
 * What the receipts of a plan's stores say of the past.
 *
 * @module
 */
import { type Catalog, readCatalog } from "../catalog.ts";
import { IntegrityError, messageOf, NotFoundError } from "../errors.ts";
import { provenReceipt, readReceipt } from "../ledger.ts";
import type { Phases } from "../phases.ts";
import type { Receipt } from "../receipt.ts";
import type { Context, Shelf, Store } from "../stage.ts";

/** One backup of the past. */
export interface BackupPoint {
  /** The archive's file name. */
  readonly id: string;
  /** When its run started (RFC 3339, UTC). */
  readonly time: string;
  /** How long it took, in milliseconds; nobody knows of one that was encrypted again since. */
  readonly durationMs?: number | undefined;
  /** Length of the archive. */
  readonly bytes: number;
  /** Length of the content. */
  readonly contentBytes: number;
  /** Number of entries. */
  readonly entries: number;
  /** Number of warnings. */
  readonly warnings: number;
  /** How old the backup before had become, in milliseconds: what a loss just before would have cost. */
  readonly gapMs?: number | undefined;
}

/** One drill of the past. */
export interface DrillPoint {
  /** The archive that was restored. */
  readonly id: string;
  /** When it ended. */
  readonly time: string;
  /** "restored", or "failed". */
  readonly verdict: "restored" | "failed";
  /** Whether it was the newest backup; undefined in receipts of older versions. */
  readonly which?: "newest" | "older" | undefined;
  /** How long the restore took, in milliseconds. */
  readonly rtoMs: number;
  /** Where the time went. */
  readonly phases?: Phases | undefined;
  /** How old the data was. */
  readonly rpoMs?: number | undefined;
  /** Content bytes restored. */
  readonly bytes?: number | undefined;
  /** The operator's remark. */
  readonly note?: string | undefined;
}

/** The past of a plan, oldest first. */
export interface History {
  /** Complete backups that are still there, each once however many stores have it. */
  readonly backups: readonly BackupPoint[];
  /** Drills. */
  readonly drills: readonly DrillPoint[];
  /** Receipts that could not be used, each a sentence. */
  readonly skipped: readonly string[];
}

/** Requests under way at a time. */
const PARALLEL = 8;

/** Reads the newest `last` backups and drills of a plan. A store that cannot be listed is a warning ("target"), unless it is the last. */
export async function readHistory(shelf: Shelf, last: number, context: Context): Promise<History> {
  const catalogs = await readCatalogs(shelf, context);
  const skipped: string[] = [];
  const read = async <T>(
    store: Store,
    id: string,
    proven: boolean,
    take: (receipt: Receipt) => T,
  ): Promise<T | undefined> => {
    context.signal.throwIfAborted();
    try {
      const get = proven ? provenReceipt(store, id, shelf, context.state) : readReceipt(store, id, shelf);
      return take((await get).receipt);
    } catch (error) {
      if (!(error instanceof IntegrityError || error instanceof NotFoundError)) throw error;
      skipped.push(`"${id}" in ${store.url}: ${messageOf(error)}`);
      return undefined;
    }
  };
  const places = new Map<string, { store: Store; time: number }>();
  const events: { store: Store; key: string; time: number }[] = [];
  for (const { store, catalog } of catalogs) {
    for (const { id, state, time } of catalog.backups) {
      if (state === "complete" && !places.has(id)) places.set(id, { store, time: time.getTime() });
    }
    for (const { key, event, time } of catalog.events) {
      if (event === "drill") events.push({ store, key, time: time.getTime() });
    }
  }
  const newest = <T extends { time: number }>(items: T[]): T[] =>
    items.sort((a, b) => a.time - b.time).slice(-last);
  const chosen = newest([...places].map(([id, place]) => ({ id, ...place })));
  const backups = await each(chosen, ({ store, id }) => read(store, id, false, backupPoint));
  // Drills are evidence: only those that are signed as the plan asks.
  const drills = await each(newest(events), ({ store, key }) => read(store, key, true, drillPoint));
  return {
    backups: withGaps(backups.flatMap((point) => point ?? [])),
    drills: drills.flatMap((point) => point ?? []),
    skipped,
  };
}

async function readCatalogs(shelf: Shelf, context: Context): Promise<{ store: Store; catalog: Catalog }[]> {
  const found: { store: Store; catalog: Catalog }[] = [];
  let failure: unknown;
  for (const store of shelf.stores) {
    try {
      found.push({ store, catalog: await readCatalog(store, shelf) });
    } catch (error) {
      context.signal.throwIfAborted();
      failure = error;
      if (shelf.stores.length > 1) {
        context.log.warn("target", `Cannot read ${store.url}: ${messageOf(error)}`);
      }
    }
  }
  if (found.length === 0) throw failure;
  return found;
}

/** Some at a time, results in order. */
async function each<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i]!);
  };
  await Promise.all(Array.from({ length: PARALLEL }, lane));
  return results;
}

function backupPoint(receipt: Receipt): BackupPoint | undefined {
  if (receipt.event !== "backup") return undefined;
  return {
    id: receipt.id,
    time: receipt.createdAt,
    // What was encrypted again bears the time of the old run and the end of the new one.
    ...(receipt.replaces === undefined && {
      durationMs: Math.max(0, Date.parse(receipt.completedAt) - Date.parse(receipt.createdAt)),
    }),
    bytes: receipt.objects.find(({ suffix }) => suffix === "")?.bytes ?? 0,
    contentBytes: receipt.contents.bytes,
    entries: receipt.contents.entries,
    warnings: Object.values(receipt.warnings).reduce((sum, count) => sum + count, 0),
  };
}

function drillPoint(receipt: Receipt): DrillPoint | undefined {
  if (receipt.event !== "drill") return undefined;
  const { rtoMs, rpoMs, bytes, which, note, phases } = receipt.facts;
  if (typeof rtoMs !== "number") return undefined;
  return {
    id: receipt.subject.id,
    time: receipt.completedAt,
    verdict: receipt.outcome === "complete" ? "restored" : "failed",
    which: which === "newest" || which === "older" ? which : undefined,
    rtoMs,
    rpoMs: typeof rpoMs === "number" ? rpoMs : undefined,
    bytes: typeof bytes === "number" ? bytes : undefined,
    phases: isPhases(phases) ? phases : undefined,
    note: typeof note === "string" ? note : undefined,
  };
}

function isPhases(value: unknown): value is Phases {
  const names = ["find", "fetch", "verify", "decrypt", "extract", "start", "check"];
  return typeof value === "object" && value !== null &&
    names.every((name) => typeof (value as Record<string, unknown>)[name] === "number");
}

function withGaps(points: readonly BackupPoint[]): BackupPoint[] {
  return points.map((point, i) =>
    i === 0
      ? point
      : { ...point, gapMs: Math.max(0, Date.parse(point.time) - Date.parse(points[i - 1]!.time)) }
  );
}
