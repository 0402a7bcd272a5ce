/**
 * Doing what a plan says: announced first in a receipt, then deleted by exact names.
 *
 * @module
 */
import { type Catalog, readCatalog } from "../catalog.ts";
import { StoreError } from "../errors.ts";
import { announce, headsOf, type Ledger, lostHeads, obsoleteEvents, readLedger } from "../ledger.ts";
import type { Context, Shelf, Store, Verdict } from "../stage.ts";
import { removeBackup, removeEvent } from "../sweep.ts";
import type { Plan } from "./plan.ts";

/**
 * Writes the tombstones, then deletes. A crash in between is finished by the next run. Refuses, before anything is done, when the
 * store is no longer what was planned from, or shows less than this host has seen. Gives the verdicts as they were carried out:
 * what has no readable receipt stays, as evidence.
 */
export async function removePlanned(
  { store, catalog, verdicts }: Plan,
  shelf: Shelf,
  context: Context,
  lost: AbortSignal,
): Promise<readonly Verdict[]> {
  if (verdicts.every(({ keep }) => keep)) return verdicts;
  const ledger = await readLedger(store, shelf, catalog, context.state);
  await refuseLate(store, shelf, ledger, context);
  const heads = headsOf(ledger, catalog);
  const done = verdicts.map((verdict) => {
    if (verdict.keep || heads.has(verdict.id)) return verdict;
    const why = [...ledger.unreadable, ...ledger.unproven].find(({ id }) => id === verdict.id)?.why;
    if (why !== undefined) context.log.warn("evidence", why);
    return { ...verdict, keep: true, reasons: ["evidence: its receipt cannot be trusted"] };
  });
  const going = new Set(done.filter(({ keep }) => !keep).map(({ id }) => id));
  if (going.size === 0) return done;
  await refuseChanged(store, shelf, catalog);
  const goingEvents = await obsoleteEvents(store, shelf, catalog, going);
  const gone = (id: string): boolean => going.has(id) || goingEvents.has(id);
  const all = [...heads.values()];
  await announce(store, shelf, context, {
    event: "prune",
    tombstones: all.filter(({ id }) => gone(id)),
    live: all.filter(({ id }) => !gone(id)),
  });
  for (const backup of catalog.backups.filter(({ id }) => going.has(id))) {
    lost.throwIfAborted();
    context.signal.throwIfAborted();
    await removeBackup(store, backup);
  }
  for (const event of catalog.events.filter(({ key }) => goingEvents.has(key))) {
    await removeEvent(store, event);
  }
  return done;
}

/** A store that does not show what this host has seen, and has it, lists late: then nothing it shows is sure. */
async function refuseLate(store: Store, shelf: Shelf, ledger: Ledger, context: Context): Promise<void> {
  for (const { id } of await lostHeads(context.state, store, shelf, ledger)) {
    const key = shelf.naming.parse(id) ? `${id}.receipt.json` : id;
    if (!await store.head(key)) continue; // gone: verify says it, and prune goes on with what is left
    throw new StoreError(
      `Cannot prune "${shelf.name}" in ${store.url}: its listing lacks "${id}", which is there. The store lists late; ` +
        "prune again in some minutes. Nothing was removed",
      { retryable: true },
    );
  }
}

/** A plan is for what it has seen. */
async function refuseChanged(store: Store, shelf: Shelf, before: Catalog): Promise<void> {
  const [old, now] = [before, await readCatalog(store, shelf)].map((catalog) =>
    new Map([
      ...catalog.backups.map(({ id, state, parts }) => [id, `${state} ${parts.get("")?.bytes}`] as const),
      ...catalog.events.map(({ key }) => [key, "event"] as const),
    ])
  ) as [Map<string, string>, Map<string, string>];
  const different = [...new Set([...old.keys(), ...now.keys()])].find((id) => old.get(id) !== now.get(id));
  if (different === undefined) return;
  throw new StoreError(
    `Cannot prune "${shelf.name}" in ${store.url}: "${different}" has changed since it was decided what to remove. ` +
      "Another run is at work; prune again. Nothing was removed",
    { retryable: true },
  );
}
