/**
 * What lies on a plan's shelf.
 *
 * @module
 */
import { ahead } from "./ahead.ts";
import { sha256 } from "./bytes.ts";
import { type Catalog, readCatalog, RECEIPT, type ShelfState, type Shelved } from "./catalog.ts";
import type { RunOptions } from "./context.ts";
import { IntegrityError, messageOf } from "./errors.ts";
import { type Plan, shelfOf } from "./find.ts";
import { readReceipt } from "./ledger.ts";
import type { Shelf, Store } from "./stage.ts";

/** How many receipts are read at once. */
const READS = 8;

/** Stores with more backups are listed from their names alone, unless details are asked for. */
const MOST_DETAILED = 1000;

/** What to list. */
export interface ListOptions extends RunOptions {
  /**
   * Whether each receipt is read: that gives `entries`, `contentBytes`, `warnings` and `verified`, and shows objects that are not what their
   * receipt says. Without, a listing of the store is all that is asked. Default: true in stores of at most 1,000 backups of the name.
   */
  readonly details?: boolean | undefined;
}

/** One backup in one store, as `list` shows it. */
export interface ListItem {
  /** The archive's file name. */
  readonly id: string;
  /** The backup's name. */
  readonly name: string;
  /** When its run started (RFC 3339, UTC). */
  readonly time: string;
  /** Where. */
  readonly store: string;
  /** How complete it is; only "complete" ones can be restored. */
  readonly state: ShelfState;
  /** Length of the archive. */
  readonly bytes: number;
  /** Number of entries, from the receipt. */
  readonly entries?: number | undefined;
  /** Length of the content, from the receipt. */
  readonly contentBytes?: number | undefined;
  /** Whether it holds only what had changed since another backup, from the receipt: entries and content are those of the change. */
  readonly increment?: boolean | undefined;
  /** Warnings by kind, from the receipt. */
  readonly warnings?: Readonly<Record<string, number>> | undefined;
  /** The newest proof that it can be restored. */
  readonly verified?: { readonly event: "verify" | "drill"; readonly at: string } | undefined;
}

/**
 * Lists what lies on a plan's shelf, oldest first, store by store. A store that cannot be listed completely is a warning ("target"); when
 * none can be, its error is thrown.
 */
export async function list(plan: Plan, options: ListOptions = {}): Promise<ListItem[]> {
  const shelf = shelfOf(plan);
  const items: ListItem[] = [];
  const errors: unknown[] = [];
  for (const store of shelf.stores) {
    try {
      for (const item of await listStore(store, shelf, options.details)) items.push(item);
    } catch (error) {
      errors.push(error);
      if (shelf.stores.length > 1) {
        options.log?.warn("target", `Cannot read ${store.url}: ${messageOf(error)}`);
      }
    }
  }
  if (errors.length === shelf.stores.length) throw errors[0];
  return items;
}

async function listStore(
  store: Store,
  shelf: Shelf,
  details: boolean | undefined,
): Promise<readonly ListItem[]> {
  const catalog = await readCatalog(store, shelf);
  const { backups } = catalog;
  if (!(details ?? backups.length <= MOST_DETAILED)) {
    return backups.map((backup) => named(store, shelf, backup));
  }
  const proofs = await readProofs(store, shelf, catalog);
  const items: ListItem[] = [];
  for await (
    const read of ahead(backups, READS, (backup) => describe(store, shelf, backup, proofs))
  ) {
    if ("error" in read) throw read.error;
    items.push(read.value);
  }
  return items;
}

type Proofs = ReadonlyMap<string, { readonly event: "verify" | "drill"; readonly at: string }>;

/** The newest successful proof of each backup, by the digest of its receipt. */
async function readProofs(store: Store, shelf: Shelf, catalog: Catalog): Promise<Proofs> {
  const proofs = new Map<string, { event: "verify" | "drill"; at: string }>();
  for (const { key, event } of catalog.events) {
    if (event !== "verify" && event !== "drill") continue;
    const { receipt } = await readReceipt(store, key, shelf);
    if (receipt.event !== "verify" && receipt.event !== "drill" || receipt.outcome !== "complete") continue;
    const before = proofs.get(receipt.subject.sha256);
    if (before && before.at > receipt.completedAt) continue;
    proofs.set(receipt.subject.sha256, { event: receipt.event, at: receipt.completedAt });
  }
  return proofs;
}

/** What names and lengths say. */
function named(store: Store, shelf: Shelf, { id, time, state, parts }: Shelved): ListItem {
  const bytes = parts.get("")?.bytes ?? 0;
  return { id, name: shelf.name, time: time.toISOString(), store: store.url, state, bytes };
}

async function describe(store: Store, shelf: Shelf, backup: Shelved, proofs: Proofs): Promise<ListItem> {
  const item = named(store, shelf, backup);
  if (!backup.parts.has(RECEIPT)) return item;
  try {
    const { bytes, receipt } = await readReceipt(store, backup.id, shelf);
    if (receipt.event !== "backup") return { ...item, state: "damaged" };
    const whole = receipt.objects.every(({ suffix, bytes }) => backup.parts.get(suffix)?.bytes === bytes);
    return {
      ...item,
      state: whole ? backup.state : "damaged",
      entries: receipt.contents.entries,
      contentBytes: receipt.contents.bytes,
      ...(receipt.contents.base === null ? {} : { increment: true }),
      warnings: receipt.warnings,
      verified: proofs.get(sha256(bytes)),
    };
  } catch (error) {
    if (error instanceof IntegrityError) return { ...item, state: "damaged" };
    throw error;
  }
}
