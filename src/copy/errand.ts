/**
 * What one copy needs to know, and the receipt it ends with.
 *
 * @module
 */
import { RECEIPT } from "../catalog.ts";
import { KeyError } from "../errors.ts";
import type { Plan } from "../find.ts";
import { type Head, headOf } from "../ledger.ts";
import { type BackupReceipt, encodeReceipt } from "../receipt.ts";
import type { Context, Shelf, U8 } from "../stage.ts";
import type { Holding } from "./shelves.ts";

/** What is copied, where from, where to. */
export interface Errand {
  /** The plan: its stages check what is copied. */
  readonly plan: Plan;
  /** Its shelf. */
  readonly shelf: Shelf;
  /** The archive's file name. */
  readonly id: string;
  /** Where it is whole. */
  readonly source: Holding;
  /** Where it is missing. */
  readonly target: Holding;
  /** The newest receipts of the target's ledger: the copy's parents there. */
  readonly heads: readonly Head[];
  /** The target's receipt of a backup, by the digest of the source's: for backups that build on another. */
  readonly twins: Map<string, string>;
  /** The run; its signal also fires when the target's lease is lost. */
  readonly context: Context;
}

/** The receipt of a copy. */
export interface CopyReceipt {
  /** As it is stored. */
  readonly bytes: U8;
  /** Its place in the target's ledger. */
  readonly head: Head;
  /** What comes before it there. */
  readonly parents: readonly string[];
  /** Whether it differs from the source's, so that its signatures do not fit. */
  readonly resign: boolean;
}

/** The receipt for the target: the same, but for its parents, which are the heads of the target's own ledger. */
export function receiptFor(
  { shelf, id, source, heads, twins }: Errand,
  original: U8,
  receipt: BackupReceipt,
): {
  readonly bytes: U8;
  readonly head: Head;
  readonly parents: readonly string[];
  readonly resign: boolean;
} {
  const parents = heads.map(({ sha256 }) => sha256).sort();
  const { base } = receipt.contents;
  const twin = base === null ? null : twins.get(base) ?? base;
  if (twin === base && parents.join() === receipt.parents.join()) {
    return { bytes: original, head: headOf(id, original), parents, resign: false };
  }
  const known = (shelf.seals ?? []).map(({ suffix }) => RECEIPT + suffix);
  const lost = [...source.backups.get(id)!.parts.keys()]
    .find((suffix) => suffix.startsWith(`${RECEIPT}.`) && !known.includes(suffix));
  if (lost !== undefined) {
    throw new KeyError(
      `Cannot copy "${id}": its receipt is signed ("${id}${lost}"), takes another place in the target's ledger, and must be ` +
        "signed again. Copy with the plan that signs, where its secret key is (--config)",
    );
  }
  const signer = shelf.seals?.[0]?.signer.identity ?? receipt.signer;
  const bytes = encodeReceipt({
    ...receipt,
    parents,
    contents: { ...receipt.contents, base: twin },
    ...(signer === undefined ? {} : { signer }),
  });
  return { bytes, head: headOf(id, bytes), parents, resign: true };
}
