/**
 * What each store holds, as a rotation of keys needs to know it.
 *
 * @module
 */
import { ahead } from "../ahead.ts";
import { sha256 } from "../bytes.ts";
import { readCatalog, RECEIPT, type Shelved } from "../catalog.ts";
import { ConfigError, findError, IntegrityError } from "../errors.ts";
import type { Plan } from "../find.ts";
import { type Head, readLedger, readReceipt } from "../ledger.ts";
import type { BackupReceipt } from "../receipt.ts";
import { recipientsOf } from "../recipients.ts";
import { prover } from "../seal.ts";
import type { Context, Shelf, Store, U8 } from "../stage.ts";
import { sweep } from "../sweep.ts";

/** A whole backup in one store, whose receipt counts. */
export interface Held {
  /** Where. */
  readonly store: Store;
  /** Its place in that store's ledger. */
  readonly head: Head;
  /** Its receipt as stored. */
  readonly bytes: U8;
  /** The same, read. */
  readonly receipt: BackupReceipt;
  /** Its objects. */
  readonly shelved: Shelved;
}

/** How many questions a store is asked at once. */
const ASKS = 8;

/**
 * Every whole backup of one store whose receipt counts, oldest first; what does not count is said and left
 * alone. `names` receives the seconds that a name of this store has taken, be it of a backup or of what a dead run left.
 */
export async function holdings(
  store: Store,
  shelf: Shelf,
  context: Context,
  names?: Set<number>,
): Promise<readonly Held[]> {
  const catalog = await readCatalog(store, shelf);
  for (const { time } of catalog.backups) names?.add(secondOf(time));
  const prove = prover(shelf, (id) => id + RECEIPT, store, new Set());
  const found: Held[] = [];
  const work = async (shelved: Shelved): Promise<Held> => {
    const { bytes, receipt } = await readReceipt(store, shelved.id, shelf);
    if (receipt.event !== "backup") throw new IntegrityError(`"${shelved.id}" has no backup's receipt`);
    if (!await prove.check(shelved.id, bytes)) {
      throw new IntegrityError(prove.unproven.find(({ id }) => id === shelved.id)!.why);
    }
    return { store, head: { id: shelved.id, sha256: sha256(bytes) }, bytes, receipt, shelved };
  };
  const whole = catalog.backups.filter(({ state }) => state === "complete");
  for await (const looked of ahead(whole, ASKS, work)) {
    context.signal.throwIfAborted();
    if ("value" in looked) found.push(looked.value);
    else if (looked.error instanceof IntegrityError) context.log.warn("evidence", looked.error.message);
    else throw looked.error;
  }
  return found;
}

/** A time to the second, as names have it: seconds since 1970. */
export function secondOf(time: Date): number {
  return Math.floor(time.getTime() / 1000);
}

/** Ends what an announced removal before this run has begun. Under the lease. */
export async function finish(store: Store, shelf: Shelf, context: Context): Promise<void> {
  const catalog = await readCatalog(store, shelf);
  await sweep(store, catalog, await readLedger(store, shelf, catalog, context.state), context, Infinity);
}

/** Who could read a backup made now; undefined for a plan that only reads. Throws {@linkcode ConfigError} when nothing is encrypted. */
export async function currentRecipients(
  plan: Plan,
  context: Context,
): Promise<readonly string[] | undefined> {
  let recipients: readonly string[];
  try {
    recipients = await recipientsOf(plan, context);
  } catch (error) {
    if (findError(error, TypeError)) return undefined;
    throw error;
  }
  if (recipients.length > 0) return recipients;
  throw new ConfigError(
    "Cannot rotate keys: the plan does not encrypt. Give it encrypt.age or encrypt.openpgp",
  );
}

/** Throws {@linkcode ConfigError} while a key that is lost or leaked is still one that new backups are made with. */
export function refuseCurrent(key: string, current: readonly string[]): void {
  if (!current.includes(key)) return;
  throw new ConfigError(
    `Cannot rotate away from ${key}: the plan still encrypts to it. Put a new key in its place first`,
  );
}
