/**
 * The backup that shows how things were at a time.
 *
 * @module
 */
import { type Catalog, readCatalog } from "./catalog.ts";
import { IntegrityError, messageOf, NotFoundError } from "./errors.ts";
import { type Plan, shelfOf } from "./find.ts";
import { readReceipt } from "./ledger.ts";
import type { Context, Store } from "./stage.ts";

/**
 * The newest complete backup, of all stores, whose sources were all read not after `at`. Names only say when a run began: receipts
 * decide. Throws {@linkcode NotFoundError} where every backup is newer.
 */
export async function idAt(plan: Plan, at: Date, context: Context): Promise<string> {
  const shelf = shelfOf(plan);
  const found: { readonly id: string; readonly time: Date; readonly store: Store }[] = [];
  for (const store of shelf.stores) {
    const catalog = await readCatalog(store, shelf).catch((error): Catalog => {
      if (shelf.stores.length === 1) throw error;
      context.log.warn("target", `Cannot read ${store.url}: ${messageOf(error)}`);
      return { backups: [], events: [] };
    });
    for (const { id, time, state } of catalog.backups) {
      if (state === "complete" && time <= at) found.push({ id, time, store });
    }
  }
  found.sort((a, b) => b.time.getTime() - a.time.getTime() || (a.id < b.id ? 1 : -1));
  for (const { id, store } of found) {
    context.signal.throwIfAborted();
    try {
      const { receipt } = await readReceipt(store, id, shelf);
      if (receipt.event === "backup" && receipt.sources.every(({ cutAt }) => new Date(cutAt) <= at)) {
        return id;
      }
    } catch (error) {
      if (!(error instanceof IntegrityError || error instanceof NotFoundError)) throw error;
      context.log.warn("evidence", messageOf(error));
    }
  }
  const where = shelf.stores.map(({ url }) => url).join(", ");
  throw new NotFoundError(
    `Cannot find a backup of "${shelf.name}" from ${at.toISOString()} or before in ${where}. \`list\` shows what is there`,
  );
}
