/**
 * Running a plan backward: `restore`.
 *
 * @module
 */
import { resolve } from "node:path";
import { idAt } from "./at.ts";
import { label, toBytes } from "./bytes.ts";
import { everything, makeContext, type RunOptions } from "./context.ts";
import {
  findError,
  IndexError,
  IntegrityError,
  messageOf,
  NotFoundError,
  StageError,
  StoreError,
} from "./errors.ts";
import { find, type Plan, receiptOf, undoAll, undoFrom } from "./find.ts";
import { readCatalog } from "./catalog.ts";
import { boundsOf } from "./layers.ts";
import { lostBackups, readLedger } from "./ledger.ts";
import type { BackupReceipt } from "./receipt.ts";
import type { Bytes, Conflict, Context, Limits, RestoreAction, Sealed, Stored, U8, Want } from "./stage.ts";

/** What to restore, and how. */
export interface RestoreOptions extends RunOptions {
  /** The archive's file name, or "latest". Default: "latest". */
  readonly id?: string | undefined;
  /** Instead of `id`: the newest backup whose data were all read not after this time. */
  readonly at?: Date | undefined;
  /** A file outside any store, instead of `id`: an archive of ours without its receipt, or a foreign one. */
  readonly file?: string | undefined;
  /** The folder to restore into; relative to the current folder. */
  readonly into?: string | undefined;
  /** Restore each root to its recorded path, instead of `into`. */
  readonly inPlace?: boolean | undefined;
  /** Globs: only what matches, or lies in a folder that matches. */
  readonly only?: readonly string[] | undefined;
  /** Leading path parts to drop. Default: 0. */
  readonly strip?: number | undefined;
  /** What to do with existing things. Default: "error". */
  readonly conflict?: Conflict | undefined;
  /** With `inPlace` and "overwrite": what the backup does not have goes. Default: it stays. */
  readonly replace?: boolean | undefined;
  /** Has the last word, when all stands in its place and the old things are still there: what it throws takes all back. */
  readonly confirm?: (() => Promise<void>) | undefined;
  /** Report only. */
  readonly dryRun?: boolean | undefined;
  /** Bounds on what the archive may unfold to. Default: what its receipt says; without a receipt, the general bounds. */
  readonly limits?: Partial<Limits> | undefined;
  /** Told about each entry. */
  readonly report?: ((path: string, action: RestoreAction) => void) | undefined;
}

/** What a restore did. */
export interface RestoreResult {
  /** The archive's file name. */
  readonly id: string;
  /** Entries written. */
  readonly entries: number;
  /** Entries left out because something stood there (`conflict: "skip"`). */
  readonly skipped: number;
  /** Content bytes read from the archive and written. */
  readonly bytes: number;
  /** Warnings by kind. */
  readonly warnings: Readonly<Record<string, number>>;
}

/**
 * Restores a backup: everything is verified and extracted beside the target before the target changes.
 * Throws ExistsError for conflicts, KeyError when no key fits, IntegrityError when something is not what was stored.
 */
export async function restore(plan: Plan, options: RestoreOptions = {}): Promise<RestoreResult> {
  if (options.into === undefined && !options.inPlace) {
    throw new TypeError("Cannot restore: neither `into` nor `inPlace` is given");
  }
  if (options.at && (options.id !== undefined || options.file !== undefined)) {
    throw new TypeError("Cannot restore: `at` chooses a backup, and `id` or `file` names one");
  }
  let entries = 0;
  let bytes = 0;
  let skipped = 0;
  const report: RestoreOptions["report"] = (path, action) => {
    if (action === "skip") skipped++;
    options.report?.(path, action);
  };
  // Only where somebody listens, or something can be left out: to tell means to look through all that was restored.
  const { dryRun = false, conflict } = options;
  const told = options.report || dryRun || conflict === "skip" ? { ...options, report } : options;
  const progress: RunOptions["progress"] = (update) => {
    if (update.phase === "restore") {
      bytes = update.bytes;
      entries = update.entries ?? entries;
    }
    options.progress?.(update);
  };
  if (options.file !== undefined) {
    const context = makeContext({ ...options, progress }, wantOf(told));
    await undoFrom(plan, await openFile(options.file), context, 0);
    return { id: options.file, entries: entries - skipped, skipped, bytes, warnings: context.warnings() };
  }
  const first = makeContext({ ...options, progress });
  const { at } = options;
  const id = at ? await idAt(plan, at, first) : options.id ?? "latest";
  const stored = await find(plan, id, first);
  if (at || id === "latest") await refuseOlder(stored, first, at);
  const context: Context = { ...first, want: wantOf(told, receiptOf(stored)) };
  context.progress({ phase: "restore", bytes: 0, totalBytes: boundsOf(receiptOf(stored)).bytes });
  await undoAnyCopy(plan, stored, context);
  return { id: stored.id, entries: entries - skipped, skipped, bytes, warnings: { ...context.warnings() } };
}

/** Restores from the first copy that is whole. Nothing at the target has changed when one turns out not to be. */
async function undoAnyCopy(plan: Plan, stored: Stored, context: Context): Promise<void> {
  for (const [i, copy] of stored.copies.entries()) {
    try {
      await undoCopy(plan, { ...stored, copies: [copy] }, context);
      return;
    } catch (error) {
      const next = stored.copies[i + 1];
      const damaged = findError(error, IntegrityError) ?? findError(error, StoreError);
      if (!next && findError(error, IndexError)) throw withoutIndex(stored.id, error);
      if (!next || !damaged) throw error;
      context.log.warn("copy", `${damaged.message}. Going on with the copy in ${next.store.url}`);
    }
  }
}

/** What to do when nothing but the index may be damaged; said by the stage that met it. */
function withoutIndex(id: string, error: unknown): Error {
  const met = findError(error, StageError);
  const cause = met?.cause ?? error;
  const how = `\`restore ${id} --into DIR --only '**'\` reads it without its index`;
  const told = new IndexError(`${messageOf(cause)}. The archive may be whole all the same: ${how}`, {
    cause,
  });
  return met ? new StageError(met.stage, told) : told;
}

/** A part is restored without the index when that is damaged: the archive has a digest of its own. */
async function undoCopy(plan: Plan, stored: Stored, context: Context): Promise<void> {
  try {
    await undoAll(plan, stored, context);
  } catch (error) {
    const damaged = findError(error, IndexError);
    if (!damaged || context.want.only.length === 0) throw error;
    context.log.warn("index", `${messageOf(error)}. Reading the whole archive without its index`);
    await undoAll(plan, stored, { ...context, want: { ...context.want, whole: true } });
  }
}

/** "latest", or the newest up to `at`, must not be an older backup because someone deleted what this host has seen come after it. */
export async function refuseOlder(stored: Stored, context: Context, at?: Date): Promise<void> {
  for (const { store } of stored.copies) {
    const { shelf } = stored;
    const ledger = await readLedger(store, shelf, await readCatalog(store, shelf), context.state);
    const made = shelf.naming.parse(stored.id)?.time;
    const heads = await lostBackups(context.state, store, shelf, ledger, made);
    const lost = heads.find(({ id }) => !at || (shelf.naming.parse(id)?.time ?? at) <= at);
    if (!lost) continue;
    throw new IntegrityError(
      `Cannot take "${stored.id}" for the newest ${
        at ? `up to ${at.toISOString()} ` : ""
      }in ${store.url}: "${lost.id}", ` +
        "which this host had seen, is gone and no prune removed it. Find out who removed it; name a backup to restore it all the same, or, if it was you, " +
        "run verify --accept",
    );
  }
}

/** The restore request; with a receipt, the archive may unfold to what the receipt says and no more. */
export function wantOf(options: RestoreOptions, receipt?: BackupReceipt): Want {
  const bounds: Limits = receipt
    ? {
      ...everything.limits,
      ...boundsOf(receipt),
      ratio: Infinity,
    }
    : everything.limits;
  return {
    into: options.into === undefined ? undefined : resolve(options.into),
    inPlace: options.inPlace ?? false,
    only: options.only ?? [],
    strip: options.strip ?? 0,
    conflict: options.conflict ?? "error",
    replace: options.replace ?? false,
    confirm: options.confirm,
    dryRun: options.dryRun ?? false,
    limits: { ...bounds, ...options.limits },
    report: options.report,
  };
}

/** A file outside any store, as it stands: no receipt, so nothing is known of it but what its bytes say. */
async function openFile(path: string): Promise<Sealed> {
  const info = await Deno.stat(path).catch((cause) => {
    throw new NotFoundError(`Cannot restore "${path}": ${messageOf(cause)}`, { cause });
  });
  if (!info.isFile) throw new NotFoundError(`Cannot restore "${path}": it is not a file`);
  return {
    kind: "sealed",
    suffix: /((?:\.[A-Za-z0-9]{1,8})+)$/.exec(path)?.[1] ?? "",
    body: { read: () => label("file", readFile(path)) },
    facts: () => ({ sources: [], stages: [] }),
    signers: [],
  };
}

function readFile(path: string): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    using file = await Deno.open(path);
    for (;;) {
      const chunk = new Uint8Array(1 << 20);
      const size = await file.read(chunk);
      if (size === null) return;
      yield chunk.subarray(0, size);
    }
  });
}
