/**
 * Checkpoint statements, alone and in their chain.
 *
 * @module
 */
import { sha256, utf8 } from "../../bytes.ts";
import { messageOf } from "../../errors.ts";
import { canonical, type JsonObject, parseObject } from "./json.ts";
import { frontier, leafHash } from "./merkle.ts";
import { checkSignature } from "./signature.ts";

/** One row of `kernel_checkpoints`, integers as bigint. */
export interface CheckpointRow {
  readonly checkpoint_seq: bigint;
  readonly batch_start_seq: bigint;
  readonly batch_end_seq: bigint;
  readonly tree_size: bigint;
  readonly merkle_root: string;
  readonly issued_at: bigint;
  readonly statement_json: string;
  readonly signature: string;
  readonly kernel_key: string;
}

/** A checkpoint, checked. */
export interface CheckedCheckpoint {
  /** Its number. */
  readonly seq: bigint;
  /** First entry it covers. */
  readonly start: bigint;
  /** Last entry it covers. */
  readonly end: bigint;
  /** Root over its entries, lower-case hexadecimal. */
  readonly root: string;
  /** Digest of its body: what its successor names. */
  readonly sha256: string;
  /** The kernel's key. */
  readonly key: string;
  /** The members of the signed body. */
  readonly body: JsonObject;
  /** What is wrong. */
  readonly faults: readonly string[];
}

const V1 = "chio.checkpoint_statement.v1";
const V2 = "chio.checkpoint_statement.v2";

/** Checks one checkpoint by itself. Never throws. */
export function checkCheckpoint(row: CheckpointRow): CheckedCheckpoint {
  const faults: string[] = [];
  let body: JsonObject = {};
  try {
    body = parseObject(row.statement_json);
  } catch (error) {
    faults.push(`its statement cannot be read: ${messageOf(error)}`);
  }
  const text = canonical(body);
  if (faults.length === 0) faults.push(...bodyFaults(row, body, text));
  return {
    seq: row.checkpoint_seq,
    start: row.batch_start_seq,
    end: row.batch_end_seq,
    root: row.merkle_root,
    sha256: sha256(utf8(text)),
    key: row.kernel_key,
    body,
    faults,
  };
}

function bodyFaults(row: CheckpointRow, body: JsonObject, text: string): readonly string[] {
  const faults: string[] = [];
  if (body.schema !== V1 && body.schema !== V2) {
    faults.push(`its schema ${JSON.stringify(body.schema)} is unknown`);
  }
  for (
    const name of ["checkpoint_seq", "batch_start_seq", "batch_end_seq", "tree_size", "issued_at"] as const
  ) {
    if (body[name] !== row[name]) faults.push(`its column ${name} is not what was signed`);
  }
  if (body.merkle_root !== `0x${row.merkle_root}` && body.merkle_root !== row.merkle_root) {
    faults.push("its column merkle_root is not what was signed");
  }
  if (body.kernel_key !== row.kernel_key) faults.push("its column kernel_key is not what was signed");
  if (row.tree_size !== row.batch_end_seq - row.batch_start_seq + 1n || row.tree_size < 1n) {
    faults.push("its tree_size is not the number of its entries");
  }
  const verdict = checkSignature(row.kernel_key, row.signature, text);
  if (verdict !== "good") faults.push(`its signature is ${verdict}`);
  if (body.schema === V1 && body.chain_root !== undefined) faults.push("a v1 statement has no chain_root");
  return faults;
}

/** What is wrong between a checkpoint and the one before it; undefined: it is the first. */
export function linkFaults(
  previous: CheckedCheckpoint | undefined,
  next: CheckedCheckpoint,
): readonly string[] {
  const faults: string[] = [];
  const digest = next.body.previous_checkpoint_sha256;
  if (!previous) {
    if (next.seq !== 1n) faults.push("the checkpoints before it are missing");
    if (next.seq === 1n && next.start !== 1n) faults.push("the first checkpoint does not start at entry 1");
    if (next.seq === 1n && digest !== undefined) faults.push("the first checkpoint names a predecessor");
    return faults;
  }
  if (next.seq !== previous.seq + 1n) faults.push(`it follows checkpoint ${previous.seq}: some are missing`);
  if (next.start !== previous.end + 1n) {
    faults.push(`it starts at entry ${next.start}, its predecessor ends at ${previous.end}`);
  }
  if (digest !== undefined && digest !== previous.sha256) {
    faults.push("the predecessor it names is another one");
  }
  if (digest === undefined && next.body.schema === V2) faults.push("it names no predecessor");
  if (previous.body.chain_root !== undefined && next.body.chain_root === undefined) {
    faults.push("it has no chain_root, its predecessor had one");
  }
  return faults;
}

/** Follows the root over all checkpoints that v2 statements carry: each call takes the next one and says what is wrong. */
export function chainFollower(): (next: CheckedCheckpoint) => readonly string[] {
  const tree = frontier();
  return ({ seq, start, end, root, body }) => {
    const range = {
      batch_end_seq: end,
      batch_start_seq: start,
      checkpoint_seq: seq,
      merkle_root: `0x${root}`,
    };
    tree.add(leafHash(canonical(range)));
    const { chain_root } = body;
    if (chain_root === undefined) return body.schema === V2 && seq === 1n ? ["it has no chain_root"] : [];
    return chain_root === `0x${tree.root()}`
      ? []
      : ["its chain_root is not that of the checkpoints before it"];
  };
}
