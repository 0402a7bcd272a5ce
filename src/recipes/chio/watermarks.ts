/**
 * The numbers that may not go down from one backup to the next.
 *
 * @module
 */
import type { CheckedCheckpoint } from "./checkpoint.ts";
import type { OpenStore } from "./open.ts";

/** What a later copy of the same store must contain or exceed. Counts of rows are not among them: retention deletes rows. */
export interface Watermarks {
  /** Highest number ever given to an entry of the log. */
  readonly entries: bigint;
  /** Highest number ever given to a tool receipt. */
  readonly tools: bigint;
  /** Highest number ever given to a child receipt. */
  readonly children: bigint;
  /** The newest checkpoint; absent when there is none. */
  readonly head?: { readonly seq: bigint; readonly sha256: string; readonly end: bigint } | undefined;
}

/** The marks of a store. */
export function watermarksOf(store: OpenStore, head: CheckedCheckpoint | undefined): Watermarks {
  const given = new Map([...store.rows("SELECT name, seq FROM sqlite_sequence")].map(
    ({ name, seq }) => [String(name), seq as bigint],
  ));
  return {
    entries: given.get("claim_receipt_log_entries") ?? 0n,
    tools: given.get("chio_tool_receipts") ?? 0n,
    children: given.get("chio_child_receipts") ?? 0n,
    ...(head && { head: { seq: head.seq, sha256: head.sha256, end: head.end } }),
  };
}

/** What shows that a store is not a later state of the one that had the marks `before`. `heads`: its checkpoints' digests. */
export function regressions(
  before: Watermarks,
  now: Watermarks,
  heads: ReadonlyMap<bigint, string>,
): readonly string[] {
  const faults: string[] = [];
  const marks = [["entries", "log entries"], ["tools", "tool receipts"], [
    "children",
    "child receipts",
  ]] as const;
  for (const [mark, words] of marks) {
    if (now[mark] < before[mark]) {
      faults.push(
        `the numbering of ${words} went down from ${before[mark]} to ${now[mark]}: it was rolled back`,
      );
    }
  }
  if (!before.head) return faults;
  const { seq, sha256 } = before.head;
  const same = heads.get(seq);
  if (same === undefined) faults.push(`checkpoint ${seq} of the earlier backup is gone: it was rolled back`);
  else if (same !== sha256) {
    faults.push(`checkpoint ${seq} is another one than in the earlier backup: the chain was forked`);
  }
  return faults;
}
