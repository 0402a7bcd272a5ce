/**
 * Clears what dead runs left: deletions that a prune had announced and not finished, and the parts of backups whose run died.
 * Called under the lease.
 *
 * @module
 */
import { type Catalog, INTENT, RECEIPT, type Shelved, type ShelvedEvent } from "./catalog.ts";
import { readAll, sha256 } from "./bytes.ts";
import { NotFoundError } from "./errors.ts";
import type { Ledger } from "./ledger.ts";
import { RECEIPT_LIMIT } from "./receipt.ts";
import type { Context, Store } from "./stage.ts";

/**
 * Finishes announced deletions, and removes incomplete backups whose intent is older than `graceMs`. What a listing says is not
 * enough to delete: some stores list late. So that a backup is incomplete is proven by its receipt's absence, and that it is the
 * announced one by its receipt's digest, for a clock that was set back can give a name again.
 */
export async function sweep(
  store: Store,
  catalog: Catalog,
  ledger: Ledger,
  context: Context,
  graceMs: number,
): Promise<void> {
  const announced = new Map((ledger.base?.receipt.tombstones ?? []).map(({ id, sha256 }) => [id, sha256]));
  for (const backup of catalog.backups) {
    context.signal.throwIfAborted();
    const intent = backup.parts.get(INTENT);
    const age = intent ? context.now.getTime() - intent.modified.getTime() : 0;
    const died = intent !== undefined && age > graceMs;
    const digest = announced.get(backup.id);
    if (digest !== undefined && !intent) {
      if (await isAnnounced(store, backup.id + RECEIPT, digest)) await removeBackup(store, backup);
    } else if (died && backup.state === "complete") await store.delete(backup.id + INTENT);
    else if (died && backup.state === "incomplete" && !await store.head(backup.id + RECEIPT)) {
      context.log.info(`Removing what a dead run left in ${store.url}: "${backup.id}"`);
      await removeBackup(store, backup);
    }
  }
  for (const event of catalog.events) {
    const digest = announced.get(event.key);
    if (digest !== undefined && await isAnnounced(store, event.key, digest)) await removeEvent(store, event);
  }
}

/** Whether what stands under a receipt's key is what was announced, or nothing any more. */
async function isAnnounced(store: Store, key: string, digest: string): Promise<boolean> {
  try {
    return sha256(await readAll(await store.get(key), RECEIPT_LIMIT, `the receipt "${key}"`)) === digest;
  } catch (error) {
    if (error instanceof NotFoundError) return true;
    throw error;
  }
}

/** Deletes an event's receipt, then its signatures. */
export async function removeEvent(store: Store, event: ShelvedEvent): Promise<void> {
  for (const key of [event.key, ...event.signatures]) await store.delete(key);
}

/**
 * Deletes a backup by its exact known names: the receipt first, so that it is no backup any more, then the archive, which a run that
 * is still at work looks for before it commits, the intent last.
 */
export async function removeBackup(store: Store, backup: Shelved): Promise<void> {
  const rank = (suffix: string): number =>
    suffix === RECEIPT ? 0 : suffix === "" ? 1 : suffix === INTENT ? 3 : 2;
  const suffixes = [...backup.parts.keys()].sort((a, b) => rank(a) - rank(b));
  for (const suffix of suffixes) await store.delete(backup.id + suffix);
}
