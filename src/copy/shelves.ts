/**
 * What each store of a plan holds of its backups, and what it once held and let go.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { type Catalog, readCatalog, RECEIPT, type Shelved } from "../catalog.ts";
import { sha256 } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import { readReceipt } from "../ledger.ts";
import { requireOnRestore } from "../policy.ts";
import { type BackupReceipt, isSweep } from "../receipt.ts";
import { prover } from "../seal.ts";
import type { Shelf, Store, U8 } from "../stage.ts";
import { readSidecar } from "../upload/download.ts";

/** One store's part of a plan's backups. */
export interface Holding {
  /** Where. */
  readonly store: Store;
  /** What lies there. */
  readonly catalog: Catalog;
  /** By file name. */
  readonly backups: ReadonlyMap<string, Shelved>;
  /** File names that retention removed there: they are not missing. */
  readonly pruned: ReadonlySet<string>;
}

/** Looks at one store. Throws when it cannot be listed completely. */
export async function lookAt(store: Store, shelf: Shelf): Promise<Holding> {
  const catalog = await readCatalog(store, shelf);
  const backups = new Map(catalog.backups.map((backup) => [backup.id, backup]));
  const pruned = new Set<string>();
  const prove = prover(shelf, (id) => id, store, new Set());
  for (const { key } of catalog.events.filter(isSweep)) {
    try {
      const { bytes, receipt } = await readReceipt(store, key, shelf);
      // A prune that nobody trusted has signed explains nothing.
      if (!isSweep(receipt) || !await prove.check(key, bytes)) continue;
      for (const { id } of receipt.tombstones) pruned.add(id);
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error; // verify names it
    }
  }
  for (const [id, { state }] of backups) if (state === "complete") pruned.delete(id);
  return { store, catalog, backups, pruned };
}

/** Looks at a target: a folder that the first write makes is empty. */
export async function lookAtTarget(store: Store, shelf: Shelf): Promise<Holding> {
  if (!isUnmade(store)) return await lookAt(store, shelf);
  return { store, catalog: { backups: [], events: [] }, backups: new Map(), pruned: new Set() };
}

/** Whether a store is a folder that is not there, in one that is. */
export function isUnmade({ folder }: Store): boolean {
  return folder !== undefined && !existsSync(folder) && existsSync(dirname(folder));
}

/** Whether a store has a whole backup of this name. */
export function has({ backups }: Holding, id: string): boolean {
  return backups.get(id)?.state === "complete";
}

/** A backup's receipt as one store has it. Throws IntegrityError unless it is what the plan demands, and its objects' sizes are. */
export async function receiptAt(
  holding: Holding,
  id: string,
  shelf: Shelf,
): Promise<{ readonly bytes: U8; readonly receipt: BackupReceipt; readonly sha256: string }> {
  const { store, backups } = holding;
  const { bytes, receipt } = await readReceipt(store, id, shelf);
  if (receipt.event !== "backup") {
    throw new IntegrityError(`Cannot trust the receipt of "${id}" in ${store.url}: it is not a backup's`);
  }
  await requireOnRestore(shelf, receipt, bytes, (suffix) => readSidecar(store, id + suffix));
  const prove = prover(shelf, () => id + RECEIPT, store, new Set());
  if (!await prove.check(id, bytes)) throw new IntegrityError(`${prove.unproven[0]?.why}, in ${store.url}`);
  for (const { suffix, bytes: expected } of receipt.objects) {
    const found = backups.get(id)?.parts.get(suffix)?.bytes;
    if (found === expected) continue;
    throw new IntegrityError(
      `Cannot trust "${id}${suffix}" in ${store.url}: ` +
        `${found === undefined ? "it is gone" : `it has ${found} bytes`}, its receipt says ${expected} bytes`,
    );
  }
  return { bytes, receipt, sha256: sha256(bytes) };
}
