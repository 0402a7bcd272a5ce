/**
 * From a plan to a stored backup, and back through the plan's stages.
 *
 * @module
 */
import { findBase } from "./base.ts";
import { labelled } from "./bytes.ts";
import { type Catalog, newestComplete, readCatalog, type ShelfState } from "./catalog.ts";
import { IntegrityError, messageOf, NotFoundError } from "./errors.ts";
import { alone, boundsOf, isIncrement, layered } from "./layers.ts";
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

/**
 * Undoes every stage of a plan but the first `keep` (0 or 1), starting from a sealed archive or a stored backup. Of an increment of files,
 * the files are the whole tree.
 */
export async function undoFrom(
  plan: Plan,
  from: Sealed | Stored,
  context: Context,
  keep: number,
): Promise<unknown> {
  const files = from.kind === "stored"
    ? standing(plan, from, await undoStages(plan, from, context), context)
    : alone(await undoStages(plan, from, context), context);
  if (keep > 0) return files;
  context.signal.throwIfAborted();
  return await named(plan.stages[0]!, () => plan.stages[0]!.undo(files, context));
}

/** Undoes every stage of a plan, from a stored backup and all it builds on. */
export async function undoAll(plan: Plan, stored: Stored, context: Context): Promise<void> {
  await undoFrom(plan, stored, context, 0);
}

/** An error carries the name of the stage it came from. */
async function named<T>({ name }: Part, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw labelled(name, error);
  }
}

/** Undoes all stages but the first. */
async function undoStages(plan: Plan, from: Sealed | Stored, context: Context): Promise<Files> {
  const { stages } = plan;
  const last = from.kind === "stored" ? stages.length : stages.findIndex((stage) => stage.shelf);
  let value: unknown = from;
  for (const stage of stages.slice(1, last).reverse() as Part[]) {
    context.signal.throwIfAborted();
    const from = value;
    value = await named(stage, () => stage.undo(from, context));
  }
  return value as Files;
}

/**
 * The files of a stored backup and of all it builds on: as one tree where it is an increment of files, else with those of the backup it
 * builds on within reach.
 */
export function standing(plan: Plan, stored: Stored, files: Files, context: Context): Files {
  const reaching = withBelow(plan, stored, files, context);
  return isIncrement(receiptOf(stored)) ? layered(reaching, context.want.path) : reaching;
}

/** The files of one archive alone, with those of the backup it builds on within reach. */
export async function undoOwn(plan: Plan, stored: Stored, context: Context): Promise<Files> {
  return withBelow(plan, stored, await undoStages(plan, stored, context), context);
}

/** Each archive of a chain may unfold to what its own receipt says, unless the request sets other bounds. */
function withBelow(plan: Plan, stored: Stored, files: Files, context: Context): Files {
  const below = baseOf(stored);
  if (!below) return files;
  return {
    ...files,
    below: async () => {
      const found = await below();
      return await undoOwn(plan, found, onBounds(context, stored, found));
    },
  };
}

/** The backup that an increment builds on, to be looked for in the same store; undefined for a full one. */
function baseOf(stored: Stored): (() => Promise<Stored>) | undefined {
  const { base } = receiptOf(stored).contents;
  return base === null ? undefined : () => findBase(stored, base);
}

/** A stored backup and, one after the other, all it builds on, each with the context to undo it in. */
export async function* downFrom(
  stored: Stored,
  context: Context,
): AsyncGenerator<{ readonly link: Stored; readonly context: Context }, void, undefined> {
  for (let link = stored, inner = context;;) {
    yield { link, context: inner };
    const base = await baseOf(link)?.();
    if (!base) return;
    inner = onBounds(inner, link, base);
    link = base;
  }
}

/** The context for a backup that another one builds on. */
function onBounds(context: Context, stored: Stored, base: Stored): Context {
  const { limits } = context.want;
  const [own, other] = [boundsOf(receiptOf(stored)), boundsOf(receiptOf(base))];
  const bounds = {
    ...limits,
    ...(limits.bytes === own.bytes ? { bytes: other.bytes } : {}),
    ...(limits.entries === own.entries ? { entries: other.entries } : {}),
  };
  return { ...context, want: { ...context.want, limits: bounds } };
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
        context.log.warn("target", `Cannot read ${store.url}: ${messageOf(error)}`);
      }
    }
  }
  if (catalogs.length === 0) throw errors[0];
  const wanted = id === "latest" ? newestOf(catalogs.map(({ catalog }) => catalog)) : id;
  if (id === "latest") warnOfNewer(catalogs, wanted, context);
  const where = shelf.stores.map((store) => store.url).join(", ");
  if (wanted === undefined) throw none(shelf.name, where, catalogs.map(({ catalog }) => catalog));
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

function none(name: string, where: string, catalogs: readonly Catalog[]): Error {
  const states = new Set(catalogs.flatMap(({ backups }) => backups.map(({ state }) => state)));
  if (!states.has("damaged") && !states.has("orphan")) {
    return new NotFoundError(`Cannot find a backup of "${name}" in ${where}: there is none yet`);
  }
  return new IntegrityError(
    `Cannot find a backup of "${name}" in ${where} that is whole: what is there lacks its archive or its receipt. ` +
      "Put that back from another copy; to restore an archive without its receipt, download it and name the file",
  );
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
