/**
 * Do all targets hold the same backups?
 *
 * @module
 */
import { makeContext, type RunOptions } from "../context.ts";
import { ConfigError, findError, IntegrityError, messageOf } from "../errors.ts";
import { type Plan, shelfOf } from "../find.ts";
import type { BackupReceipt } from "../receipt.ts";
import type { Shelf, Store } from "../stage.ts";
import { has, type Holding, lookAt, receiptAt } from "./shelves.ts";

/** Between which stores. */
export interface CompareOptions extends RunOptions {
  /** The stores to compare. Default: the plan's. */
  readonly stores?: readonly Store[] | undefined;
}

/**
 * How stores disagree about a backup. "missing": whole elsewhere, not here, and no retention removed it. "extra": whole only here, every other
 * store's retention has removed it. "unfinished": a run or a copy is under way here, or has died. "differing": what lies here is
 * not what the others have, or not what its receipt says: damage or tampering.
 */
export type Disagreement = "missing" | "extra" | "unfinished" | "differing";

/** One disagreement. */
export interface Difference {
  /** The archive's file name. */
  readonly id: string;
  /** The store it is about. */
  readonly store: string;
  /** What is wrong there. */
  readonly what: Disagreement;
  /** The reason, for "differing". */
  readonly why?: string | undefined;
}

/** What a comparison found. */
export interface CompareResult {
  /** Backups that at least one store has whole. */
  readonly backups: number;
  /** Oldest backup first; empty when all that could be looked at agree. */
  readonly differences: readonly Difference[];
  /** Stores that could not be looked at: nothing is known about them. */
  readonly unreachable: readonly { readonly store: string; readonly error: Error }[];
}

/** How many receipts are read at once. */
const AT_ONCE = 16;

/**
 * Compares what a plan's stores hold: names, receipts and their signatures as the plan demands them, the objects' lengths and digests
 * as the receipts state them. Reads no archive; `verify` at level "full" does. A store that cannot be listed is named, and the
 * others are compared. Throws ConfigError unless there are two stores, the first store's error when none can be listed, and
 * the error of one that fails later.
 */
export async function compare(plan: Plan, options: CompareOptions = {}): Promise<CompareResult> {
  const shelf = shelfOf(plan);
  const { signal } = makeContext(options);
  const stores = options.stores ?? shelf.stores;
  if (stores.length < 2) {
    throw new ConfigError(
      `Cannot compare "${shelf.name}": there is only ${
        stores[0]?.url
      }. Name a second store in the plan, or pass one (--from)`,
    );
  }
  const holdings: Holding[] = [];
  const unreachable: { readonly store: string; readonly error: Error }[] = [];
  for (const store of stores) {
    try {
      holdings.push(await lookAt(store, shelf));
    } catch (error) {
      signal.throwIfAborted();
      unreachable.push({ store: store.url, error: error as Error });
    }
  }
  if (holdings.length === 0) throw unreachable[0]!.error;
  const times = new Map<string, number>();
  for (const { catalog } of holdings) {
    for (const { id, time } of catalog.backups) times.set(id, time.getTime());
  }
  const ids = [...times.keys()].sort((a, b) => times.get(a)! - times.get(b)! || (a < b ? -1 : 1));
  const differences: Difference[] = [];
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    signal.throwIfAborted();
    const batch = ids.slice(at, at + AT_ONCE).map((id) => differencesOf(id, holdings, shelf));
    differences.push(...(await Promise.all(batch)).flat());
  }
  const backups = ids.filter((id) => holdings.some((one) => has(one, id))).length;
  return { backups, differences, unreachable };
}

async function differencesOf(id: string, holdings: readonly Holding[], shelf: Shelf): Promise<Difference[]> {
  const whole = holdings.filter((holding) => has(holding, id));
  const found: Difference[] = [];
  for (const holding of holdings.filter((holding) => !whole.includes(holding))) {
    const what = absence(id, holding, whole.length > 0);
    if (what) found.push({ id, store: holding.store.url, ...what });
  }
  const [only] = whole;
  if (
    only && holdings.length > 1 && whole.length === 1 &&
    holdings.every((one) => one === only || one.pruned.has(id))
  ) {
    found.push({ id, store: only.store.url, what: "extra" });
  }
  return [...found, ...await disagreements(id, whole, shelf)];
}

function absence(
  id: string,
  { backups, pruned }: Holding,
  elsewhere: boolean,
): Pick<Difference, "what" | "why"> | undefined {
  const state = backups.get(id)?.state;
  if (state === "incomplete") return { what: "unfinished" };
  if (state === "orphan") return { what: "differing", why: "its receipt is gone" };
  if (state === "damaged") return { what: "differing", why: "its archive is gone" };
  return elsewhere && !pruned.has(id) ? { what: "missing" } : undefined;
}

/** Whole copies whose receipt is not to be trusted, or that say other things than the first one that is. */
async function disagreements(id: string, whole: readonly Holding[], shelf: Shelf): Promise<Difference[]> {
  const found: Difference[] = [];
  let first: { readonly url: string; readonly said: string } | undefined;
  for (const holding of whole) {
    const { url } = holding.store;
    try {
      const said = essence((await receiptAt(holding, id, shelf)).receipt);
      first ??= { url, said };
      if (said === first.said) continue;
      found.push({ id, store: url, what: "differing", why: `it is not the backup that ${first.url} has` });
    } catch (error) {
      if (!findError(error, IntegrityError)) throw error;
      found.push({ id, store: url, what: "differing", why: messageOf(error) });
    }
  }
  return found;
}

/** What is the same in every store: all but the place in the ledger. */
function essence({ id, run, createdAt, objects, contents }: BackupReceipt): string {
  return JSON.stringify([id, run, createdAt, objects, contents.merkleRoot, contents.entries, contents.bytes]);
}
