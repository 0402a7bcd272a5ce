/**
 * What the receipts of a ledger, once read, do not explain.
 *
 * @module
 */
import { lostHeads, recall, remember, unexplained } from "../ledger/memory.ts";
import type { Base, Ledger } from "../ledger/read.ts";
import type { ReceiptRef } from "../receipt.ts";
import type { Context, Shelf, Store } from "../stage.ts";

/** One receipt that was read. */
export interface Link extends ReceiptRef {
  /** What it names as coming before it. */
  readonly parents: readonly string[];
  /** When it was written, in milliseconds since 1970. */
  readonly at: number;
  /** Whether the base lists it, as it is. */
  readonly listed: boolean;
}

/** A walk, and what it has read. */
export interface Walk {
  /** Where. */
  readonly store: Store;
  /** Whose ledger. */
  readonly shelf: Shelf;
  /** Where it starts. */
  readonly base: Base;
  /** Every receipt that can be read. */
  readonly links: Link[];
  /** Digests of what was announced as removed. */
  readonly gone: Set<string>;
  /** Receipts that cannot. */
  readonly unreadable: { readonly id: string; readonly why: string }[];
}

/** What was found. */
export interface Broken {
  /** See `ChainResult`. */
  readonly missing: readonly string[];
  /** See `ChainResult`. */
  readonly unexplained: readonly string[];
  /** See `ChainResult`. */
  readonly outOfOrder: readonly string[];
  /** See `ChainResult`. */
  readonly leftovers: readonly string[];
  /** See `ChainResult`. */
  readonly ledger: "ok" | "cannot tell";
}

/** Clocks of two hosts may differ by so much. */
const TOLERANCE_MS = 5 * 60_000;

/** Holds the receipts against each other, against what this host remembers, and against heads that were kept elsewhere. */
export async function findBroken(
  walk: Walk,
  context: Context,
  given: readonly ReceiptRef[],
): Promise<Broken> {
  const { store, shelf, base, links, gone, unreadable } = walk;
  const byDigest = new Map(links.map((link) => [link.sha256, link]));
  const after = links.filter(({ listed, sha256 }) =>
    !listed && sha256 !== base.head?.sha256 && !gone.has(sha256)
  );
  const ledger = await ledgerOf(walk, after);
  const missing = [
    ...missingFromBase(walk, byDigest),
    ...after.flatMap(({ id, parents }) =>
      parents.filter((parent) => !byDigest.has(parent) && !gone.has(parent) && !base.listed.has(parent))
        .map((parent) => `the receipt before "${id}" (${parent.slice(0, 12)}...) is gone`)
    ),
  ];
  for (const { id } of await lostHeads(context.state, store, shelf, ledger)) {
    missing.push(`"${id}" is gone, which this host had seen`);
  }
  for (const { id, sha256 } of await unexplained(store, shelf, ledger, given)) {
    missing.push(`"${id}" is gone, or is not what it was: the head you gave (${sha256.slice(0, 12)}...)`);
  }
  const roots = after.filter(({ parents }) => parents.length === 0).slice(base.head ? 0 : 1);
  const strange = [
    ...unreadable.map(({ id, why }) => `"${id}": ${why}`),
    ...base.prove.unproven.map(({ why }) => why),
    ...roots.map(({ id }) => `"${id}" names nothing before it, and is not the first: nothing leads to it`),
  ];
  const remembered = given.length > 0 || await recall(context.state, store, shelf) !== undefined;
  if (missing.length + strange.length === 0) {
    await remember(context.state, store, shelf, ledger, ledger.heads);
  }
  return {
    missing,
    unexplained: strange,
    outOfOrder: outOfOrder(links, byDigest),
    leftovers: links.filter(({ sha256 }) => gone.has(sha256)).map(({ id }) =>
      `"${id}" was announced as removed, and is there`
    ),
    ledger: remembered ? "ok" : "cannot tell",
  };
}

function missingFromBase({ base, gone, links }: Walk, byDigest: ReadonlyMap<string, Link>): string[] {
  const present = new Set(links.map(({ id }) => id));
  return (base.receipt?.live ?? []).flatMap(({ id, sha256 }) => {
    if (byDigest.has(sha256) || gone.has(sha256)) return [];
    const what = present.has(id) ? "is not what it was when" : "is gone, which";
    return [`"${id}" ${what} "${base.head!.id}" ${present.has(id) ? "listed it" : "had kept"}`];
  });
}

function outOfOrder(links: readonly Link[], byDigest: ReadonlyMap<string, Link>): string[] {
  return links.flatMap(({ id, at, parents }) =>
    parents.flatMap((parent) => {
      const before = byDigest.get(parent);
      return before && before.at > at + TOLERANCE_MS
        ? [`"${id}" is dated before "${before.id}", which it names as coming before it`]
        : [];
    })
  );
}

/** The same as a ledger that a writer would read; heads that nobody trusted has signed are noted as unproven. */
async function ledgerOf({ base, gone, unreadable }: Walk, after: readonly Link[]): Promise<Ledger> {
  const first = base.head && base.receipt ? [{ ...base.head, parents: base.receipt.parents }] : [];
  const nodes = [...first, ...after.map(({ id, sha256, parents }) => ({ id, sha256, parents }))];
  const named = new Set(nodes.flatMap(({ parents }) => parents));
  const heads: ReceiptRef[] = [];
  for (const { id, sha256 } of nodes.filter(({ sha256 }) => !named.has(sha256))) {
    if (await base.prove.check(id)) heads.push({ id, sha256 });
  }
  return {
    base: base.head && base.receipt ? { ...base.head, receipt: base.receipt } : undefined,
    unreadable,
    unproven: base.prove.unproven,
    gone,
    nodes,
    heads,
  };
}
