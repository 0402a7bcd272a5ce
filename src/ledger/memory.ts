/**
 * What a host remembers of a ledger between runs, and what of it is gone without a word.
 *
 * @module
 */
import { sha256, text, utf8 } from "../bytes.ts";
import { IntegrityError, NotFoundError } from "../errors.ts";
import { isSweep } from "../receipt.ts";
import type { Shelf, State, Store } from "../stage.ts";
import type { Ledger, Node } from "./read.ts";
import { type Head, readReceipt } from "./receipts.ts";

/** What a host remembers of a ledger between runs. */
interface Memory {
  /** The heads as last seen. */
  readonly heads: readonly Head[];
  /** Receipts already read: they never change. */
  readonly known: Readonly<Record<string, Omit<Node, "id">>>;
}

/** The heads this host has seen last, and the backups made after `after` that it has seen. */
export async function seenHeads(
  state: State,
  store: Store,
  shelf: Shelf,
  after: Date | undefined,
): Promise<readonly Head[]> {
  const { heads = [], known = {} } = await recall(state, store, shelf) ?? {};
  const from = after?.getTime() ?? 0;
  const later = Object.entries(known).flatMap(([id, { sha256 }]) =>
    (shelf.naming.parse(id)?.time.getTime() ?? 0) > from ? [{ id, sha256 }] : []
  );
  return [...new Map([...heads, ...later].map((head) => [head.id, head])).values()];
}

/** Heads this host has seen that the ledger holds no more, and that no prune removed. */
export async function lostHeads(
  state: State,
  store: Store,
  shelf: Shelf,
  ledger: Ledger,
): Promise<readonly Head[]> {
  const memory = await recall(state, store, shelf);
  return await unexplained(store, shelf, ledger, memory?.heads ?? []);
}

/**
 * Lost heads, and backups made after `after` that this host has seen and that are gone though a later receipt, of a verification for
 * one, has become the head. What a sweep that is newer than a backup does not list is no news.
 */
export async function lostBackups(
  state: State,
  store: Store,
  shelf: Shelf,
  ledger: Ledger,
  after: Date | undefined,
): Promise<readonly Head[]> {
  const swept = new Date(
    Math.max(after?.getTime() ?? 0, Date.parse(ledger.base?.receipt.createdAt ?? "") || 0),
  );
  return await unexplained(store, shelf, ledger, await seenHeads(state, store, shelf, swept));
}

/** Those of `heads` that are neither there nor announced as removed. Older prunes are read only where something is missing. */
export async function unexplained(
  store: Store,
  shelf: Shelf,
  ledger: Ledger,
  heads: readonly Head[],
): Promise<readonly Head[]> {
  const digests = digestsOf(ledger);
  const missing = heads.filter((head) => !digests.has(head.sha256));
  if (missing.length === 0) return missing;
  for (const live of ledger.base?.receipt.live ?? []) {
    if (!/\.(?:prune|rotate)\.json$/.test(live.id)) continue;
    for (const item of await tombstonesOf(store, shelf, live)) digests.add(item.sha256);
  }
  return missing.filter((head) => !digests.has(head.sha256));
}

/** What a prune has removed, if its receipt still is what the newest prune says it was: that proves it. */
async function tombstonesOf(store: Store, shelf: Shelf, prune: Head): Promise<readonly Head[]> {
  try {
    const { bytes, receipt } = await readReceipt(store, prune.id, shelf);
    return isSweep(receipt) && sha256(bytes) === prune.sha256 ? receipt.tombstones : [];
  } catch (error) {
    if (error instanceof IntegrityError || error instanceof NotFoundError) return [];
    throw error;
  }
}

/** Every receipt that a ledger knows: there, kept by the newest prune, or removed by one. */
export function digestsOf(ledger: Ledger): Set<string> {
  return new Set([
    ...ledger.nodes.map((node) => node.sha256),
    ...ledger.gone,
    ...(ledger.base?.receipt.live ?? []).map((item) => item.sha256),
  ]);
}

/** Remembers the heads and the receipts read so far; a head that went missing stays remembered until it is accepted. */
export async function remember(
  state: State,
  store: Store,
  shelf: Shelf,
  ledger: Ledger,
  heads: readonly Head[],
): Promise<void> {
  const lost = await lostHeads(state, store, shelf, ledger);
  const known = Object.fromEntries(
    ledger.nodes.map(({ id, sha256, parents }) => [id, { sha256, parents }]),
  );
  await state.put(
    memoryKey(store, shelf),
    utf8(JSON.stringify({ heads: [...heads, ...lost], known } satisfies Memory)),
  );
}

/** What the host remembers; undefined where it remembers nothing. */
export async function recall(state: State, store: Store, shelf: Shelf): Promise<Memory | undefined> {
  const bytes = await state.get(memoryKey(store, shelf));
  if (!bytes) return undefined;
  try {
    return JSON.parse(text(bytes)) as Memory;
  } catch {
    return undefined; // a damaged memory is as good as none: verify then says it cannot tell
  }
}

function memoryKey(store: Store, shelf: Shelf): string {
  return `ledger-${sha256(utf8(`${store.url}\n${shelf.name}`)).slice(0, 32)}`;
}
