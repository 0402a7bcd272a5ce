/**
 * One backup from one store to another: intent, archive, index, sidecars, receipt, in the order in which a backup is written. What a
 * copy that was cut off has left is used again where its digest is right.
 *
 * @module
 */
import { hostname } from "node:os";
import { findBase, isSame } from "../base.ts";
import { formatBytes, readAll, sha256, utf8 } from "../bytes.ts";
import { INTENT, RECEIPT, type Shelved } from "../catalog.ts";
import { findError, IntegrityError, messageOf, NotFoundError, StoreError } from "../errors.ts";
import { type Head, readReceipt } from "../ledger.ts";
import { type BackupReceipt, decodeReceipt } from "../receipt.ts";
import { signReceipt } from "../seal.ts";
import type { Sealed, Store, Stored } from "../stage.ts";
import { quick } from "../verify.ts";
import { type CopyReceipt, type Errand, receiptFor } from "./errand.ts";
import { copyBeside, create, place, SIDECAR_LIMIT } from "./place.ts";
import { receiptAt } from "./shelves.ts";

/** A copy that is there. */
export interface Copied {
  /** Its place in the target's ledger. */
  readonly head: Head;
  /** Its parents there. */
  readonly parents: readonly string[];
  /** Bytes of its objects. */
  readonly bytes: number;
}

/** Copies one backup. Nothing is visible as a backup before its receipt; a failure leaves at most what the next copy goes on with. */
export async function copyOne(errand: Errand): Promise<Copied> {
  const { plan, shelf, id, source, target, context } = errand;
  const state = target.backups.get(id)?.state;
  if (state !== undefined && state !== "incomplete") throw inTheWay(id, target.store, state);
  const { bytes, receipt, sha256: digest } = await receiptAt(source, id, shelf);
  const stored: Stored = {
    kind: "stored",
    id,
    shelf,
    copies: [{ store: source.store, receipt: bytes }],
    failures: [],
  };
  const sealed = await quick(plan, stored, context) as Sealed;
  await findTwin(errand, stored, receipt);
  const mine = receiptFor(errand, bytes, receipt);
  await checkSpace(target.store, receipt);
  const written: string[] = [];
  let whole = false;
  try {
    await begin(errand, written);
    for (const object of receipt.objects) {
      await place(errand, object, object.suffix === "" ? sealed.body : sealed.index!, written);
      whole = true; // the archive comes first
    }
    await copyBeside(errand, receipt, written);
    await commit(errand, mine, written);
  } catch (error) {
    // An archive that is whole is worth keeping for the next attempt, unless somebody wants nothing left.
    if (context.signal.aborted || !whole) await cleanUp(target.store, written);
    throw error;
  }
  await target.store.delete(id + INTENT).catch((error) =>
    context.log.info(
      `"${id + INTENT}" stays in ${target.store.url} until a run sweeps it: ${messageOf(error)}`,
    )
  );
  errand.twins.set(digest, mine.head.sha256);
  return {
    head: mine.head,
    parents: mine.parents,
    bytes: receipt.objects.reduce((sum, o) => sum + o.bytes, 0),
  };
}

/** What a backup builds on has to be in the target already, where its receipt may be another. */
async function findTwin(
  { id, shelf, target, twins }: Errand,
  stored: Stored,
  receipt: BackupReceipt,
): Promise<void> {
  const { base } = receipt.contents;
  if (base === null || twins.has(base)) return;
  const below = await findBase(stored, base);
  let there: Awaited<ReturnType<typeof readReceipt>>;
  try {
    there = await readReceipt(target.store, below.id, shelf);
  } catch (cause) {
    if (!findError(cause, NotFoundError)) throw cause;
    throw new StoreError(
      `Cannot copy "${id}" to ${target.store.url}: it builds on "${below.id}", which is not there. Copy that one first, or where ` +
        "retention removed it, make a full backup",
      { cause },
    );
  }
  if (!isSame(there.receipt, decodeReceipt(below.copies[0]!.receipt, below.id))) {
    throw new IntegrityError(
      `Cannot copy "${id}" to ${target.store.url}: it builds on "${below.id}", and what has that name there is another backup. Find out ` +
        "why (sync --check), and move it away",
    );
  }
  twins.set(base, sha256(there.bytes));
}

function inTheWay(id: string, store: Store, state: Shelved["state"]): IntegrityError {
  const what = {
    orphan: "an archive without a receipt",
    damaged: "a receipt without an archive",
    leftover: "what an interrupted deletion has left",
    complete: "a whole backup",
    incomplete: "an unfinished one",
  }[state];
  return new IntegrityError(
    `Cannot copy "${id}" to ${store.url}: ${what} of that name lies there. Find out why (verify), and move it away`,
  );
}

async function checkSpace(store: Store, { objects, id }: BackupReceipt): Promise<void> {
  const needed = objects.reduce((sum, { bytes }) => sum + bytes, 0);
  const free = await store.space?.();
  if (free === undefined || free >= needed) return;
  throw new StoreError(
    `Cannot copy "${id}" to ${store.url}: it takes ${formatBytes(needed)}, ${
      formatBytes(free)
    } are free. Free some space, or prune`,
  );
}

/** The intent: until it goes, what lies there is no backup, and a copy that died is swept or gone on with. */
async function begin({ id, target, context }: Errand, written: string[]): Promise<void> {
  if (target.backups.has(id)) {
    written.push(...[...target.backups.get(id)!.parts.keys()].map((suffix) => id + suffix));
    written.sort((a, b) => Number(b.endsWith(INTENT)) - Number(a.endsWith(INTENT)));
    return;
  }
  const intent = { run: context.run, host: hostname(), pid: Deno.pid, started: context.now.toISOString() };
  await create(target.store, id + INTENT, utf8(JSON.stringify(intent) + "\n"), written);
}

/** The receipt, which makes the copy visible. */
async function commit(
  { id, shelf, source, target, context }: Errand,
  receipt: CopyReceipt,
  written: string[],
): Promise<void> {
  const { store } = target;
  for (const suffix of target.backups.get(id)?.parts.keys() ?? []) {
    if (suffix.startsWith(`${RECEIPT}.`)) await store.delete(id + suffix); // of the copy that was cut off
  }
  context.signal.throwIfAborted();
  for (const key of [id, id + INTENT]) {
    if (await store.head(key)) continue;
    throw new StoreError(`Cannot complete "${id}" in ${store.url}: "${key}" is gone. Copy again`, {
      retryable: true,
    });
  }
  if (receipt.resign) {
    written.push(...(shelf.seals ?? []).map(({ suffix }) => id + RECEIPT + suffix));
    await signReceipt(store, shelf, id + RECEIPT, receipt.bytes);
  } else {
    for (const suffix of source.backups.get(id)!.parts.keys()) {
      if (!suffix.startsWith(`${RECEIPT}.`)) continue;
      const bytes = await readAll(await source.store.get(id + suffix), SIDECAR_LIMIT, `"${id}${suffix}"`);
      await create(store, id + suffix, bytes, written);
    }
  }
  await create(store, id + RECEIPT, receipt.bytes, written);
}

/** The newest first and the intent last, so that a failed clean-up is swept later. */
async function cleanUp(store: Store, written: readonly string[]): Promise<void> {
  for (const key of written.toReversed()) {
    try {
      await store.delete(key);
    } catch {
      return;
    }
  }
}
