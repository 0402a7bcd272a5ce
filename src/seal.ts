/**
 * Signatures of receipts in a store: who may have written what the ledger says. What a proven receipt names by digest is proven
 * with it, and an honest writer names no head that is not: so heads and prunes are what must be looked at.
 *
 * @module
 */
import { readAll, sha256 } from "./bytes.ts";
import { IntegrityError, NotFoundError } from "./errors.ts";
import { RECEIPT_LIMIT } from "./receipt.ts";
import type { Shelf, Store, U8 } from "./stage.ts";

const SIGNATURE_LIMIT = 1 << 20;

/**
 * Throws {@linkcode IntegrityError} unless the receipt `key` carries every signature that the plan asks for. `seen` holds digests that
 * need none: receipts this host wrote or has accepted before.
 */
async function proveReceipt(
  store: Store,
  shelf: Shelf,
  key: string,
  bytes: U8,
  seen: ReadonlySet<string>,
): Promise<void> {
  const { seals = [] } = shelf;
  if (seals.length === 0 || seen.has(sha256(bytes))) return;
  for (const { suffix, verify } of seals) {
    let signature: U8;
    try {
      signature = await readAll(await store.get(key + suffix), SIGNATURE_LIMIT, `"${key}${suffix}"`);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      throw new IntegrityError(
        `"${key}" is not signed ("${key}${suffix}" is missing), and the plan asks for a signature`,
      );
    }
    await verify(bytes, key, signature);
  }
}

/** Looks at signatures, each once; what is not proven is noted. */
export interface Prover {
  /** What was looked at and is not proven. */
  readonly unproven: readonly { readonly id: string; readonly why: string }[];
  /** Whether a receipt is signed as the plan asks. */
  readonly check: (id: string, bytes?: U8) => Promise<boolean>;
}

/** A prover for one walk; `seen` holds digests this host remembers as heads. */
export function prover(
  shelf: Shelf,
  keyOf: (id: string) => string,
  store: Store,
  seen: ReadonlySet<string>,
): Prover {
  const answers = new Map<string, boolean>();
  const unproven: { id: string; why: string }[] = [];
  async function prove(id: string, bytes?: U8): Promise<boolean> {
    const key = keyOf(id);
    try {
      const receipt = bytes ?? await readAll(await store.get(key), RECEIPT_LIMIT, `the receipt "${key}"`);
      await proveReceipt(store, shelf, key, receipt, seen);
      return true;
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error;
      unproven.push({ id, why: error.message });
      return false;
    }
  }
  return {
    unproven,
    check: async (id, bytes) => {
      if (!shelf.seals?.length) return true;
      const answer = answers.get(id) ?? await prove(id, bytes);
      answers.set(id, answer);
      return answer;
    },
  };
}

/** Signs an event's receipt, before it is written. Throws KeyError where no secret key is at hand. */
export async function signReceipt(
  store: Store,
  shelf: Shelf,
  key: string,
  bytes: U8,
): Promise<void> {
  for (const { suffix, signer } of shelf.seals ?? []) {
    const signature = await signer.begin(key);
    signature.add(bytes);
    await store.put(key + suffix, await signature.end(), { ifAbsent: true });
  }
}
