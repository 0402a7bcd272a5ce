/**
 * Removing what a rotation leaves behind: announced in the ledger first, then deleted by exact names.
 *
 * @module
 */
import { readCatalog } from "../catalog.ts";
import { announce, headsOf, obsoleteEvents, readLedger } from "../ledger.ts";
import type { Context, Shelf, Store } from "../stage.ts";
import { removeBackup, removeEvent } from "../sweep.ts";
import type { Held } from "./look.ts";

/** Why something is removed. */
export type Reason = "reencrypted" | "forgotten";

/**
 * Removes backups from one store, with the proofs that were about them. What is not what it was when it was looked at, and what the
 * store keeps whatever it is told, stays, and is said. Gives the file names that went. A crash is finished by the next run.
 */
export async function removeHeld(
  store: Store,
  shelf: Shelf,
  held: readonly Held[],
  reason: Reason,
  context: Context,
): Promise<ReadonlySet<string>> {
  const catalog = await readCatalog(store, shelf);
  const heads = headsOf(await readLedger(store, shelf, catalog, context.state), catalog);
  const going = new Set<string>();
  for (const { head } of held) {
    const kept = await store.retained?.(head.id);
    if (heads.get(head.id)?.sha256 !== head.sha256) {
      context.log.warn(
        "evidence",
        `"${head.id}" in ${store.url} is no longer what it was: it stays. Run verify`,
      );
    } else if (kept !== undefined) {
      context.log.warn("retained", `"${head.id}" stays in ${store.url}, which keeps it: ${kept}`);
    } else going.add(head.id);
  }
  if (going.size === 0) return going;
  const events = await obsoleteEvents(store, shelf, catalog, going);
  const gone = (id: string): boolean => going.has(id) || events.has(id);
  const all = [...heads.values()];
  context.signal.throwIfAborted();
  await announce(store, shelf, context, {
    event: "rotate",
    reason,
    tombstones: all.filter(({ id }) => gone(id)),
    live: all.filter(({ id }) => !gone(id)),
  });
  for (const backup of catalog.backups.filter(({ id }) => going.has(id))) {
    context.signal.throwIfAborted();
    await removeBackup(store, backup);
  }
  for (const event of catalog.events.filter(({ key }) => events.has(key))) await removeEvent(store, event);
  return going;
}
