/**
 * Writing to a ledger: the receipts of events.
 *
 * @module
 */
import { readCatalog } from "../catalog.ts";
import { ExistsError } from "../errors.ts";
import { formatName } from "../name.ts";
import { encodeReceipt, type Receipt } from "../receipt.ts";
import { signReceipt } from "../seal.ts";
import type { Context, Shelf, Store } from "../stage.ts";
import { lostHeads, remember } from "./memory.ts";
import { readLedger } from "./read.ts";
import { type Head, headOf, readBytes, receiptIds, receiptKey } from "./receipts.ts";

/**
 * Takes the ledger of one store as it stands, after an operator has looked into what is missing: a prune's receipt that lists all that
 * is there, with tombstones for what this host knows to be gone. Gives what was accepted as missing.
 */
export async function acceptLedger(store: Store, shelf: Shelf, context: Context): Promise<readonly Head[]> {
  const catalog = await readCatalog(store, shelf);
  const ledger = await readLedger(store, shelf, catalog);
  const unproven = new Set(ledger.unproven.map(({ id }) => id));
  const present = new Set(receiptIds(catalog).filter((id) => !unproven.has(id)));
  const live: Head[] = [];
  for (const id of present) live.push(headOf(id, await readBytes(store, receiptKey(id, shelf))));
  const kept = (ledger.base?.receipt.live ?? []).filter((item) => !present.has(item.id));
  const lost = [...kept, ...await lostHeads(context.state, store, shelf, ledger)];
  await announce(store, shelf, context, { event: "prune", tombstones: lost, live });
  return lost;
}

/** What a sweep removes, and what it leaves. */
export interface Announcement {
  /** Retention, or a rotation of keys. */
  readonly event: "prune" | "rotate";
  /** Why, where it is a rotation. */
  readonly reason?: "reencrypted" | "forgotten" | undefined;
  /** Receipts that go. */
  readonly tombstones: readonly Head[];
  /** Receipts that stay. */
  readonly live: readonly Head[];
}

/** Says in the ledger what is about to be removed, and what stays; only then may it go. */
export async function announce(
  store: Store,
  shelf: Shelf,
  context: Context,
  { event, reason, tombstones, live }: Announcement,
): Promise<void> {
  await appendEvent(store, shelf, context, event, (id, parents) => ({
    schema: "holdfast.receipt.v1",
    event,
    name: shelf.name,
    id,
    run: context.run,
    parents: [...parents],
    createdAt: context.now.toISOString(),
    completedAt: new Date().toISOString(),
    outcome: "complete",
    ...(reason === undefined ? {} : { reason }),
    tombstones: tombstones.map(({ id, sha256 }) => ({ id, sha256 })),
    live: live.map(({ id, sha256 }) => ({ id, sha256 })),
  }));
}

/**
 * Appends an event's receipt under `<name>_<UTC>.<event>.json`, in the next free second. `make` is given its id and parents.
 */
export async function appendEvent(
  store: Store,
  shelf: Shelf,
  context: Context,
  event: "prune" | "rotate" | "verify" | "drill",
  make: (id: string, parents: readonly string[]) => Receipt,
): Promise<void> {
  const ledger = await readLedger(store, shelf, await readCatalog(store, shelf), context.state);
  const parents = ledger.heads.map((head) => head.sha256).sort();
  for (let second = 0; second < 60; second++) {
    const id = formatName(shelf.name, new Date(context.now.getTime() + second * 1000), `.${event}.json`);
    const signer = shelf.seals?.[0]?.signer.identity;
    const receipt: Receipt = { ...make(id, parents), ...(signer === undefined ? {} : { signer }) };
    const bytes = encodeReceipt(receipt);
    try {
      await signReceipt(store, shelf, id, bytes);
      await store.put(id, bytes, { ifAbsent: true });
    } catch (error) {
      if (error instanceof ExistsError) continue;
      throw error;
    }
    const head = headOf(id, bytes);
    const node = { ...head, parents };
    await remember(context.state, store, shelf, { ...ledger, nodes: [...ledger.nodes, node] }, [head]);
    return;
  }
  throw new ExistsError(`Cannot record the ${event} of "${shelf.name}": every name of this minute is taken`);
}
