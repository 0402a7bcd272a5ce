/**
 * Which backups can be read with which key, and for how long each has been in use. No secret is needed.
 *
 * @module
 */
import { ahead } from "./ahead.ts";
import { readCatalog, RECEIPT, type Shelved } from "./catalog.ts";
import { makeContext, type RunOptions } from "./context.ts";
import { type Plan, shelfOf } from "./find.ts";
import { firstUses } from "./key_age.ts";
import { type BackupKeys, lookAt, type Looked } from "./keys/look.ts";
import type { BackupReceipt } from "./receipt.ts";
import { prover } from "./seal.ts";
import type { Context, Shelf } from "./stage.ts";

export type { BackupKeys };

/** What to find out about keys. */
export interface KeysOptions extends RunOptions {
  /** Try the plan's keys on each backup: reads the start of each archive. Default: false. */
  readonly open?: boolean | undefined;
}

/** One key, and its use. */
export interface KeyUse {
  /** Recipient, fingerprint, public key of a signer, or "passphrase". */
  readonly key: string;
  /** What it does. */
  readonly role: "reads" | "signs";
  /** How many backups that are there were made with it. */
  readonly backups: number;
  /** How many of them no other key reads. */
  readonly alone: number;
  /** When it was first used, as far as backups that are there and this host's memory say (RFC 3339, UTC). */
  readonly first: string;
  /** The time of the newest backup made with it. */
  readonly last: string;
  /** For how long it has been in use, in milliseconds: what health holds against `maxKeyAge`. */
  readonly ageMs: number;
}

/** Which key reads what. */
export interface KeysResult {
  /** The backup's name. */
  readonly name: string;
  /** Every copy of every backup, oldest first, store by store. */
  readonly backups: readonly BackupKeys[];
  /** Every key that a receipt names which counts. */
  readonly keys: readonly KeyUse[];
}

/** How many questions a store is asked at once. */
const ASKS = 8;

/**
 * Says which key reads which backup, from receipts; the ids of OpenPGP keys from the start of each archive, by a ranged read. Receipts
 * that the plan's signers did not sign count for nothing, and are said. Throws when a store cannot be listed.
 */
export async function keys(plan: Plan, options: KeysOptions = {}): Promise<KeysResult> {
  const context = makeContext(options);
  const shelf = shelfOf(plan);
  const tried = options.open ? plan.stages.find(({ verb }) => verb === "encrypt") : undefined;
  const found: Looked[] = [];
  for (const store of shelf.stores) {
    const prove = prover(shelf, (id) => id + RECEIPT, store, new Set());
    const catalog = await readCatalog(store, shelf);
    const backups = catalog.backups.filter(({ state }) => state === "complete" || state === "orphan");
    const work = (backup: Shelved): Promise<Looked> =>
      lookAt({ store, shelf, prove, tried, context }, backup);
    for await (const looked of ahead(backups, ASKS, work)) {
      context.signal.throwIfAborted();
      if ("error" in looked) throw looked.error;
      found.push(looked.value);
    }
  }
  return {
    name: shelf.name,
    backups: found.map(({ keys }) => keys),
    keys: await usesOf(found, shelf, context),
  };
}

async function usesOf(
  found: readonly Looked[],
  shelf: Shelf,
  { state, now }: Context,
): Promise<readonly KeyUse[]> {
  const uses = await firstUses(shelf, state);
  const receipts = new Map(found.flatMap(({ receipt }) => receipt ? [[receipt.id, receipt]] : []));
  const rows = new Map<string, { role: KeyUse["role"]; of: BackupReceipt[] }>();
  for (const receipt of receipts.values()) {
    uses.note(receipt);
    const note = (key: string, role: KeyUse["role"]): void => {
      const row = rows.get(key) ?? { role, of: [] };
      row.of.push(receipt);
      rows.set(key, row);
    };
    for (const recipient of receipt.recipients) note(recipient, "reads");
    if (receipt.signer !== undefined) note(receipt.signer, "signs");
  }
  await uses.save();
  return [...rows].map(([key, { role, of }]) => {
    const first = uses.of(key)!;
    return {
      key,
      role,
      backups: of.length,
      alone: role === "reads" ? of.filter(({ recipients }) => recipients.length === 1).length : 0,
      first,
      last: of.map(({ createdAt }) => createdAt).sort().at(-1)!,
      ageMs: now.getTime() - Date.parse(first),
    };
  });
}
