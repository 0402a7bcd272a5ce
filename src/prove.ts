/**
 * Shows that one entry is in a backup, to someone who has the receipt and the signer's public key and nothing else.
 *
 * @module
 */
import { checkProof, type EntryProof, proveEntry } from "./archive/mod.ts";
import { text } from "./bytes.ts";
import { RECEIPT } from "./catalog.ts";
import { makeContext, type RunOptions } from "./context.ts";
import { findError, IntegrityError, NotFoundError } from "./errors.ts";
import { downFrom, find, type Plan, receiptOf, undoOwn } from "./find.ts";
import { goneIn, isGone, isIncrement } from "./layers.ts";
import { rawOf } from "./raw_name.ts";
import { decodeReceipt } from "./receipt.ts";
import { wantOf } from "./restore.ts";
import type { Context, IndexEntry, Seal, U8 } from "./stage.ts";

export type { EntryProof };

/**
 * Proves that a backup holds a path: an RFC 6962 inclusion proof under the Merkle root of the backup's receipt. It discloses this entry's
 * metadata and digest, and no other's. Needs the identity, since the index is encrypted like the archive. Where the backup is an increment
 * and the entry lies in one that it builds on, the proof is about that one: `id` says which. Throws NotFoundError when the backup does not have
 * the path, IntegrityError when index and receipt do not agree.
 */
export async function prove(
  plan: Plan,
  options: RunOptions & { readonly id?: string | undefined; readonly path: string },
): Promise<{ readonly id: string; readonly proof: EntryProof; readonly receipt: U8 }> {
  const first = makeContext(options);
  const stored = await find(plan, options.id ?? "latest", first);
  const path = rawOf(options.path.replace(/^\.?\//, "").replace(/\/+$/, ""));
  const context: Context = { ...first, want: { ...wantOf({}, receiptOf(stored)), path } };
  for await (const { link, context: inner } of downFrom(stored, context)) {
    const files = await undoOwn(plan, link, inner);
    const { index } = files;
    if (!index) throw new NotFoundError(`Cannot prove anything about "${link.id}": it has no index`);
    try {
      const proof = await proveEntry(index, path);
      checkProof(proof, receiptOf(link).contents);
      if (link.id !== stored.id) {
        first.log.info(`"${stored.id}" builds on "${link.id}", which holds it: the proof is about that one`);
      }
      return { id: link.id, proof, receipt: link.copies[0]!.receipt };
    } catch (error) {
      if (!findError(error, NotFoundError) || !isIncrement(receiptOf(link))) throw error;
      if (isGone(path, await goneIn(files))) throw error;
    }
  }
  throw new NotFoundError(`Cannot find "${path}" in "${stored.id}"`);
}

/** What a proof is checked with. */
export interface CheckOptions {
  /** The proof. */
  readonly proof: EntryProof;
  /** The backup's receipt, as it lies in the store. */
  readonly receipt: U8;
  /** The receipt's signature, as it lies beside it. */
  readonly signature: U8;
  /** Who must have signed the receipt: a sign stage's `seals[0]`. */
  readonly seal: Seal;
}

/**
 * Checks a proof without the backup. Gives the entry, the backup's file name and who signed. Throws {@linkcode IntegrityError} when the
 * receipt is not signed by that key, or the proof does not lead to its root.
 */
export async function checkProven(
  options: CheckOptions,
): Promise<{ readonly id: string; readonly signer: string; readonly entry: Omit<IndexEntry, "offset"> }> {
  const { proof, receipt, signature, seal } = options;
  const id = idIn(receipt);
  const signer = await seal.verify(receipt, `${id}${RECEIPT}`, signature);
  const decoded = decodeReceipt(receipt, id);
  if (decoded.event !== "backup") {
    throw new IntegrityError(`Cannot check the proof: "${id}" is not a backup's receipt`);
  }
  return { id, signer, entry: checkProof(proof, decoded.contents) };
}

function idIn(receipt: U8): string {
  try {
    const { id } = JSON.parse(text(receipt)) as { id?: unknown };
    if (typeof id === "string") return id;
  } catch {
    // said below
  }
  throw new IntegrityError(
    "Cannot check the proof: the receipt is not one. Give the .receipt.json as it lies in the store",
  );
}
