/**
 * Who can read one backup.
 *
 * @module
 */
import { readAll, stepping } from "../bytes.ts";
import type { Shelved } from "../catalog.ts";
import { type Readers, readersOf } from "../encrypt/readers.ts";
import { findError, IntegrityError, KeyError } from "../errors.ts";
import { readReceipt } from "../ledger.ts";
import type { BackupReceipt } from "../receipt.ts";
import type { Prover } from "../seal.ts";
import type { Body, Context, Part, Reader, Sealed, Shelf, Store } from "../stage.ts";

/** Who can read one backup. */
export interface BackupKeys {
  /** The archive's file name. */
  readonly id: string;
  /** When its run started (RFC 3339, UTC). */
  readonly time: string;
  /** Where. */
  readonly store: string;
  /**
   * What it is told by. "signed": a receipt with the signatures the plan asks for. "unsigned": a receipt, and the plan asks for none:
   * whoever can write to the store can have written it. "untrusted": a receipt without the signature that the plan asks for, or one
   * that cannot be read. "header": there is no receipt, and the archive's own start is all there is.
   */
  readonly source: "signed" | "unsigned" | "untrusted" | "header";
  /** Public recipients or fingerprints by the receipt; "passphrase". Empty: stored in the clear, or nobody knows. */
  readonly recipients: readonly string[];
  /** Ids of the OpenPGP keys that its start names. */
  readonly keyIds: readonly string[];
  /** What it is encrypted with; "none": in the clear. */
  readonly tool: "age" | "openpgp" | "none";
  /** Nothing says which key reads it: age names nobody, so only an identity can tell. */
  readonly unknown: boolean;
  /** Whether a key at hand opens it; undefined when none was tried. */
  readonly opens?: boolean | undefined;
}

/** What was found out about one backup. */
export interface Looked {
  /** Who can read it. */
  readonly keys: BackupKeys;
  /** Its receipt, where that counts. */
  readonly receipt?: BackupReceipt | undefined;
}

/** What a look needs. */
interface Looking {
  readonly store: Store;
  readonly shelf: Shelf;
  readonly prove: Prover;
  readonly tried: Part | undefined;
  readonly context: Context;
}

/** Looks at one backup: its receipt, the start of its archive where that says more, and whether a key opens it. */
export async function lookAt(looking: Looking, backup: Shelved): Promise<Looked> {
  const { store, shelf } = looking;
  const { id } = backup;
  const { receipt, source } = await receiptOf(looking, backup);
  const reader: Reader = {
    size: backup.parts.get("")?.bytes ?? 0,
    at: async (start, end) => await readAll(await store.get(id, { start, end }), end - start, id),
  };
  const suffix = shelf.naming.parse(id)?.suffix ?? "";
  const readers = receipt && !/\.(?:gpg|pgp)$/.test(suffix)
    ? { tool: toolOf(receipt), keyIds: [] }
    : await headerOf(reader, id, looking);
  const recipients = receipt?.recipients ?? [];
  const opens = await tries(looking, { id, suffix, reader });
  const unknown = readers.tool !== "none" && recipients.length + readers.keyIds.length === 0;
  return {
    receipt,
    keys: {
      id,
      time: backup.time.toISOString(),
      store: store.url,
      source,
      recipients,
      keyIds: readers.keyIds,
      tool: readers.tool,
      unknown,
      opens,
    },
  };
}

async function receiptOf(
  { store, shelf, prove, context }: Looking,
  { id, state }: Shelved,
): Promise<{ readonly receipt?: BackupReceipt; readonly source: BackupKeys["source"] }> {
  if (state === "orphan") return { source: "header" };
  try {
    const { bytes, receipt } = await readReceipt(store, id, shelf);
    if (receipt.event !== "backup") throw new IntegrityError(`"${id}" has no backup's receipt`);
    if (await prove.check(id, bytes)) {
      return { receipt, source: shelf.seals?.length ? "signed" : "unsigned" };
    }
    context.log.warn("evidence", prove.unproven.find((item) => item.id === id)!.why);
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
    context.log.warn("evidence", error.message);
  }
  return { source: "untrusted" };
}

function toolOf({ stages }: BackupReceipt): Readers["tool"] {
  const tool = stages.find(({ verb }) => verb === "encrypt")?.tool;
  return tool === "age" || tool === "openpgp" ? tool : "none";
}

/** How much of an archive's start is asked for at a time. */
const STEP = 16 * 1024;

async function headerOf(
  reader: Reader,
  id: string,
  { context }: Looking,
): Promise<Pick<Readers, "tool" | "keyIds">> {
  try {
    return await readersOf(stepping(reader, STEP), `"${id}"`);
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
    context.log.warn("evidence", error.message);
    return { tool: "none", keyIds: [] };
  }
}

/** Whether the plan's keys open it; the encrypt stage reads the start, and no more. */
async function tries(
  { tried, context }: Looking,
  { id, suffix, reader }: { readonly id: string; readonly suffix: string; readonly reader: Reader },
): Promise<boolean | undefined> {
  if (!tried) return undefined;
  const body: Body = { read: () => stepping(reader, STEP), open: () => Promise.resolve(reader) };
  const facts = (): ReturnType<Sealed["facts"]> => ({ sources: [], stages: [] });
  try {
    await tried.undo({ kind: "sealed", suffix, body, facts, signers: [] } satisfies Sealed, context);
    return true;
  } catch (error) {
    if (!findError(error, KeyError) && !findError(error, IntegrityError)) throw error;
    if (!findError(error, KeyError)) context.log.warn("evidence", `"${id}": ${(error as Error).message}`);
    return false;
  }
}
