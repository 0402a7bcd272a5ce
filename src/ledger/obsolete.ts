/**
 * What a sweep finds in a ledger, and which events go with the backups it removes.
 *
 * @module
 */
import { ahead } from "../ahead.ts";
import type { Catalog } from "../catalog.ts";
import { IntegrityError } from "../errors.ts";
import { isSweep } from "../receipt.ts";
import type { Shelf, Store } from "../stage.ts";
import type { Ledger } from "./read.ts";
import { type Head, readReceipt, receiptIds } from "./receipts.ts";

/** How many questions a store is asked at once. */
const ASKS = 8;

/** Receipts of sweeps that stay, so that a host that looks in now and then can follow what was removed: two months of nights. */
const PRUNES_KEPT = 60;

/** Every receipt that is there and can be trusted, by id; those the newest prune lists are as it says. */
export function headsOf(ledger: Ledger, catalog: Catalog): ReadonlyMap<string, Head> {
  const present = new Set(receiptIds(catalog));
  for (const { id } of ledger.unproven) present.delete(id);
  const heads = new Map<string, Head>();
  for (const { id, sha256 } of [...ledger.base?.receipt.live ?? [], ...ledger.nodes]) {
    if (present.has(id)) heads.set(id, { id, sha256 });
  }
  return heads;
}

/** Proofs whose backup goes, and all but the last sweeps. */
export async function obsoleteEvents(
  store: Store,
  shelf: Shelf,
  catalog: Catalog,
  going: ReadonlySet<string>,
): Promise<Set<string>> {
  const prunes = catalog.events.filter(isSweep).map(({ key }) => key);
  const obsolete = new Set(prunes.slice(0, Math.max(0, prunes.length - (PRUNES_KEPT - 1))));
  const proofs = catalog.events.filter(({ event }) => event === "verify" || event === "drill");
  const keys = proofs.map(({ key }) => key);
  for await (const read of ahead(keys, ASKS, (key) => readReceipt(store, key, shelf))) {
    if ("error" in read) {
      if (read.error instanceof IntegrityError) continue; // evidence: it stays
      throw read.error;
    }
    const { receipt } = read.value;
    if ((receipt.event === "verify" || receipt.event === "drill") && going.has(receipt.subject.id)) {
      obsolete.add(read.item);
    }
  }
  return obsolete;
}
