/**
 * Backups as the service writes them, in the field names of Prose's own API.
 *
 * @module
 */
import { findError, KeyError, messageOf, StageError } from "../../../errors.ts";
import type { BackupResult } from "../../../run.ts";
import type { ProseItem } from "../list.ts";

/** A line of the list. */
export function itemOf(item: ProseItem): Record<string, unknown> {
  return {
    id: item.id,
    description: item.description ?? null,
    metadata: {
      created_at: item.createdAt,
      size_bytes: item.bytes,
      is_signed: item.signed,
      is_encrypted: item.encrypted,
      is_consistent: item.consistent ?? null,
      can_be_restored: item.restorable,
      format: item.format,
      stores: item.stores,
    },
  };
}

/** One backup, looked at: `failure` is what verification threw. Without the key to read it, what is stored was found intact. */
export function detailsOf(item: ProseItem, failure: unknown): unknown {
  const { metadata, ...rest } = itemOf(item) as { metadata: Record<string, unknown> };
  const intact = item.format === "holdfast"
    ? failure === undefined || findError(failure, KeyError) !== undefined
    : null;
  return {
    ...rest,
    metadata: {
      ...metadata,
      can_be_restored: item.restorable && intact !== false,
      is_intact: intact,
      problem: failure === undefined ? null : messageOf(findError(failure, StageError) ?? failure),
    },
  };
}

/** What a backup came to. */
export function createdOf(result: BackupResult): unknown {
  const { id, receipt, warnings } = result;
  const source = receipt.sources.find(({ tool }) => tool === "prose")?.facts;
  const stopped = receipt.sources.find(({ tool }) => tool === "stopped")?.facts;
  const stores = result.copies.flatMap(({ store, error }) => error ? [] : [store]);
  return {
    backup_id: id,
    backup: itemOf({
      id,
      createdAt: receipt.createdAt,
      bytes: receipt.objects[0]?.bytes ?? 0,
      stores,
      signed: receipt.signer !== undefined,
      encrypted: receipt.recipients.length > 0,
      consistent: source?.["consistent"] === true,
      restorable: true,
      format: "holdfast",
    }),
    downtime_ms: stopped?.["downMs"] ?? 0,
    warnings,
  };
}
