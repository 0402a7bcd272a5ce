/**
 * Backups that build on others: an increment's receipt names its base by the digest of that one's receipt, in each store by its own.
 *
 * @module
 */
import { ahead } from "./ahead.ts";
import { sha256 } from "./bytes.ts";
import { newestComplete, readCatalog } from "./catalog.ts";
import { IntegrityError, messageOf, NotFoundError, StoreError } from "./errors.ts";
import { readReceipt } from "./ledger.ts";
import type { BackupReceipt } from "./receipt.ts";
import type { Context, Shelf, Store, Stored } from "./stage.ts";

/** A backup that an increment may build on. */
export interface Base {
  /** Its file name. */
  readonly id: string;
  /** What its receipt in the first store says. */
  readonly receipt: BackupReceipt;
}

/**
 * Forward, under the lease: the newest complete backup, if every target of the run that can be listed has it and has none that is
 * newer; undefined: a full backup must be made. What a target that cannot be listed holds does not matter: it gets no copy of this run.
 */
export async function newestBase({ shelf, log }: Context): Promise<Base | undefined> {
  let found: Base | undefined;
  for (const store of shelf?.stores ?? []) {
    const newest = await readCatalog(store, shelf!).then(newestComplete, (error) => {
      log.info(`Cannot look for the newest backup in ${store.url}: ${messageOf(error)}`);
      return null;
    });
    if (newest === null) continue;
    if (!newest || (found && found.id !== newest.id)) return undefined;
    if (found) continue;
    const receipt = await readReceipt(store, newest.id, shelf!).then(({ receipt }) => receipt, (error) => {
      if (error instanceof IntegrityError || error instanceof NotFoundError) return undefined;
      throw error;
    });
    if (receipt?.event !== "backup") return undefined;
    found = { id: newest.id, receipt };
  }
  return found;
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

/** Backward: the backup that `stored`, an increment in one store, builds on, in the same store. Throws {@linkcode IntegrityError} without it. */
export async function findBase(stored: Stored, digest: string): Promise<Stored> {
  const { id, shelf, copies } = stored;
  const { store } = copies[0]!;
  const { backups } = await readCatalog(store, shelf);
  const before = backups.findIndex((backup) => backup.id === id);
  const older = backups.slice(0, before < 0 ? undefined : before).toReversed().map(({ id }) => id);
  for await (const outcome of ahead(older, ASKS, (id) => readReceipt(store, id, shelf))) {
    if (!("value" in outcome) || sha256(outcome.value.bytes) !== digest) continue;
    return { ...stored, id: outcome.item, copies: [{ store, receipt: outcome.value.bytes }], failures: [] };
  }
  throw new IntegrityError(
    `Cannot use "${id}" from ${store.url}: it builds on a backup that is not there, or not as it was: none has a receipt with the ` +
      `digest ${digest}. Put that one back from another copy, or use an older backup`,
  );
}
