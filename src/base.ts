/**
 * Backups that build on others: an increment's receipt names its base by the digest of that one's receipt, in each store by its own.
 *
 * @module
 */
import { ahead } from "./ahead.ts";
import { sha256 } from "./bytes.ts";
import { type Catalog, newestComplete, readCatalog, RECEIPT } from "./catalog.ts";
import { IntegrityError, messageOf, NotFoundError, StoreError } from "./errors.ts";
import { readReceipt } from "./ledger.ts";
import type { BackupReceipt, Receipt } from "./receipt.ts";
import { prover } from "./seal.ts";
import type { Context, Shelf, Store, Stored, U8 } from "./stage.ts";

/** A backup that an increment may build on. */
export interface Base {
  /** Its file name. */
  readonly id: string;
  /** What its receipt in the first store says. */
  readonly receipt: BackupReceipt;
}

/**
 * Forward, under the lease: the newest complete backup, if every target of the run that can be listed has it and has none that is
 * newer, and all keys that are to read this backup read it; undefined: a full backup must be made. What a target that cannot be listed holds
 * does not matter: it gets no copy of this run.
 */
export async function newestBase(context: Context): Promise<Base | undefined> {
  const { shelf, log } = context;
  let found: Base | undefined;
  for (const store of shelf?.stores ?? []) {
    const newest = await readCatalog(store, shelf!).then(newestComplete, (error) => {
      log.info(`Cannot look for the newest backup in ${store.url}: ${messageOf(error)}`);
      return null;
    });
    if (newest === null) continue;
    if (!newest || (found && found.id !== newest.id)) return undefined;
    const receipt = await readReceipt(store, newest.id, shelf!).then(({ receipt }) => receipt, (error) => {
      if (found || error instanceof IntegrityError || error instanceof NotFoundError) return undefined;
      throw error;
    });
    if (found && receipt && !isSame(found.receipt, receipt)) {
      log.warn(
        "base",
        `Nothing builds on "${found.id}": what has that name in ${store.url} is another backup`,
      );
      return undefined;
    }
    if (found) continue;
    if (receipt?.event !== "backup") return undefined;
    found = { id: newest.id, receipt };
  }
  if (!found || await readsToo(context, found.receipt)) return found;
  log.info(`Nothing builds on "${found.id}": a key that is to read this backup cannot read that one`);
  return undefined;
}

/** Whether two receipts of one name, in two stores, are of one backup: names can be the same by accident, salted trees cannot. */
export function isSame(one: Receipt, other: Receipt): boolean {
  return one.event === "backup" && other.event === "backup" &&
    one.contents.merkleRoot === other.contents.merkleRoot;
}

/** Whether everybody who can read a backup made now can read another; a changed passphrase does not show. */
export async function readsToo({ recipients }: Context, receipt: BackupReceipt): Promise<boolean> {
  return (await recipients?.() ?? []).every((one) => receipt.recipients.includes(one));
}

/** The digest of the receipt of `base` in a target. Throws {@linkcode StoreError} where it is not there any more. */
export async function baseDigest(store: Store, shelf: Shelf, base: string, id: string): Promise<string> {
  try {
    return sha256((await readReceipt(store, base, shelf)).bytes);
  } catch (cause) {
    if (!(cause instanceof NotFoundError || cause instanceof IntegrityError)) throw cause;
    throw new StoreError(
      `Cannot store "${id}" in ${store.url}: it builds on "${base}", which is not whole there (${
        messageOf(cause)
      }). The next run makes a full backup`,
      { cause },
    );
  }
}

/** Receipts that are read at once. */
const ASKS = 4;

/**
 * Backward: the backup that `stored`, an increment in one store, builds on, in the same store. It is older, unless a clock was set back.
 * Throws {@linkcode IntegrityError} without it.
 */
export async function findBase(stored: Stored, digest: string): Promise<Stored> {
  const { id, shelf, copies } = stored;
  const { store } = copies[0]!;
  const found = await findDigest(store, shelf, await readCatalog(store, shelf), id, digest);
  if (found) {
    return { ...stored, id: found.id, copies: [{ store, receipt: found.bytes }], failures: [] };
  }
  throw new IntegrityError(
    `Cannot use "${id}" from ${store.url}: it builds on a backup that is not there, or not as it was: none has a receipt with the ` +
      `digest ${digest}. Put that one back from another copy, or use an older backup`,
  );
}

/** A backup's receipt as it lies in a store. */
interface Found extends Base {
  readonly bytes: U8;
}

async function findDigest(
  store: Store,
  shelf: Shelf,
  { backups }: Catalog,
  id: string,
  digest: string,
): Promise<Found | undefined> {
  const before = Math.max(0, backups.findIndex((backup) => backup.id === id));
  const ids = [...backups.slice(0, before).toReversed(), ...backups.slice(before)].map(({ id }) => id);
  for await (const outcome of ahead(ids, ASKS, (id) => readReceipt(store, id, shelf))) {
    if (!("value" in outcome) || sha256(outcome.value.bytes) !== digest) continue;
    const { bytes, receipt } = outcome.value;
    if (receipt.event === "backup") return { id: outcome.item, receipt, bytes };
  }
  return undefined;
}

/**
 * A backup and all it builds on in one store, down to the full one. Throws {@linkcode IntegrityError} or NotFoundError where one of them is not
 * there, has not all its objects, or is not signed as the plan asks.
 */
export async function chainOf(store: Store, shelf: Shelf, id: string): Promise<readonly BackupReceipt[]> {
  const catalog = await readCatalog(store, shelf);
  const prove = prover(shelf, (id) => id + RECEIPT, store, new Set());
  const chain: BackupReceipt[] = [];
  const { bytes, receipt } = await readReceipt(store, id, shelf);
  let found: Found | undefined = receipt.event === "backup" ? { id, bytes, receipt } : undefined;
  for (;;) {
    if (!found) {
      throw new IntegrityError(
        `a backup that "${chain.at(-1)?.id ?? id}" builds on is not there, or not as it was`,
      );
    }
    const link: Found = found;
    const parts = catalog.backups.find((backup) => backup.id === link.id)?.parts;
    const cut = link.receipt.objects.find(({ suffix, bytes }) => parts?.get(suffix)?.bytes !== bytes);
    if (cut) throw new IntegrityError(`"${link.id}${cut.suffix}" is missing or cut`);
    if (!await prove.check(link.id, link.bytes)) throw new IntegrityError(prove.unproven[0]!.why);
    chain.push(link.receipt);
    const { base } = link.receipt.contents;
    if (base === null) return chain;
    found = await findDigest(store, shelf, catalog, link.id, base);
  }
}
