/**
 * Backups that this host has seen in a store and that are there no more.
 *
 * @module
 */
import { readCatalog } from "../catalog.ts";
import { lostBackups, readLedger, receiptIds, seenHeads } from "../ledger.ts";
import type { Context, Shelf } from "../stage.ts";
import { type Finding, finding } from "./finding.ts";
import type { Glance } from "./store.ts";

/** Looks for the newest of them in the listing. Only where one is missing is anything read: who removed it, a prune or somebody else. */
export async function vanished(
  { store, catalog, newest }: Glance,
  shelf: Shelf,
  { state }: Context,
): Promise<Finding[]> {
  // An archive whose receipt is gone is another finding.
  const listed = new Set([...receiptIds(catalog), ...catalog.backups.map(({ id }) => id)]);
  const seen = await seenHeads(state, store, shelf, newest?.time);
  if (seen.every(({ id }) => listed.has(id))) return [];
  // Anew: a prune that goes on meanwhile has said what it removes before it does.
  const lost = await lostBackups(
    state,
    store,
    shelf,
    await readLedger(store, shelf, await readCatalog(store, shelf), state),
    newest?.time,
  );
  return lost.filter(({ id }) => !listed.has(id)).map(({ id }) =>
    finding(
      "vanished",
      `"${id}" was in ${store.url}, as this host has seen, and is gone; no prune removed it`,
      'Find out who removed it, and bring it back from another copy; if it was you, run "verify --accept"',
      store.url,
    )
  );
}
