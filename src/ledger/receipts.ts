/**
 * Receipts as they lie in a store, each read and held against the place it claims.
 *
 * @module
 */
import { readAll, sha256 } from "../bytes.ts";
import { type Catalog, RECEIPT } from "../catalog.ts";
import { IntegrityError } from "../errors.ts";
import { decodeReceipt, type Receipt, RECEIPT_LIMIT } from "../receipt.ts";
import type { Shelf, Store, U8 } from "../stage.ts";

/** A receipt's place in the ledger. */
export interface Head {
  /** The backup's file name, or the event's key. */
  readonly id: string;
  /** Lower-case hexadecimal SHA-256 of the receipt as stored. */
  readonly sha256: string;
}

/** The head a receipt makes. */
export function headOf(id: string, bytes: U8): Head {
  return { id, sha256: sha256(bytes) };
}

/** Reads a receipt of a shelf; throws NotFoundError, or IntegrityError when it is malformed or claims another place. */
export async function readReceipt(
  store: Store,
  id: string,
  shelf: Shelf,
): Promise<{ bytes: U8; receipt: Receipt }> {
  const key = receiptKey(id, shelf);
  const bytes = await readBytes(store, key);
  const receipt = decodeReceipt(bytes, id);
  if (receipt.id !== id || receipt.name !== shelf.name) {
    throw new IntegrityError(
      `Cannot trust "${key}" in ${store.url}: its receipt was made for "${receipt.id}". ` +
        `It has been renamed or swapped; restore another backup and find out who did it`,
    );
  }
  return { bytes, receipt };
}

/** The key of a receipt: an event's id is its key. */
export function receiptKey(id: string, shelf: Shelf): string {
  return shelf.naming.parse(id) ? id + RECEIPT : id;
}

/** A receipt's bytes, whatever they say. */
export async function readBytes(store: Store, key: string): Promise<U8> {
  return await readAll(await store.get(key), RECEIPT_LIMIT, `the receipt "${key}"`);
}

/** Every receipt of a catalog: complete and damaged backups, and events. */
export function receiptIds(catalog: Catalog): string[] {
  return [
    ...catalog.backups.filter((backup) => backup.parts.has(RECEIPT)).map((backup) => backup.id),
    ...catalog.events.map((event) => event.key),
  ];
}
