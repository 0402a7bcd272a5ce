/**
 * From a plan to a stored backup, and back through the plan's stages.
 *
 * @module
 */
import { findBase } from "./base.ts";
import { type Catalog, newestComplete, readCatalog, type ShelfState } from "./catalog.ts";
import { IntegrityError, messageOf, NotFoundError } from "./errors.ts";
import { readReceipt } from "./ledger.ts";
import { requireFresh } from "./policy.ts";
import { type BackupReceipt, decodeReceipt } from "./receipt.ts";
import type { Context, Copy, Files, Part, Pipeline, Sealed, Shelf, Store, Stored } from "./stage.ts";

/** A whole plan: from a source to a store. */
export type Plan = Pipeline<void, Stored>;

/** The plan's shelf; throws TypeError when it has none. */
export function shelfOf(plan: Plan): Shelf {
  if (!plan.shelf) throw new TypeError("Cannot find backups: the plan has no upload stage");
  return plan.shelf;
}

/** The receipt of a stored backup. */
export function receiptOf(stored: Stored): BackupReceipt {
  const receipt = decodeReceipt(stored.copies[0]!.receipt, stored.id);
  if (receipt.event !== "backup") {
    throw new IntegrityError(`Cannot trust the receipt of "${stored.id}": it is not a backup's`);
  }
  return receipt;
}

/** Undoes every stage of a plan but the first `keep`, starting from a sealed archive or a stored backup. */
export async function undoFrom(
  plan: Plan,
  from: Sealed | Stored,
  context: Context,
  keep: number,
): Promise<unknown> {
  const stages = plan.stages;
  const last = from.kind === "stored" ? stages.length : stages.findIndex((stage) => stage.shelf);
  let value: unknown = from;
  for (const stage of stages.slice(keep, last).reverse() as Part[]) {
    context.signal.throwIfAborted();
    if (stage === stages[0] && from.kind === "stored") value = standing(plan, from, value as Files, context);
    value = await stage.undo(value, context);
  }
  return keep === 1 && from.kind === "stored" ? standing(plan, from, value as Files, context) : value;
}

/**
 * The files of a stored backup, with those of the backup it builds on within reach. Each archive of the chain may unfold to what its own
 * receipt says, unless the request sets other bounds.
 */
export function standing(plan: Plan, stored: Stored, files: Files, context: Context): Files {
  const { contents } = receiptOf(stored);
  const { base } = contents;
  if (base === null) return files;
  const below = async (): Promise<Files> => {
    const found = await findBase(stored, base);
    const { limits } = context.want;
    const own = receiptOf(found).contents;
    const bounds = {
      ...limits,
      ...(limits.bytes === contents.bytes ? { bytes: own.bytes } : {}),
      ...(limits.entries === contents.entries ? { entries: own.entries } : {}),
    };
    const want = { ...context.want, limits: bounds };
    return await undoFrom(plan, found, { ...context, want }, 1) as Files;
  };
  return { ...files, below };
}

/** Finds a complete backup by its file name, or the newest, in every store that has it. */
export async function find(plan: Plan, id: string, context: Context): Promise<Stored> {
  const shelf = shelfOf(plan);
  const catalogs: { store: Store; catalog: Catalog }[] = [];
  const errors: unknown[] = [];
  for (const store of shelf.stores) {
    try {
      catalogs.push({ store, catalog: await readCatalog(store, shelf) });
    } catch (error) {
      errors.push(error);
      if (shelf.stores.length > 1) {
        context.log.warn("copy", `Cannot read ${store.url}: ${messageOf(error)}`);
      }
    }
  }
  if (catalogs.length === 0) throw errors[0];
  const wanted = id === "latest" ? newestOf(catalogs.map(({ catalog }) => catalog)) : id;
  if (id === "latest") warnOfNewer(catalogs, wanted, context);
  const where = shelf.stores.map((store) => store.url).join(", ");
  if (wanted === undefined) {
    throw new NotFoundError(`Cannot find a backup of "${shelf.name}" in ${where}: there is none yet`);
  }
  if (id === "latest") requireFresh(shelf, wanted, context.now);
  const copies: Copy[] = [];
  let state: ShelfState | undefined;
  for (const { store, catalog } of catalogs) {
    const shelved = catalog.backups.find((backup) => backup.id === wanted);
    state ??= shelved?.state;
    if (shelved?.state !== "complete" && shelved?.state !== "damaged") continue;
    try {
      copies.push({ store, receipt: (await readReceipt(store, wanted, shelf)).bytes });
    } catch (error) {
      errors.push(error);
      if (catalogs.length > 1) context.log.warn("copy", messageOf(error));
    }
  }
  if (copies.length > 0) return { kind: "stored", id: wanted, shelf, copies, failures: [] };
  throw errors[0] ?? missing(wanted, where, state);
}

function newestOf(catalogs: readonly Catalog[]): string | undefined {
  const newest = catalogs.flatMap((catalog) => newestComplete(catalog) ?? []);
  return newest.sort((a, b) => b.time.getTime() - a.time.getTime())[0]?.id;
}

/** What is newer than the newest that can be used, and not merely under way, is evidence. */
function warnOfNewer(
  catalogs: readonly { readonly store: Store; readonly catalog: Catalog }[],
  chosen: string | undefined,
  context: Context,
): void {
  for (const { store, catalog } of catalogs) {
    const from = catalog.backups.findIndex((backup) => backup.id === chosen) + 1;
    for (const { id, state } of catalog.backups.slice(from)) {
      if (state !== "damaged" && state !== "orphan") continue;
      const lost = state === "damaged" ? "its archive is gone" : "its receipt is gone";
      context.log.warn(
        "evidence",
        `"${id}" in ${store.url} is newer and cannot be used: ${lost}. ` +
          (chosen === undefined ? "There is no other" : `Going on with "${chosen}"`),
      );
    }
  }
}

function missing(id: string, where: string, state: ShelfState | undefined): Error {
  if (state === "orphan") {
    return new IntegrityError(
      `Cannot trust "${id}" in ${where}: it has no receipt. Someone has removed it, or the file is not a backup of ` +
        "Holdfast's. To restore it all the same, download it and name the file",
    );
  }
  if (state === "incomplete") {
    return new NotFoundError(`Cannot use "${id}" in ${where}: its run has not ended, or has died`);
  }
  return new NotFoundError(`Cannot find "${id}" in ${where}. \`list\` shows what is there`);
}
