/**
 * Is a backup what it was? `verify`, quick or full.
 *
 * @module
 */
import { checkEntries } from "./archive/mod.ts";
import { sha256 } from "./bytes.ts";
import { readCatalog } from "./catalog.ts";
import { makeContext, type RunOptions } from "./context.ts";
import { findError, IntegrityError, KeyError, messageOf, StoreError } from "./errors.ts";
import { downFrom, find, type Plan, receiptOf, undoOwn } from "./find.ts";
import { acceptLedger, appendEvent, audit } from "./ledger.ts";
import { wantOf } from "./restore.ts";
import type { ReceiptRef } from "./receipt.ts";
import type { Context, Sealed, Store, Stored } from "./stage.ts";

/** What to verify, and how thoroughly. */
export interface VerifyOptions extends RunOptions {
  /** The archive's file name, or "latest". Default: "latest". */
  readonly id?: string | undefined;
  /** "quick": receipt, ledger, sizes, sidecars. "full": every byte and every entry as well. Default: "quick". */
  readonly level?: "quick" | "full" | undefined;
  /** Take what is missing from the ledger as accepted, from now on: for deletions the operator knows of. Default: false. */
  readonly accept?: boolean | undefined;
  /**
   * Digests of receipts that were the newest when they were noted down elsewhere: each must still be there. With one, a deletion of
   * the newest shows on a host that remembers nothing.
   */
  readonly heads?: readonly ReceiptRef[] | undefined;
}

/** What verify found to be right. Whatever is wrong is thrown. */
export interface VerifyResult {
  /** The archive's file name. */
  readonly id: string;
  /** The level asked for. */
  readonly level: "quick" | "full";
  /** Stores whose copy was verified. */
  readonly stores: readonly string[];
  /** Entries whose digest was compared with the index, those of what the backup builds on too; undefined when none were ("quick", or no fitting key). */
  readonly entries?: number | undefined;
  /** Why entries were not checked at level "full": no key fits. The stored bytes are what the receipt says. */
  readonly unchecked?: KeyError | undefined;
  /** "ok", or "cannot tell": this host remembers no head of this ledger, so it cannot see whether the newest were deleted. */
  readonly ledger: "ok" | "cannot tell";
}

/**
 * Verifies a backup in every store that has it. Throws IntegrityError naming what does not agree. At level "full" each copy's success is
 * recorded in its ledger, and only that (or a drill) makes a backup count as verified for retention.
 */
export async function verify(plan: Plan, options: VerifyOptions = {}): Promise<VerifyResult> {
  const first = makeContext(options);
  const level = options.level ?? "quick";
  const stored = await find(plan, options.id ?? "latest", first);
  const context: Context = { ...first, want: wantOf({}, receiptOf(stored)) };
  let remembered = true;
  let entries: number | undefined;
  let unchecked: KeyError | undefined;
  const errors: unknown[] = [];
  const verified: string[] = [];
  for (const store of stored.shelf.stores) {
    const copy = stored.copies.find((copy) => copy.store === store);
    try {
      if (options.accept) await accept(store, stored, context);
      const one: Stored | undefined = copy && { ...stored, copies: [copy] };
      remembered = await auditStore(store, stored, context, options.heads)
        .catch(async (error) => {
          throw one ? await withItself(error, plan, one, level, context) : error;
        }) && remembered;
      if (!one) {
        context.log.warn(
          "behind",
          `"${stored.id}" is not in ${store.url}: this target has missed it or lost it`,
        );
        continue;
      }
      if (level === "quick") await quickDown(plan, one, context);
      else ({ entries, unchecked } = await fullAndRecorded(plan, one, context));
      verified.push(store.url);
    } catch (error) {
      context.signal.throwIfAborted();
      errors.push(error);
      const kind = findError(error, IntegrityError) ? "copy" : "target";
      if (stored.shelf.stores.length > 1) context.log.warn(kind, `${store.url}: ${messageOf(error)}`);
    }
  }
  const worst = errors.find((error) => findError(error, IntegrityError)) ?? errors[0];
  if (worst && (verified.length === 0 || findError(worst, IntegrityError))) throw worst;
  return {
    id: stored.id,
    level,
    stores: verified,
    entries,
    unchecked,
    ledger: remembered ? "ok" : "cannot tell",
  };
}

async function accept(store: Store, stored: Stored, context: Context): Promise<void> {
  for (const { id } of await acceptLedger(store, stored.shelf, context)) {
    context.log.info(`Accepted that "${id}" is gone from ${store.url}`);
  }
}

async function fullAndRecorded(
  plan: Plan,
  stored: Stored,
  context: Context,
): Promise<{ entries?: number | undefined; unchecked?: KeyError | undefined }> {
  const started = Date.now();
  const result = await full(plan, stored, context);
  if (!result.unchecked) {
    await record(stored, context, "verify", {
      level: "full",
      entries: result.entries,
      ms: Date.now() - started,
    });
  }
  return result;
}

async function auditStore(
  store: Store,
  stored: Stored,
  context: Context,
  heads: readonly ReceiptRef[] = [],
): Promise<boolean> {
  const catalog = await readCatalog(store, stored.shelf);
  const orphans = catalog.backups.filter((backup) => backup.state === "orphan" || backup.state === "damaged");
  for (const { id, state } of orphans.filter(({ id }) => id !== stored.id)) {
    context.log.warn(
      "evidence",
      state === "orphan"
        ? `"${id}" in ${store.url} has neither receipt nor intent: someone has removed them`
        : `"${id}" in ${store.url} has a receipt and no archive: someone has removed it`,
    );
  }
  const { problems, forged, remembered } = await audit(store, stored.shelf, catalog, context.state, heads);
  if (stored.shelf.seals?.length) forged.push(...orphans.map(({ id }) => `nothing says who made "${id}"`));
  if (forged.length > 0) {
    throw new IntegrityError(
      `Cannot trust the ledger of "${stored.shelf.name}" in ${store.url}: ${
        forged.join("; ")
      }. Someone who does not hold your ` +
        "signing key has written there, or removed a signature; find out who, and remove or put back what they touched",
    );
  }
  if (problems.length > 0) {
    throw new IntegrityError(
      `Something other than Holdfast has removed backups of "${stored.shelf.name}" from ${store.url}: ` +
        `${
          problems.join("; ")
        }. Find out who did it, and put them back from another copy; if it was you, pass --accept`,
    );
  }
  return remembered;
}

/** A ledger that cannot be trusted says nothing of the backup that was asked for: what its own receipt says of it is checked all the same. */
async function withItself(
  error: unknown,
  plan: Plan,
  stored: Stored,
  level: "quick" | "full",
  context: Context,
): Promise<unknown> {
  if (!(error instanceof IntegrityError)) return error;
  const said = await (level === "quick" ? quickDown(plan, stored, context) : full(plan, stored, context))
    .then(
      (checked) =>
        `"${stored.id}" itself is what its receipt says: ${
          checked === undefined
            ? "sizes and checksums' files (--level full reads its bytes)"
            : checked.unchecked
            ? "its bytes; its entries were not checked for want of a key"
            : `every byte, and ${checked.entries} entries`
        }`,
      (cause) => `"${stored.id}" itself: ${messageOf(cause)}`,
    );
  context.signal.throwIfAborted();
  return new IntegrityError(`${error.message}. ${said}`, { cause: error });
}

/** `quick`, of what the backup builds on too. */
async function quickDown(plan: Plan, stored: Stored, context: Context): Promise<undefined> {
  for await (const { link, context: inner } of downFrom(stored, context)) await quick(plan, link, inner);
}

/** Receipt, sizes and sidecars: undoes the stages that need no key. */
export async function quick(plan: Plan, stored: Stored, context: Context): Promise<Sealed> {
  let value: Stored | Sealed = stored;
  for (const stage of plan.stages.toReversed()) {
    if (stage.verb !== "prune" && stage.verb !== "upload" && stage.verb !== "sign") break;
    value = await stage.undo(value, context);
  }
  return value as Sealed;
}

/** Every byte, and with a fitting key every entry, also of what the backup builds on. */
async function full(
  plan: Plan,
  stored: Stored,
  context: Context,
): Promise<{ entries?: number; unchecked?: KeyError }> {
  let entries = 0;
  let unchecked: KeyError | undefined;
  for await (const { link, context: inner } of downFrom(stored, context)) {
    try {
      const files = await undoOwn(plan, link, inner);
      entries += (await checkEntries(files, receiptOf(link).contents, inner)).entries;
    } catch (error) {
      const missing = findError(error, KeyError);
      if (!missing) throw error;
      unchecked ??= missing;
      await readAll(await quick(plan, link, inner), inner);
    }
  }
  return unchecked ? { unchecked } : { entries };
}

async function readAll({ body, index }: Sealed, { signal }: Context): Promise<void> {
  for await (const _chunk of body.read()) signal.throwIfAborted();
  if (index) { for await (const _chunk of index.read()) signal.throwIfAborted(); }
}

/** Appends the receipt of a proof to the ledger of the copy's store. A store that cannot be written, and a missing key to sign with, are warnings: the proof stands. */
export async function record(
  stored: Stored,
  context: Context,
  event: "verify" | "drill",
  facts: Record<string, unknown>,
  outcome: "complete" | "failed" = "complete",
): Promise<void> {
  try {
    await append(stored, context, event, facts, outcome);
  } catch (error) {
    if (!findError(error, StoreError) && !findError(error, KeyError)) throw error;
    context.log.warn("record", `The ${event} of "${stored.id}" could not be recorded: ${messageOf(error)}`);
  }
}

async function append(
  stored: Stored,
  context: Context,
  event: "verify" | "drill",
  facts: Record<string, unknown>,
  outcome: "complete" | "failed",
): Promise<void> {
  const copy = stored.copies[0]!;
  await appendEvent(copy.store, stored.shelf, context, event, (id, parents) => ({
    schema: "holdfast.receipt.v1",
    event,
    name: stored.shelf.name,
    id,
    run: context.run,
    parents: [...parents],
    createdAt: context.now.toISOString(),
    completedAt: new Date().toISOString(),
    outcome,
    subject: { id: stored.id, sha256: sha256(copy.receipt) },
    facts,
  }));
}
