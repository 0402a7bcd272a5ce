/**
 * The receipt: canonical JSON (RFC 8785) that says what one event did. The commit marker of a backup, and a node of the ledger.
 *
 * @module
 */
import canonicalize from "canonicalize";
import * as v from "valibot";
import { sha256, text, utf8 } from "./bytes.ts";
import { IntegrityError, messageOf } from "./errors.ts";
import type { Contents, SourceFact, StageFact, U8 } from "./stage.ts";

/** What every receipt says. */
export interface ReceiptHead {
  /** The format. */
  readonly schema: "holdfast.receipt.v1";
  /** The backup's name. */
  readonly name: string;
  /** The archive's file name, or for other events the receipt's own key. */
  readonly id: string;
  /** The run's ULID. */
  readonly run: string;
  /** SHA-256 of every receipt that was a head of the ledger when this one was written, sorted. */
  readonly parents: readonly string[];
  /** When the run started (RFC 3339, UTC). */
  readonly createdAt: string;
  /** When its last byte was stored, or its last check done. */
  readonly completedAt: string;
  /** Only "complete" counts. */
  readonly outcome: "complete" | "failed";
  /** Public identity of who signed, where someone did. */
  readonly signer?: string | undefined;
}

/** One stored object of a backup. */
export interface ReceiptObject {
  /** "" is the archive, ".index" its index. */
  readonly suffix: string;
  /** Length in bytes. */
  readonly bytes: number;
  /** Lower-case hexadecimal SHA-256 of the stored bytes. */
  readonly sha256: string;
}

/** A backup's receipt. */
export interface BackupReceipt extends ReceiptHead {
  /** The event. */
  readonly event: "backup";
  /** What was stored. */
  readonly objects: readonly ReceiptObject[];
  /** Every tool, first to last. */
  readonly stages: readonly StageFact[];
  /** What the archive holds. */
  readonly contents: Contents;
  /** Every source, in the order it was read. */
  readonly sources: readonly SourceFact[];
  /** Public recipients. */
  readonly recipients: readonly string[];
  /** Warnings by kind. */
  readonly warnings: Readonly<Record<string, number>>;
  /** The backup this one is a re-encryption of; its receipt and archive are removed once this one is whole. */
  readonly replaces?: ReceiptRef | undefined;
}

/** A receipt named by its place and digest. */
export interface ReceiptRef {
  /** The backup's file name or the event's key. */
  readonly id: string;
  /** SHA-256 of the receipt as stored. */
  readonly sha256: string;
}

/** A prune's receipt, or that of a rotation, which removes backups as well. */
export interface PruneReceipt extends ReceiptHead {
  /** The event. */
  readonly event: "prune" | "rotate";
  /** Why a rotation removed them: "reencrypted" or "forgotten". */
  readonly reason?: string | undefined;
  /** Receipts that go. */
  readonly tombstones: readonly ReceiptRef[];
  /** Every receipt that stays: a walk may start here. */
  readonly live: readonly ReceiptRef[];
}

/** The receipt of a full verification or a drill. */
export interface ProofReceipt extends ReceiptHead {
  /** The event. */
  readonly event: "verify" | "drill";
  /** The backup that was read. */
  readonly subject: ReceiptRef;
  /** What was measured: entries, bytes, RTO and RPO in milliseconds. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Any receipt. */
export type Receipt = BackupReceipt | PruneReceipt | ProofReceipt;

const hex64 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const instant = v.pipe(v.string(), v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/));
const suffix = v.pipe(v.string(), v.regex(/^(?:\.[a-z0-9]{1,16}){0,8}$/));
const scalar = v.union([v.string(), v.number(), v.boolean()]);

const common = {
  schema: v.literal("holdfast.receipt.v1"),
  name: v.string(),
  id: v.string(),
  run: v.string(),
  parents: v.array(hex64),
  createdAt: instant,
  completedAt: instant,
  outcome: v.picklist(["complete", "failed"]),
  signer: v.optional(v.string()),
};

const tombstone = v.strictObject({ id: v.string(), sha256: hex64 });

const backupSchema = v.strictObject({
  ...common,
  event: v.literal("backup"),
  objects: v.array(v.strictObject({ suffix, bytes: size, sha256: hex64 })),
  stages: v.array(
    v.strictObject({ verb: v.string(), tool: v.string(), options: v.optional(v.record(v.string(), scalar)) }),
  ),
  contents: v.strictObject({
    entries: size,
    bytes: size,
    merkleRoot: hex64,
    base: v.nullable(hex64),
    metadata: v.string(),
  }),
  sources: v.array(
    v.strictObject({ tool: v.string(), cutAt: instant, facts: v.record(v.string(), v.unknown()) }),
  ),
  recipients: v.array(v.string()),
  warnings: v.record(v.string(), size),
  replaces: v.optional(tombstone),
});

const pruneSchema = v.strictObject({
  ...common,
  event: v.picklist(["prune", "rotate"]),
  reason: v.optional(v.string()),
  tombstones: v.array(tombstone),
  live: v.array(tombstone),
});

const proofSchema = v.strictObject({
  ...common,
  event: v.picklist(["verify", "drill"]),
  subject: tombstone,
  facts: v.record(v.string(), v.unknown()),
});

const receiptSchema: v.GenericSchema<unknown, Receipt> = v.variant("event", [
  backupSchema,
  pruneSchema,
  proofSchema,
]);

/** Whether an event removes backups and says what stays: a walk may start at its receipt. */
export function isSweep<T extends { readonly event: string }>(
  event: T,
): event is T & { readonly event: "prune" | "rotate" } {
  return event.event === "prune" || event.event === "rotate";
}

/** The longest receipt that is read: 64 MiB, room for the live set of a store with 500,000 backups. */
export const RECEIPT_LIMIT: number = 64 * 1024 * 1024;

/** The canonical bytes of a receipt. */
export function encodeReceipt(receipt: Receipt): U8 {
  return utf8(canonicalize(receipt)!);
}

/** Reads a receipt; throws {@linkcode IntegrityError} unless it is canonical and of the schema. */
export function decodeReceipt(bytes: U8, id: string): Receipt {
  let value: unknown;
  try {
    value = JSON.parse(text(bytes));
  } catch (cause) {
    throw unreadable(id, "it is not JSON in UTF-8", cause);
  }
  const result = v.safeParse(receiptSchema, value);
  if (!result.success) {
    const issue = result.issues[0];
    const at = v.getDotPath(issue) ?? "(top)";
    throw unreadable(id, `${at}: ${issue.message}`);
  }
  let canonical: string | undefined;
  try {
    canonical = canonicalize(value);
  } catch (cause) {
    throw unreadable(id, messageOf(cause), cause);
  }
  if (canonical === undefined || sha256(utf8(canonical)) !== sha256(bytes)) {
    throw unreadable(id, "it is not canonical JSON (RFC 8785)");
  }
  return result.output;
}

function unreadable(id: string, why: string, cause?: unknown): IntegrityError {
  return new IntegrityError(
    `Cannot read the receipt of "${id}": ${why}. It was damaged or changed: copy it back from another store, or take another backup`,
    { cause },
  );
}
