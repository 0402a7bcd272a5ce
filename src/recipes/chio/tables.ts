/**
 * Do the columns say what the receipts say, do the tables agree, and are the guards there?
 *
 * @module
 */
import type { Entry } from "./entries.ts";
import { isObject, type JsonObject } from "./json.ts";
import type { OpenStore, Row } from "./open.ts";

/** Columns that repeat a member of the receipt under its name. */
const TOOL = ["timestamp", "capability_id", "tool_server", "tool_name"] as const;
const CHILD = ["timestamp", "session_id", "parent_request_id", "request_id"] as const;
const TOOL_SOURCE = ["policy_hash", "content_hash"] as const;
const CHILD_SOURCE = ["policy_hash", "outcome_hash", "operation_kind"] as const;

/** What does not agree between an entry's rows and its receipt. */
export function rowFaults({ row, source, raw }: Entry, body: JsonObject): readonly string[] {
  const child = row.receipt_kind === "child_receipt";
  const faults = compare(row, body, child ? CHILD : TOOL);
  if (row.receipt_id !== body.id) faults.push("its column receipt_id is not the receipt's id");
  if (!source) return [...faults, "its receipt's own row is missing"];
  if (source.raw_json !== raw) faults.push("the log and the receipt's own row hold different receipts");
  faults.push(...compare(source, body, child ? [...CHILD, ...CHILD_SOURCE] : [...TOOL, ...TOOL_SOURCE]));
  if (source.receipt_id !== body.id) faults.push("its row's receipt_id is not the receipt's id");
  const verdict = isObject(body.decision) ? body.decision.verdict : undefined;
  if (!child && verdict !== undefined && source.decision_kind !== verdict) {
    faults.push("its column decision_kind is not the receipt's verdict");
  }
  return faults;
}

function compare(row: Row, body: JsonObject, columns: readonly string[]): string[] {
  return columns.filter((name) => row[name] !== body[name]).map((name) =>
    `its column ${name} is not what the receipt says`
  );
}

/** Tables whose rows nobody may change, once written. */
const GUARDED = [
  "chio_tool_receipts",
  "chio_child_receipts",
  "claim_receipt_log_entries",
  "kernel_checkpoints",
];

/** What is wrong with the tables as a whole; `hard`: a receipt is in one and not in the other. */
export function* tableFaults(store: OpenStore): Generator<{ fault: string; hard: boolean }, void, undefined> {
  for (const kind of ["tool", "child"]) {
    if (!store.has(`chio_${kind}_receipts`)) continue;
    const lost = store.rows(
      `SELECT seq FROM chio_${kind}_receipts WHERE receipt_id NOT IN (SELECT receipt_id FROM claim_receipt_log_entries) LIMIT 20`,
    );
    for (const { seq } of lost) {
      yield { fault: `${kind} receipt ${seq} stands in no entry of the log`, hard: true };
    }
  }
  const triggers = new Set([...store.rows("SELECT name FROM sqlite_schema WHERE type = 'trigger'")].map(
    ({ name }) => String(name),
  ));
  const checkpointed = store.has("kernel_checkpoints") &&
    [...store.rows("SELECT 1 AS one FROM kernel_checkpoints LIMIT 1")].length > 0;
  for (const table of GUARDED) {
    // Those of checkpoints come with the first one.
    if (!store.has(table) || (table === "kernel_checkpoints" && !checkpointed)) continue;
    for (const verb of ["update", "delete"]) {
      const name = `${table}_reject_${verb}`;
      if (!triggers.has(name)) yield { fault: `the guard ${name} is missing`, hard: false };
    }
  }
}
