/**
 * The last step of a backup: the receipt, which makes it visible. And what a run knows of its targets.
 *
 * @module
 */
import { INTENT, RECEIPT } from "../catalog.ts";
import { ExistsError, StoreError } from "../errors.ts";
import { type Head, headOf, type Ledger, remember } from "../ledger.ts";
import { type BackupReceipt, encodeReceipt, type ReceiptRef } from "../receipt.ts";
import type { Bytes, Context, FactSheet, Sealed, Shelf, Signature, Signer, Store, U8 } from "../stage.ts";

/** One target of a run, and how far it has come. */
export interface Target {
  /** Where. */
  readonly store: Store;
  /** Its ledger before this run. */
  readonly ledger: Ledger | undefined;
  /** The receipt of the backup before this one, where there is one that can be read. */
  readonly before?: BackupReceipt | undefined;
  /** The backup that this one is a re-encryption of, as it lies there. */
  readonly replaces?: ReceiptRef | undefined;
  /** Fires when another run has taken the lease over. */
  readonly lost?: AbortSignal | undefined;
  /** Keys that this run has created, in order. */
  readonly written: string[];
  /** Why it failed; nothing more is written to it. */
  error?: Error | undefined;
  /** The receipt, once it is there. */
  receipt?: U8 | undefined;
}

/** A signer at work; without a signature it needs nothing but the digest. */
export interface Opened {
  readonly signer: Signer;
  readonly signature: Signature | undefined;
}

/** Opens every key that signs, before a byte is read. `id` is the archive's file name. */
export async function openSigners(
  signers: readonly Signer[],
  id: string,
): Promise<Opened[]> {
  return await Promise.all(signers.map(async (signer) => ({
    signer,
    signature: signer.fromDigest ? undefined : await signer.begin(id),
  })));
}

/** One run, under way. */
export interface Job {
  readonly id: string;
  readonly shelf: Shelf;
  readonly sealed: Sealed;
  readonly signatures: readonly Opened[];
  readonly targets: readonly Target[];
  readonly context: Context;
}

/** An object as the receipt names it. */
export interface StoredObject {
  readonly suffix: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Creates an object, and notes that it is this run's to remove; what stood there before is not. */
export async function create(
  target: Target,
  key: string,
  body: Bytes | U8,
  signal?: AbortSignal,
): Promise<void> {
  target.written.push(key);
  try {
    await target.store.put(key, body, { ifAbsent: true, signal });
  } catch (error) {
    if (error instanceof ExistsError) target.written.pop();
    throw error;
  }
}

/** Makes the backup visible in one target. */
export async function commit(
  job: Job,
  target: Target,
  make: (parents: string[]) => BackupReceipt,
): Promise<void> {
  const { id, shelf, sealed, context } = job;
  context.signal.throwIfAborted();
  const parents = (target.ledger?.heads ?? []).map((head) => head.sha256).sort();
  const receipt = encodeReceipt({
    ...make(parents),
    ...(target.replaces ? { replaces: target.replaces } : {}),
  });
  await checkStillThere(job, target);
  for (const signer of sealed.signers.filter((signer) => signer.authenticates)) {
    const signature = await signer.begin(id + RECEIPT);
    signature.add(receipt);
    await create(target, id + RECEIPT + signer.suffix, await signature.end());
  }
  await create(target, id + RECEIPT, receipt);
  target.receipt = receipt;
  const head: Head = headOf(id, receipt);
  const ledger = target.ledger ??
    { base: undefined, unreadable: [], gone: new Set(), nodes: [], heads: [], unproven: [] };
  const nodes = [...ledger.nodes, { ...head, parents }];
  await remember(context.state, target.store, shelf, { ...ledger, nodes }, [head]);
}

/**
 * A run that was asleep for long has lost its lease, and another may have swept what it wrote: a receipt would make something
 * visible that is no longer there.
 */
async function checkStillThere({ id }: Job, { store, lost }: Target): Promise<void> {
  lost?.throwIfAborted();
  for (const key of [id, id + INTENT]) {
    if (await store.head(key)) continue;
    throw new StoreError(
      `Cannot complete "${id}" in ${store.url}: "${key}", which this run wrote, is gone. Another run, or somebody, has ` +
        "removed it. Run the backup again",
      { retryable: true },
    );
  }
}

/** The receipt of what was written. */
export function makeReceipt(
  job: Job,
  objects: readonly StoredObject[],
  facts: FactSheet,
  completedAt: string,
  parents: string[],
): BackupReceipt {
  const { id, shelf, sealed, context } = job;
  if (!facts.contents) throw new TypeError("Cannot write a receipt: the archive stage gave no contents");
  const signer = sealed.signers.find((signer) => signer.identity)?.identity;
  const parsed = shelf.naming.parse(id);
  return {
    schema: "holdfast.receipt.v1",
    event: "backup",
    name: shelf.name,
    id,
    run: context.run,
    parents,
    createdAt: (parsed?.time ?? context.now).toISOString(),
    completedAt,
    outcome: "complete",
    objects: objects.map((object) => ({ ...object })),
    stages: facts.stages.map((stage) => ({
      verb: stage.verb,
      tool: stage.tool,
      ...(stage.options ? { options: { ...stage.options } } : {}),
    })),
    contents: { ...facts.contents },
    sources: facts.sources.map((source) => ({ ...source, facts: { ...source.facts } })),
    recipients: [...facts.recipients ?? []],
    warnings: { ...context.warnings() },
    ...(signer === undefined ? {} : { signer }),
  };
}
