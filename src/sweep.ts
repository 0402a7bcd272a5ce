/**
 * Clears what dead runs left: deletions that a prune had announced and not finished, and the parts of backups whose run died.
 * Called under the lease.
 *
 * @module
 */
import { type Catalog, INTENT, RECEIPT, type Shelved, type ShelvedEvent } from "./catalog.ts";
import type { Ledger } from "./ledger.ts";
import type { Context, Store } from "./stage.ts";

/** Finishes announced deletions, and removes incomplete backups whose intent is older than `graceMs`. */
export async function sweep(
  store: Store,
  catalog: Catalog,
  ledger: Ledger,
  context: Context,
  graceMs: number,
): Promise<void> {
  const announced = new Set(ledger.base?.receipt.tombstones.map((item) => item.id));
  for (const backup of catalog.backups) {
    const intent = backup.parts.get(INTENT);
    const age = intent ? context.now.getTime() - intent.modified.getTime() : 0;
    const died = intent !== undefined && age > graceMs;
    if (announced.has(backup.id)) await removeBackup(store, backup);
    else if (died && backup.state === "complete") await store.delete(backup.id + INTENT);
    else if (died && backup.state === "incomplete") {
      context.log.info(`Removing what a dead run left in ${store.url}: "${backup.id}"`);
      await removeBackup(store, backup);
    }
  }
  for (const event of catalog.events) if (announced.has(event.key)) await removeEvent(store, event);
}

/** Deletes an event's receipt, then its signatures. */
export async function removeEvent(store: Store, event: ShelvedEvent): Promise<void> {
  for (const key of [event.key, ...event.signatures]) await store.delete(key);
}

/** Deletes a backup by its exact known names: the receipt first, so that it is no backup any more, the intent last. */
export async function removeBackup(store: Store, backup: Shelved): Promise<void> {
  const rank = (suffix: string): number =>
    suffix === RECEIPT ? 0 : suffix === INTENT ? 3 : suffix === "" ? 2 : 1;
  const suffixes = [...backup.parts.keys()].sort((a, b) => rank(a) - rank(b));
  for (const suffix of suffixes) await store.delete(backup.id + suffix);
}
