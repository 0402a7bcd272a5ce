/** Receipt stores of our own, by the rules of both generations of the program. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { sha256, utf8 } from "../../src/bytes.ts";
import { canonical, type Json, type JsonObject } from "../../src/recipes/chio/json.ts";
import { frontier, leafHash, rootOf } from "../../src/recipes/chio/merkle.ts";

/** A kernel's key. */
export interface Kernel {
  readonly hex: string;
  readonly sign: (text: string) => string;
}

/** A fresh key. */
export function kernel(): Kernel {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const hex = (publicKey.export({ type: "spki", format: "der" }) as Uint8Array).subarray(12);
  return { hex: hexOf(hex), sign: (text) => hexOf(sign(null, utf8(text), privateKey as KeyObject)) };
}

function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What a store is made of. */
export interface Made {
  readonly generation: "first" | "later";
  readonly receipts: number;
  readonly batch: number;
  readonly by: Kernel;
  /** Every nth receipt is a child's; 0: none. */
  readonly childEvery?: number;
  /** Signed with the escapes of the first generation, of a text that has some. */
  readonly older?: boolean;
}

/** Parameters that a careless reader of JSON changes. */
const PARAMETERS: JsonObject = {
  max: 2n ** 63n - 1n,
  unsigned: 2n ** 64n - 1n,
  odd: 9007199254740993n,
  small: 1.5e-7,
  text: "a\u2028b\u001f\u00e9\u{1f600}",
};

/** Makes a store at `path`; gives the text of each receipt. */
export function makeStore(path: string, made: Made): void {
  const db = new DatabaseSync(path);
  db.exec(SCHEMA);
  if (made.generation === "later") {
    db.exec(`PRAGMA application_id = ${0x4348494f};
      CREATE TABLE chio_store_schema_versions(store_key TEXT PRIMARY KEY, version INTEGER NOT NULL);
      INSERT INTO chio_store_schema_versions VALUES ('receipt', 3);`);
  }
  db.exec("BEGIN");
  const leaves: Uint8Array[] = [];
  for (let i = 1; i <= made.receipts; i++) leaves.push(leafHash(insert(db, i, made)));
  checkpoints(db, leaves, made);
  db.exec("COMMIT");
  db.exec(GUARDS);
  db.close();
}

function insert(db: DatabaseSync, i: number, made: Made): string {
  const child = made.childEvery !== undefined && made.childEvery > 0 && i % made.childEvery === 0;
  const receipt = child ? childReceipt(i, made.by) : toolReceipt(i, made);
  // As the program stores it: not canonical.
  const raw = `{${
    Object.entries(receipt).map(([k, v]) => `${JSON.stringify(k)}: ${canonical(v)}`).join(", ")
  }}`;
  const id = receipt.id as string;
  const at = 1_700_000_000 + i;
  if (child) {
    db.prepare(
      "INSERT INTO chio_child_receipts VALUES (NULL, ?, ?, 's', 'p', ?, 'create_message', 'completed', 'ph', 'oh', ?)",
    )
      .run(id, at, `r${i}`, raw);
  } else {
    db.prepare(
      "INSERT INTO chio_tool_receipts VALUES (NULL, ?, ?, 'cap', NULL, NULL, NULL, 'shell', 'bash', 'allow', 'ph', 'ch', ?, NULL)",
    ).run(id, at, raw);
  }
  return canonical(receipt, made.older);
}

function toolReceipt(i: number, { by, generation, older = false }: Made): JsonObject {
  const parameters = older ? { ...PARAMETERS, old: "\u007f" } : PARAMETERS;
  const text = (value: Json): string => canonical(value, older);
  const later = generation === "later";
  const body: JsonObject = {
    timestamp: BigInt(1_700_000_000 + i),
    capability_id: "cap",
    tool_server: "shell",
    tool_name: "bash",
    action: { parameters, parameter_hash: sha256(utf8(text(parameters))) },
    decision: { verdict: "allow" },
    content_hash: "ch",
    policy_hash: "ph",
    ...(later && { receipt_kind: "mediated_decision", metadata: { chio_receipt_signing_nonce: `n${i}` } }),
    kernel_key: by.hex,
  };
  const id = later ? sha256(utf8(text(body))) : `rcpt-${i}`;
  const signed: Json = later ? { body, id } : { ...body, id };
  return { id, ...body, signature: by.sign(text(signed)) };
}

function childReceipt(i: number, by: Kernel): JsonObject {
  const body: JsonObject = {
    id: `child-${i}`,
    timestamp: BigInt(1_700_000_000 + i),
    session_id: "s",
    parent_request_id: "p",
    request_id: `r${i}`,
    operation_kind: "create_message",
    terminal_state: { state: "completed" },
    outcome_hash: "oh",
    policy_hash: "ph",
    kernel_key: by.hex,
  };
  return { ...body, signature: by.sign(canonical(body)) };
}

function checkpoints(db: DatabaseSync, leaves: readonly Uint8Array[], { batch, by, generation }: Made): void {
  const chain = frontier();
  let previous: string | undefined;
  for (let seq = 1; seq * batch <= leaves.length; seq++) {
    const range = { batch_end_seq: BigInt(seq * batch), batch_start_seq: BigInt((seq - 1) * batch + 1) };
    const root = rootOf(leaves.slice((seq - 1) * batch, seq * batch));
    chain.add(leafHash(canonical({ ...range, checkpoint_seq: BigInt(seq), merkle_root: `0x${root}` })));
    const body: JsonObject = {
      schema: generation === "later" ? "chio.checkpoint_statement.v2" : "chio.checkpoint_statement.v1",
      checkpoint_seq: BigInt(seq),
      ...range,
      tree_size: BigInt(batch),
      merkle_root: `0x${root}`,
      issued_at: BigInt(1_710_000_000 + seq),
      kernel_key: by.hex,
      ...(previous !== undefined && { previous_checkpoint_sha256: previous }),
      ...(generation === "later" && { chain_root: `0x${chain.root()}` }),
    };
    writeCheckpoint(db, body, by);
    previous = sha256(utf8(canonical(body)));
  }
}

/** Signs a body and inserts it, or puts it in the place of the one with its number. */
export function writeCheckpoint(db: DatabaseSync, body: JsonObject, by: Kernel): void {
  const text = canonical(body);
  db.prepare(
    "INSERT OR REPLACE INTO kernel_checkpoints VALUES ((SELECT id FROM kernel_checkpoints WHERE checkpoint_seq = ?1), ?1, ?, ?, ?, ?, ?, ?, ?, ?)",
  ).run(
    body.checkpoint_seq as bigint,
    body.batch_start_seq as bigint,
    body.batch_end_seq as bigint,
    body.tree_size as bigint,
    (body.merkle_root as string).slice(2),
    body.issued_at as bigint,
    text,
    by.sign(text),
    by.hex,
  );
}

const LOG =
  "receipt_id, receipt_kind, source_seq, timestamp, capability_id, session_id, parent_request_id, request_id, tool_server, tool_name, raw_json";
const SCHEMA = `
  CREATE TABLE chio_tool_receipts(seq INTEGER PRIMARY KEY AUTOINCREMENT, receipt_id TEXT NOT NULL UNIQUE, timestamp INTEGER NOT NULL,
    capability_id TEXT NOT NULL, subject_key TEXT, issuer_key TEXT, grant_index INTEGER, tool_server TEXT NOT NULL, tool_name TEXT NOT NULL,
    decision_kind TEXT NOT NULL, policy_hash TEXT NOT NULL, content_hash TEXT NOT NULL, raw_json TEXT NOT NULL, tenant_id TEXT);
  CREATE TABLE chio_child_receipts(seq INTEGER PRIMARY KEY AUTOINCREMENT, receipt_id TEXT NOT NULL UNIQUE, timestamp INTEGER NOT NULL,
    session_id TEXT NOT NULL, parent_request_id TEXT NOT NULL, request_id TEXT NOT NULL, operation_kind TEXT NOT NULL,
    terminal_state TEXT NOT NULL, policy_hash TEXT NOT NULL, outcome_hash TEXT NOT NULL, raw_json TEXT NOT NULL);
  CREATE TABLE claim_receipt_log_entries(entry_seq INTEGER PRIMARY KEY AUTOINCREMENT, receipt_id TEXT NOT NULL UNIQUE,
    receipt_kind TEXT NOT NULL, source_seq INTEGER NOT NULL, timestamp INTEGER NOT NULL, capability_id TEXT, session_id TEXT,
    parent_request_id TEXT, request_id TEXT, subject_key TEXT, issuer_key TEXT, tool_server TEXT, tool_name TEXT, raw_json TEXT NOT NULL);
  CREATE TABLE kernel_checkpoints(id INTEGER PRIMARY KEY AUTOINCREMENT, checkpoint_seq INTEGER NOT NULL UNIQUE, batch_start_seq INTEGER NOT NULL,
    batch_end_seq INTEGER NOT NULL, tree_size INTEGER NOT NULL, merkle_root TEXT NOT NULL, issued_at INTEGER NOT NULL,
    statement_json TEXT NOT NULL, signature TEXT NOT NULL, kernel_key TEXT NOT NULL);
  CREATE TRIGGER tool_log AFTER INSERT ON chio_tool_receipts BEGIN INSERT INTO claim_receipt_log_entries(${LOG}) VALUES
    (NEW.receipt_id, 'tool_receipt', NEW.seq, NEW.timestamp, NEW.capability_id, NULL, NULL, NULL, NEW.tool_server, NEW.tool_name, NEW.raw_json); END;
  CREATE TRIGGER child_log AFTER INSERT ON chio_child_receipts BEGIN INSERT INTO claim_receipt_log_entries(${LOG}) VALUES
    (NEW.receipt_id, 'child_receipt', NEW.seq, NEW.timestamp, NULL, NEW.session_id, NEW.parent_request_id, NEW.request_id, NULL, NULL, NEW.raw_json); END;`;
const GUARDS = [
  "chio_tool_receipts",
  "chio_child_receipts",
  "claim_receipt_log_entries",
  "kernel_checkpoints",
]
  .flatMap((table) =>
    ["update", "delete"].map((verb) =>
      `CREATE TRIGGER ${table}_reject_${verb} BEFORE ${verb} ON ${table} BEGIN SELECT RAISE(ABORT, 'immutable'); END;`
    )
  ).join("\n");

/** Opens a store as someone who removes the guards first and puts them back after. */
export function tamper(path: string, change: (db: DatabaseSync) => void): void {
  const db = new DatabaseSync(path);
  const names = db.prepare("SELECT name FROM sqlite_schema WHERE name LIKE '%_reject_%'").all() as {
    name: string;
  }[];
  for (const { name } of names) db.exec(`DROP TRIGGER ${name}`);
  change(db);
  db.exec(GUARDS);
  db.close();
}
