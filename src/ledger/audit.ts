/**
 * Is anything missing from a ledger without a word?
 *
 * @module
 */
import type { Catalog } from "../catalog.ts";
import type { Shelf, State, Store } from "../stage.ts";
import { digestsOf, lostHeads, recall, remember, unexplained } from "./memory.ts";
import { readLedger } from "./read.ts";
import { type Head, receiptIds } from "./receipts.ts";

/** What an audit of the ledger found. */
export interface Audit {
  /** Evidence of tampering, each a sentence; empty when all agrees. */
  readonly problems: readonly string[];
  /** What is there without the signature that the plan asks for, each a sentence. */
  readonly forged: string[];
  /** Whether deletion of the newest receipts could be told: false when this host remembers no head. */
  readonly remembered: boolean;
}

/**
 * Checks that nothing is missing without a tombstone. Reads every receipt after the newest prune afresh. `given` are heads that an
 * operator kept elsewhere.
 */
export async function audit(
  store: Store,
  shelf: Shelf,
  catalog: Catalog,
  state: State,
  given: readonly Head[] = [],
): Promise<Audit> {
  const ledger = await readLedger(store, shelf, catalog);
  const present = new Set(receiptIds(catalog));
  const digests = digestsOf(ledger);
  const problems: string[] = [];
  for (const item of ledger.base?.receipt.live ?? []) {
    if (!present.has(item.id) && !ledger.gone.has(item.sha256)) {
      problems.push(`"${item.id}" is gone, which "${ledger.base?.id}" had kept`);
    }
  }
  for (const node of ledger.nodes) {
    if (node.id === ledger.base?.id) continue; // what came before the newest prune may be gone
    for (const parent of node.parents.filter((parent) => !digests.has(parent))) {
      problems.push(`the receipt before "${node.id}" (${parent.slice(0, 12)}...) is gone`);
    }
  }
  for (const { why } of ledger.unreadable) problems.push(why);
  const forged = ledger.unproven.map(({ why }) => why);
  const remembered = given.length > 0 || await recall(state, store, shelf) !== undefined;
  for (const head of await unexplained(store, shelf, ledger, given)) {
    problems.push(
      `"${head.id}" is gone, or is not what it was: the head you gave (${head.sha256.slice(0, 12)}...)`,
    );
  }
  for (const head of await lostHeads(state, store, shelf, ledger)) {
    problems.push(`"${head.id}" is gone, which this host had seen`);
  }
  if (problems.length + forged.length === 0) await remember(state, store, shelf, ledger, ledger.heads);
  return { problems, forged, remembered };
}
