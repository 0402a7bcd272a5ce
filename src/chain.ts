/**
 * The whole ledger, walked: what is missing, unexplained or out of order.
 *
 * @module
 */
import { ahead } from "./ahead.ts";
import { sha256, text } from "./bytes.ts";
import { readCatalog } from "./catalog.ts";
import { makeContext, type RunOptions } from "./context.ts";
import { IntegrityError, NotFoundError } from "./errors.ts";
import { type Plan, shelfOf } from "./find.ts";
import { findBroken, type Link, type Walk } from "./chain/judge.ts";
import { readBytes, receiptKey } from "./ledger/receipts.ts";
import { readBase } from "./ledger/read.ts";
import { receiptIds } from "./ledger.ts";
import { decodeReceipt, isSweep, type Receipt, type ReceiptRef } from "./receipt.ts";
import type { Context, Shelf, Store, U8 } from "./stage.ts";

/** How to walk a ledger. */
export interface ChainOptions extends RunOptions {
  /** Digests of receipts that were the newest when they were noted down elsewhere: each must still be there. */
  readonly heads?: readonly ReceiptRef[] | undefined;
}

/** What a walk through one store's ledger found; each finding is a sentence. */
export interface ChainResult {
  /** Where. */
  readonly store: string;
  /** How many receipts are there; every one was read. */
  readonly receipts: number;
  /** The newest receipt that lists all others, where the walk starts; undefined: from the first receipt on. */
  readonly from?: string | undefined;
  /** Receipts that others name, and that are gone without a word, or are not what they were. */
  readonly missing: readonly string[];
  /** Receipts that nothing leads to, that cannot be read, or that are not signed as the plan asks. */
  readonly unexplained: readonly string[];
  /** Receipts dated before what they name as coming before them: a clock was wrong, or somebody lies. */
  readonly outOfOrder: readonly string[];
  /** Receipts that were announced as removed and are there: a removal was cut off, which the next run ends. */
  readonly leftovers: readonly string[];
  /** "cannot tell": this host remembers no head, and none was given, so deletion of the newest could not show. */
  readonly ledger: "ok" | "cannot tell";
}

/** How many receipts are asked for at once: a bucket answers after 20 ms, and there may be 100,000. */
const READS = 48;

/**
 * Walks the ledger in every store of a plan, from the newest sweep's receipt on, and reads every receipt there is: those that the sweep
 * lists must be what it says, those after it must name what is there. One listing, and one read for each receipt. Says what is wrong
 * instead of throwing; throws when a store cannot be read.
 */
export async function chain(plan: Plan, options: ChainOptions = {}): Promise<readonly ChainResult[]> {
  const shelf = shelfOf(plan);
  const context = makeContext(options);
  const results: ChainResult[] = [];
  for (const store of shelf.stores) results.push(await walk(store, shelf, context, options.heads ?? []));
  return results;
}

async function walk(
  store: Store,
  shelf: Shelf,
  context: Context,
  given: readonly ReceiptRef[],
): Promise<ChainResult> {
  const catalog = await readCatalog(store, shelf);
  const base = await readBase(store, shelf, catalog);
  const ids = receiptIds(catalog);
  const found: Walk = { store, shelf, base, links: [], gone: new Set(), unreadable: [] };
  for (const { sha256 } of base.receipt?.tombstones ?? []) found.gone.add(sha256);
  const live = new Map((base.receipt?.live ?? []).map(({ id, sha256 }) => [id, sha256]));
  for await (const read of ahead(ids, READS, (id) => readBytes(store, receiptKey(id, shelf)))) {
    context.signal.throwIfAborted();
    const id = read.item;
    try {
      if ("error" in read) throw read.error;
      found.links.push(await linkOf(id, read.value, live.get(id), found));
    } catch (error) {
      if (error instanceof NotFoundError) continue; // it went while this walk was on its way: missing, or announced
      if (!(error instanceof IntegrityError)) throw error;
      found.unreadable.push({ id, why: error.message });
    }
  }
  const judged = await findBroken(found, context, given);
  return { store: store.url, receipts: ids.length, from: base.head?.id, ...judged };
}

/** A receipt that the base vouches for by digest needs no second look at its form. */
async function linkOf(id: string, bytes: U8, listed: string | undefined, walk: Walk): Promise<Link> {
  const digest = sha256(bytes);
  if (listed === digest) {
    const { parents, completedAt } = JSON.parse(text(bytes)) as Receipt;
    return { id, sha256: digest, parents, at: Date.parse(completedAt), listed: true };
  }
  const receipt = decodeReceipt(bytes, id);
  if (receipt.id !== id || receipt.name !== walk.shelf.name) {
    throw new IntegrityError(`"${id}" was made for "${receipt.id}": it has been renamed or swapped`);
  }
  if (isSweep(receipt) && await walk.base.prove.check(id, bytes)) {
    for (const { sha256 } of receipt.tombstones) walk.gone.add(sha256);
  }
  return { id, sha256: digest, parents: receipt.parents, at: Date.parse(receipt.completedAt), listed: false };
}
