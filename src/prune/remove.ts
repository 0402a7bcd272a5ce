/**
 * Doing what a plan says: announced first in a receipt, then deleted by exact names.
 *
 * @module
 */
import { type Catalog, readCatalog } from "../catalog.ts";
import { ahead } from "../ahead.ts";
import { IntegrityError, StoreError } from "../errors.ts";
import {
  appendEvent,
  type Head,
  type Ledger,
  lostHeads,
  readLedger,
  readReceipt,
  receiptIds,
} from "../ledger.ts";
import type { Context, Shelf, Store, Verdict } from "../stage.ts";
import { removeBackup, removeEvent } from "../sweep.ts";
import { ASKS, type Plan } from "./plan.ts";

/** Prune receipts that stay, so that a host that looks in now and then can follow what was removed: two months of nights. */
const PRUNES_KEPT = 60;

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
  await announce(store, shelf, context, [...heads.values()], gone);
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

async function announce(
  store: Store,
  shelf: Shelf,
  context: Context,
  heads: readonly Head[],
  gone: (id: string) => boolean,
): Promise<void> {
  await appendEvent(store, shelf, context, "prune", (id, parents) => ({
    schema: "holdfast.receipt.v1",
    event: "prune",
    name: shelf.name,
    id,
    run: context.run,
    parents: [...parents],
    createdAt: context.now.toISOString(),
    completedAt: new Date().toISOString(),
    outcome: "complete",
    tombstones: heads.filter(({ id }) => gone(id)),
    live: heads.filter(({ id }) => !gone(id)),
  }));
}

/** Every receipt that is there and can be trusted, by id; those the newest prune lists are as it says. */
function headsOf(ledger: Ledger, catalog: Catalog): ReadonlyMap<string, Head> {
  const present = new Set(receiptIds(catalog));
  for (const { id } of ledger.unproven) present.delete(id);
  const heads = new Map<string, Head>();
  for (const { id, sha256 } of [...ledger.base?.receipt.live ?? [], ...ledger.nodes]) {
    if (present.has(id)) heads.set(id, { id, sha256 });
  }
  return heads;
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

/** Proofs whose backup goes, and all but the last prunes. */
async function obsoleteEvents(
  store: Store,
  shelf: Shelf,
  catalog: Catalog,
  going: ReadonlySet<string>,
): Promise<Set<string>> {
  const prunes = catalog.events.filter(({ event }) => event === "prune").map(({ key }) => key);
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
