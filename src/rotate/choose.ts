/**
 * Which backups are to be encrypted again, and which of them already are.
 *
 * @module
 */
import { findError, KeyError } from "../errors.ts";
import type { Store } from "../stage.ts";
import { type Held, holdings } from "./look.ts";
import { openArchive, type Work } from "./one.ts";

/** A backup to encrypt again. */
export interface Chosen {
  /** Its file name. */
  readonly id: string;
  /** Every copy of it. */
  readonly held: readonly Held[];
  /** The copies that have no successor in their store yet. */
  readonly todo: readonly Held[];
  /** Successors that an earlier run has left, by store. */
  readonly done: ReadonlyMap<Store, Held>;
}

/** All of them. */
export interface Choice {
  /** Oldest first: a base comes before what builds on it. */
  readonly chosen: readonly Chosen[];
  /** How many others there are. */
  readonly others: number;
  /** Seconds since 1970 that a backup's name has taken. */
  readonly names: Set<number>;
  /** Digests of receipts, to those of their successors. */
  readonly bases: Map<string, string>;
}

/** What is asked for. */
export interface Which {
  /** Who reads a backup made now. */
  readonly current: readonly string[];
  /** Only what this one reads. */
  readonly key: string | undefined;
  /** Whether what is there is opened by another stage than the plan's: then passphrases differ. */
  readonly other: boolean;
}

/** Chooses in all stores at once, so that copies of one backup stay copies. */
export async function choose(work: Work, stores: readonly Store[], which: Which): Promise<Choice> {
  const { shelf, context } = work;
  const copies = new Map<string, Held[]>();
  const successors = new Map<string, Held>();
  const names = new Set<number>();
  for (const store of stores) {
    for (const held of await holdings(store, shelf, context, names)) {
      const { id } = held.head;
      copies.set(id, [...copies.get(id) ?? [], held]);
      if (held.receipt.replaces) successors.set(keyOf(store, held.receipt.replaces.sha256), held);
    }
  }
  const all = [...copies].sort((a, b) => timeOf(a[1]) - timeOf(b[1]));
  const bases = new Map<string, string>();
  const taken = new Set<string>();
  const chosen: Chosen[] = [];
  for (const [id, held] of all) {
    const done = new Map(held.flatMap((one) => {
      const successor = successors.get(keyOf(one.store, one.head.sha256));
      return successor ? [[one.store, successor] as const] : [];
    }));
    const builds = held.some(({ receipt }) => taken.has(receipt.contents.base ?? ""));
    if (done.size === 0 && !builds && !await concerns(work, held, which)) continue;
    for (const { store, head } of held) {
      taken.add(head.sha256);
      const successor = done.get(store);
      if (successor) bases.set(head.sha256, successor.head.sha256);
    }
    chosen.push({ id, held, done, todo: held.filter(({ store }) => !done.has(store)) });
  }
  return { chosen, others: all.length - chosen.length, names, bases };
}

async function concerns(work: Work, held: readonly Held[], { current, key, other }: Which): Promise<boolean> {
  const { recipients } = held[0]!.receipt;
  if (key !== undefined) return recipients.includes(key);
  const same = recipients.length === current.length && recipients.every((one) => current.includes(one));
  if (!same) return true;
  // Passphrases have no public half: whether it is the old one shows by trying.
  return other && recipients.includes("passphrase") && await opens(work, held);
}

async function opens(work: Work, held: readonly Held[]): Promise<boolean> {
  try {
    await openArchive(work, held);
    return true;
  } catch (error) {
    if (findError(error, KeyError)) return false;
    throw error;
  }
}

function keyOf(store: Store, digest: string): string {
  return `${store.url} ${digest}`;
}

function timeOf(held: readonly Held[]): number {
  return held[0]!.shelved.time.getTime();
}
