/**
 * The drill of a receipt store: does its chain go on from where the backup ends?
 *
 * @module
 */
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { sha256, utf8 } from "../../bytes.ts";
import { IntegrityError, messageOf } from "../../errors.ts";
import type { Context } from "../../stage.ts";
import { checkpointAt, type Head } from "./heads.ts";
import { type SigningKey, signingKey } from "./ed25519.ts";
import { canonical, type Json, type JsonObject, parseObject, without } from "./json.ts";
import { frontier, leafHash, rootOf } from "./merkle.ts";
import { LOG, type OpenStore, openStore, type Row, storeOver } from "./open.ts";
import { checkReceipt } from "./receipt.ts";
import { unsound } from "./look/receipts.ts";
import { recordedArchives } from "./entries.ts";
import { type ChioReport, verifyChioStore } from "./verify.ts";

/**
 * Appends one receipt and the checkpoint after it to a scratch copy, signed by a key made for it, through the triggers the store came
 * with; then verifies all of it anew. Gives facts for the drill's receipt. Throws {@linkcode IntegrityError} when the chain does not go on.
 */
export async function appendOne(
  path: string,
  { now, signal }: Context,
): Promise<Readonly<Record<string, unknown>>> {
  const archives = archivesBeside(path);
  const before = await verifyChioStore(path, { archives, signal });
  if (before.faults > 0) throw unsound(path, before, "The drill has failed");
  const key = signingKey(generateKeyPairSync("ed25519").privateKey);
  const { entry, checkpoint } = append(path, key, now);
  const after = await verifyChioStore(path, { archives, previous: before.watermarks, signal });
  const expected = `another key than its own signed some of its entries`;
  const faults = after.findings.filter(({ seq, fault }) =>
    !(seq === checkpoint && fault === expected && before.tail > 0)
  );
  if (
    faults.length > 0 || after.receipts !== before.receipts + 1 ||
    after.warnings.length > before.warnings.length || after.tail !== 0
  ) {
    throw unsound(path, { ...after, findings: faults, faults: faults.length }, "The drill has failed");
  }
  return {
    ...factsOf(before),
    appended: { entry: `${entry}`, checkpoint: `${checkpoint}` },
    extends: headText(before),
  };
}

function factsOf({ receipts, checkpoints, tail }: ChioReport): Readonly<Record<string, unknown>> {
  return { receipts, checkpoints, tail };
}

function headText({ watermarks: { head } }: ChioReport): string {
  return head ? `${head.seq} ${head.sha256}` : "nothing: the first checkpoint";
}

/** Archives that lie beside a store which was restored into a folder: those the ledger names, by their base names. */
function archivesBeside(path: string): readonly string[] {
  const store = openStore(path);
  try {
    const folder = path.slice(0, path.lastIndexOf("/") + 1);
    return recordedArchives(store).map((archive) => folder + archive.slice(archive.lastIndexOf("/") + 1));
  } finally {
    store.close();
  }
}

function append(
  path: string,
  key: SigningKey,
  now: Date,
): { readonly entry: bigint; readonly checkpoint: bigint } {
  const db = new DatabaseSync(path);
  try {
    const store = storeOver(db, path);
    db.exec("BEGIN IMMEDIATE");
    insertReceipt(db, store, key, BigInt(Math.floor(now.getTime() / 1000)));
    const [last] = store.rows(`SELECT MAX(entry_seq) AS seq FROM ${LOG}`);
    const head = checkpointAt(store);
    const checkpoint = insertCheckpoint(db, store, key, head, last?.seq as bigint, now);
    db.exec("COMMIT");
    return { entry: last?.seq as bigint, checkpoint };
  } catch (cause) {
    throw new IntegrityError(
      `The drill has failed: nothing can be appended to the restored store (${
        messageOf(cause)
      }). Restore it beside Chio and look into it`,
      { cause },
    );
  } finally {
    db.close();
  }
}

/** A receipt like the newest one: whatever columns this version has, they are filled. */
function insertReceipt(db: DatabaseSync, store: OpenStore, key: SigningKey, at: bigint): void {
  const [newest] = store.rows("SELECT * FROM chio_tool_receipts ORDER BY seq DESC LIMIT 1");
  const receipt = signedReceipt(newest, key, at);
  const row: Row = {
    ...newest ?? PLAIN_ROW,
    receipt_id: receipt.id as string,
    timestamp: at,
    raw_json: canonical(receipt),
  };
  const columns = Object.keys(row).filter((name) => name !== "seq");
  db.prepare(
    `INSERT INTO chio_tool_receipts (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
  ).run(...columns.map((name) => row[name]!));
}

const PLAIN_ROW: Row = {
  capability_id: "holdfast-drill",
  tool_server: "holdfast",
  tool_name: "drill",
  decision_kind: "allow",
  policy_hash: "drill",
  content_hash: "drill",
};

function signedReceipt(newest: Row | undefined, key: SigningKey, timestamp: bigint): JsonObject {
  const like: JsonObject = newest ? parseObject(String(newest.raw_json)) : {
    ...without(PLAIN_ROW as JsonObject, "decision_kind"),
    action: { parameters: {}, parameter_hash: sha256(utf8("{}")) },
    decision: { verdict: "allow" },
  };
  const body = {
    ...without(like, "id", "signature", "algorithm", "bbs_signature", "bbs_projection_version"),
    timestamp,
    kernel_key: key.hex,
  };
  // The text that this version signs: the first generation, and some of the later one, escape more than RFC 8785.
  const older = newest !== undefined && checkReceipt(String(newest.raw_json)).leaf !== canonical(like);
  const later = like.receipt_kind !== undefined;
  const id = later ? sha256(utf8(canonical(body, older))) : `holdfast-drill-${randomUUID()}`;
  const signed: Json = later ? { body, id } : { ...body, id };
  return { id, ...body, signature: key.sign(canonical(signed, older)) };
}

function insertCheckpoint(
  db: DatabaseSync,
  store: OpenStore,
  key: SigningKey,
  head: Head | undefined,
  end: bigint,
  now: Date,
): bigint {
  const start = (head?.end ?? 0n) + 1n;
  const seq = (head?.seq ?? 0n) + 1n;
  const log = store.rows(`SELECT raw_json FROM ${LOG} WHERE entry_seq >= ? ORDER BY entry_seq`, start);
  const root = rootOf([...log].map(({ raw_json }) => leafHash(checkReceipt(String(raw_json)).leaf!)));
  const range: JsonObject = {
    batch_end_seq: end,
    batch_start_seq: start,
    checkpoint_seq: seq,
    merkle_root: `0x${root}`,
  };
  const chained = head ? head.body.chain_root !== undefined : store.current;
  const body: JsonObject = {
    ...range,
    schema: `chio.checkpoint_statement.${chained ? "v2" : "v1"}`,
    tree_size: end - start + 1n,
    issued_at: BigInt(Math.floor(now.getTime() / 1000)),
    kernel_key: key.hex,
    ...(head && { previous_checkpoint_sha256: head.sha256 }),
    ...(chained && { chain_root: `0x${chainRoot(store, range)}` }),
  };
  const text = canonical(body);
  db.prepare(
    "INSERT INTO kernel_checkpoints (checkpoint_seq, batch_start_seq, batch_end_seq, tree_size, merkle_root, issued_at, " +
      "statement_json, signature, kernel_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
  ).run(
    seq,
    start,
    end,
    body.tree_size as bigint,
    root,
    body.issued_at as bigint,
    text,
    key.sign(text),
    key.hex,
  );
  return seq;
}

function chainRoot({ rows }: OpenStore, next: JsonObject): string {
  const tree = frontier();
  const before = rows(
    "SELECT batch_end_seq, batch_start_seq, checkpoint_seq, '0x' || merkle_root AS merkle_root FROM kernel_checkpoints ORDER BY checkpoint_seq",
  );
  for (const range of before) tree.add(leafHash(canonical(range as JsonObject)));
  tree.add(leafHash(canonical(next)));
  return tree.root();
}
