/**
 * What backups of a pod there are, of ours and of Prose 0.5, as the service and the SDK tell it.
 *
 * @module
 */
import { ahead } from "../../ahead.ts";
import { readCatalog, RECEIPT, type Shelved } from "../../catalog.ts";
import { IntegrityError } from "../../errors.ts";
import type { Plan } from "../../find.ts";
import { shelfOf } from "../../find.ts";
import { readReceipt } from "../../ledger.ts";
import type { BackupReceipt } from "../../receipt.ts";
import type { Shelf, Store } from "../../stage.ts";
import { parseOldName } from "./old.ts";

/** One backup of a pod. */
export interface ProseItem {
  /** The whole file name: its id everywhere. */
  readonly id: string;
  /** When it was begun (RFC 3339, UTC). */
  readonly createdAt: string;
  /** Length of the archive in bytes. */
  readonly bytes: number;
  /** Where it lies. */
  readonly stores: readonly string[];
  /** Whether a signature lies beside it; who made it shows when it is read. */
  readonly signed: boolean;
  /** By its name. */
  readonly encrypted: boolean;
  /** Whether Prosody stood still for it. Undefined where nothing says so: backups of Prose 0.5, or a receipt that cannot be read. */
  readonly consistent?: boolean | undefined;
  /** Whether it is complete and has what the plan demands. What its bytes are worth shows when they are read. */
  readonly restorable: boolean;
  /** Who made it. */
  readonly format: "holdfast" | "prose-0.5";
  /** What the operator called it: backups of Prose 0.5 alone. */
  readonly description?: string | undefined;
}

/** How many receipts are read at once. */
const READS = 8;
/** What the names of Prose 0.5's server start with. */
const OLD_PREFIX = "prose_backup-";

/** All backups of a plan's stores, newest first. Throws when a store cannot be listed completely. */
export async function proseList(plan: Plan): Promise<ProseItem[]> {
  const shelf = shelfOf(plan);
  const items = new Map<string, ProseItem>();
  for (const store of shelf.stores) {
    for (const item of [...await ours(store, shelf), ...await old(store, shelf)]) {
      const before = items.get(item.id);
      const stores = [...before?.stores ?? [], store.url];
      const restorable = item.restorable || (before?.restorable ?? false);
      items.set(item.id, { ...(before?.restorable ? before : item), stores, restorable });
    }
  }
  return [...items.values()].sort((a, b) => b.createdAt.localeCompare(a.createdAt) || (a.id < b.id ? 1 : -1));
}

async function ours(store: Store, shelf: Shelf): Promise<ProseItem[]> {
  const { backups } = await readCatalog(store, shelf);
  const there = backups.filter(({ parts }) => parts.has(""));
  const items: ProseItem[] = [];
  for await (const read of ahead(there, READS, (backup) => describe(store, shelf, backup))) {
    if ("error" in read) throw read.error;
    items.push(read.value);
  }
  return items;
}

async function describe(store: Store, shelf: Shelf, { id, time, parts, state }: Shelved): Promise<ProseItem> {
  const receipt = parts.has(RECEIPT) ? await receiptOf(store, id, shelf) : undefined;
  const source = receipt?.sources.find(({ tool }) => tool === "prose");
  const signed = parts.has(".sig");
  const encrypted = id.endsWith(".gpg");
  return {
    id,
    createdAt: time.toISOString(),
    bytes: parts.get("")!.bytes,
    stores: [],
    signed,
    encrypted,
    consistent: source && source.facts["consistent"] === true,
    restorable: state === "complete" && receipt !== undefined && meets(shelf, signed, encrypted),
    format: "holdfast",
  };
}

async function receiptOf(store: Store, id: string, shelf: Shelf): Promise<BackupReceipt | undefined> {
  try {
    const { receipt } = await readReceipt(store, id, shelf);
    return receipt.event === "backup" ? receipt : undefined;
  } catch (error) {
    if (error instanceof IntegrityError) return undefined;
    throw error;
  }
}

async function old(store: Store, shelf: Shelf): Promise<ProseItem[]> {
  const found = new Map<string, number>();
  for await (const { key, bytes } of store.list(OLD_PREFIX)) found.set(key, bytes);
  const items: ProseItem[] = [];
  for (const [id, bytes] of found) {
    const name = parseOldName(id);
    if (!name) continue;
    const signed = found.has(`${id}.sig`);
    const { encrypted, description } = name;
    items.push({
      id,
      createdAt: name.time.toISOString(),
      bytes,
      stores: [],
      signed,
      encrypted,
      restorable: meets(shelf, signed, encrypted),
      format: "prose-0.5",
      description,
    });
  }
  return items;
}

function meets({ require }: Shelf, signed: boolean, encrypted: boolean): boolean {
  if (require === undefined || require === "none") return true;
  return (signed || !(require.signature || require.signers)) && (encrypted || !require.encryption);
}
