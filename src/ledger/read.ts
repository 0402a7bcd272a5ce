/**
 * Reading a ledger: from its newest sweep on, and the heads that the next event must name.
 *
 * @module
 */
import { ahead } from "../ahead.ts";
import { sha256 } from "../bytes.ts";
import type { Catalog } from "../catalog.ts";
import { IntegrityError } from "../errors.ts";
import { isSweep, type PruneReceipt, type Receipt } from "../receipt.ts";
import { type Prover, prover } from "../seal.ts";
import type { Shelf, State, Store, U8 } from "../stage.ts";
import { recall } from "./memory.ts";
import { type Head, readReceipt, receiptIds, receiptKey } from "./receipts.ts";

/** How many receipts are asked for at once. */
const READS = 8;

/** A receipt that was read, and what it names as coming before it. */
export interface Node extends Head {
  /** Digests of the receipts before it. */
  readonly parents: readonly string[];
}

/** The part of a ledger a walk needs: the newest prune and all that came after it. */
export interface Ledger {
  /** The newest prune receipt, where the walk starts. */
  readonly base: (Head & { readonly receipt: PruneReceipt }) | undefined;
  /** Receipts that are there and cannot be read: damaged, renamed or swapped. */
  readonly unreadable: readonly { readonly id: string; readonly why: string }[];
  /** Heads and prunes without the signature that the plan asks for: nothing they say counts, and no receipt names them. */
  readonly unproven: readonly { readonly id: string; readonly why: string }[];
  /** Digests of receipts that a prune read here has removed. */
  readonly gone: ReadonlySet<string>;
  /** Every receipt that the base does not list, the base included. */
  readonly nodes: readonly Node[];
  /** Receipts that no other names as a parent: what the next event must name. */
  readonly heads: readonly Head[];
}

/**
 * Reads a receipt that carries every signature the plan asks for, or that this host remembers as a head. Throws NotFoundError, or
 * IntegrityError when it is malformed, claims another place, or is not signed as it must be.
 */
export async function provenReceipt(
  store: Store,
  id: string,
  shelf: Shelf,
  state: State,
): Promise<{ bytes: U8; receipt: Receipt }> {
  const read = await readReceipt(store, id, shelf);
  const seen = new Set((await recall(state, store, shelf))?.heads.map((head) => head.sha256));
  const prove = prover(shelf, (id) => receiptKey(id, shelf), store, seen);
  if (!await prove.check(id, read.bytes)) throw new IntegrityError(prove.unproven[0]!.why);
  return read;
}

/** Reads what a writer needs; receipts it has read before come from the host's memory. */
export async function readLedger(
  store: Store,
  shelf: Shelf,
  catalog: Catalog,
  state?: State,
): Promise<Ledger> {
  const memory = state && await recall(state, store, shelf);
  const known = memory?.known ?? {};
  const seen = new Set(memory?.heads.map((head) => head.sha256));
  const prove = prover(shelf, (id) => receiptKey(id, shelf), store, seen);
  const newest = await newestProven(catalog, prove);
  let base: Ledger["base"];
  const nodes: Node[] = [];
  const unreadable: { id: string; why: string }[] = [];
  if (newest) {
    try {
      const { bytes, receipt } = await readReceipt(store, newest.key, shelf);
      if (!isSweep(receipt)) {
        throw new IntegrityError(`Cannot read "${newest.key}": it is not a prune's receipt`);
      }
      base = { id: newest.key, sha256: sha256(bytes), receipt };
      nodes.push({ id: base.id, sha256: base.sha256, parents: receipt.parents });
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error;
      unreadable.push({ id: newest.key, why: error.message });
    }
  }
  const unproven = prove.unproven;
  const covered = new Set(base?.receipt.live.map((item) => item.id));
  const gone = new Set(base?.receipt.tombstones.map((item) => item.sha256));
  const unread: string[] = [];
  for (const id of receiptIds(catalog)) {
    if (id === newest?.key || covered.has(id)) continue;
    const seen = known[id];
    if (seen) nodes.push({ id, ...seen });
    else unread.push(id);
  }
  for await (const read of ahead(unread, READS, (id) => readReceipt(store, id, shelf))) {
    const id = read.item;
    try {
      if ("error" in read) throw read.error;
      const { bytes, receipt } = read.value;
      nodes.push({ id, sha256: sha256(bytes), parents: receipt.parents });
      if (isSweep(receipt) && await prove.check(id, bytes)) {
        for (const item of receipt.tombstones) gone.add(item.sha256);
      }
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error;
      unreadable.push({ id, why: error.message });
    }
  }
  const named = new Set(nodes.flatMap((node) => node.parents));
  const heads: Head[] = [];
  for (const { id, sha256 } of nodes.filter((node) => !named.has(node.sha256))) {
    if (await prove.check(id)) heads.push({ id, sha256 });
  }
  return { base, unreadable, unproven, gone, nodes, heads };
}

/** The newest prune; one that is not proven says nothing. */
async function newestProven(catalog: Catalog, prove: Prover): Promise<Catalog["events"][number] | undefined> {
  for (const event of catalog.events.filter(isSweep).toReversed()) {
    if (await prove.check(event.key)) return event;
  }
  return undefined;
}

/** Where a walk through a ledger starts. */
export interface Base {
  /** The newest sweep whose receipt counts; undefined: there is none. */
  readonly head: Head | undefined;
  /** Its receipt. */
  readonly receipt: PruneReceipt | undefined;
  /** Digests of all that it says stays. */
  readonly listed: ReadonlySet<string>;
  /** Looks at signatures; what this host remembers needs one as well. */
  readonly prove: Prover;
}

/** Finds the newest sweep. One that cannot be read is none. */
export async function readBase(store: Store, shelf: Shelf, catalog: Catalog): Promise<Base> {
  const prove = prover(shelf, (id) => receiptKey(id, shelf), store, new Set());
  const newest = await newestProven(catalog, prove);
  try {
    const { bytes, receipt } = newest ? await readReceipt(store, newest.key, shelf) : {};
    if (newest && bytes && receipt && isSweep(receipt)) {
      const listed = new Set(receipt.live.map(({ sha256 }) => sha256));
      return { head: { id: newest.key, sha256: sha256(bytes) }, receipt, listed, prove };
    }
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
  }
  return { head: undefined, receipt: undefined, listed: new Set(), prove };
}
