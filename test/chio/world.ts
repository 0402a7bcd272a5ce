/** A whole Chio: its surfaces as files, and plans over them. */
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import * as archive from "../../src/archive/mod.ts";
import * as compress from "../../src/compress/mod.ts";
import * as encrypt from "../../src/encrypt/mod.ts";
import type { Plan } from "../../src/find.ts";
import { pipeline } from "../../src/pipeline.ts";
import * as chio from "../../src/recipes/chio.ts";
import { keyOfSeed } from "../../src/recipes/chio/ed25519.ts";
import type { Files, Stage } from "../../src/stage.ts";
import * as sign from "../../src/sign/mod.ts";
import { directory } from "../../src/store/mod.ts";
import { upload } from "../../src/upload/mod.ts";
import { type Kernel, type Made, makeStore } from "./support.ts";

/** Where things lie, and the plans over them. */
export interface World {
  readonly paths: Readonly<
    Record<
      "receipts" | "authority" | "seed" | "revocations" | "policy" | "peers" | "budgets" | "store",
      string
    >
  >;
  readonly plans: Readonly<Record<chio.Surface, Plan>>;
  readonly identity: string;
}

/** Seeds: 64 hexadecimal digits. */
export function newSeed(): string {
  const { privateKey } = generateKeyPairSync("ed25519");
  return (privateKey.export({ type: "pkcs8", format: "der" }) as Uint8Array).subarray(16).toHex();
}

/** Makes all surfaces in a folder, and plans that store them beside it. */
export async function makeWorld(
  folder: string,
  by: Kernel,
  made: Partial<Made> = {},
  options: chio.ChioReceiptsOptions = {},
): Promise<World> {
  const live = `${folder}/live`;
  mkdirSync(live, { recursive: true });
  const paths = {
    receipts: `${live}/receipts.sqlite3`,
    authority: `${live}/authority.sqlite3`,
    seed: `${live}/edge.seed`,
    revocations: `${live}/revocations.sqlite3`,
    policy: `${live}/policy.yaml`,
    peers: `${live}/peers.json`,
    budgets: `${live}/budgets.sqlite3`,
    store: `${folder}/store`,
  };
  writeStore(paths.receipts, by, made);
  const identity = writeAuthority(paths.authority, [newSeed()]);
  writeFileSync(paths.seed, `${newSeed()}\n`);
  chmodSync(paths.seed, 0o600);
  writeRevocations(paths.revocations, [["cap-1", 100], ["cap-2", 200]]);
  writeFileSync(paths.policy, "kernel:\n  checkpoint_batch_size: 10\n");
  const peer = (n: number): unknown => ({
    kernelId: `peer-${n}`,
    publicKey: `${n}`.repeat(64),
    establishedAt: 1,
  });
  writeFileSync(paths.peers, JSON.stringify({ peers: [peer(1), peer(2)] }));
  const db = new DatabaseSync(paths.budgets);
  db.exec("CREATE TABLE capability_grant_budgets(id TEXT PRIMARY KEY)");
  db.close();
  const key = await encrypt.generateIdentity();
  const plan = (name: string, source: Stage<void, Files>): Plan =>
    pipeline(source).pipe(archive.tar()).pipe(compress.zstd())
      .pipe(encrypt.age({ recipients: [key.recipient], identities: () => [key.identity] }))
      .pipe(sign.sha256()).pipe(upload({ name, to: directory(paths.store) }));
  return {
    paths,
    identity,
    plans: {
      receipts: plan("receipts", chio.receipts(paths.receipts, options)),
      policies: plan("policies", chio.policies(paths.policy, { trustedIssuers: ["ab".repeat(32)] })),
      federation: plan("federation", chio.federation(paths.peers)),
      authority: plan(
        "authority",
        chio.authority({
          database: paths.authority,
          seeds: [paths.seed],
          keys: [{ id: "arn:aws:kms:eu-central-1:1:key/5", publicKey: "cd".repeat(32) }],
        }),
      ),
      state: plan("state", chio.state(paths.budgets)),
      revocations: plan("revocations", chio.revocations(paths.revocations)),
    },
  };
}

/** A receipt store; one with more receipts of the same kernel goes on where the shorter one ends. */
export function writeStore(path: string, by: Kernel, made: Partial<Made> = {}): void {
  for (const end of ["", "-wal", "-shm"]) rmSync(path + end, { force: true });
  makeStore(path, { generation: "later", receipts: 57, batch: 10, by, childEvery: 4, ...made });
  const db = new DatabaseSync(path);
  db.exec("PRAGMA journal_mode = WAL");
  db.close();
}

/** An authority after rotations: the last seed counts, all keys are trusted. Gives its public key. */
export function writeAuthority(path: string, seeds: readonly string[]): string {
  rmSync(path, { force: true });
  const db = new DatabaseSync(path);
  db.exec(
    `CREATE TABLE authority_state(singleton_id INTEGER PRIMARY KEY CHECK (singleton_id = 1), seed_hex TEXT NOT NULL,
      public_key_hex TEXT, generation INTEGER NOT NULL, rotated_at INTEGER NOT NULL);
    CREATE TABLE authority_trusted_keys(public_key_hex TEXT PRIMARY KEY, generation INTEGER NOT NULL, activated_at INTEGER NOT NULL);
    CREATE TABLE authority_cluster_fence(singleton_id INTEGER PRIMARY KEY, leader_url TEXT, election_term INTEGER NOT NULL);
    INSERT INTO authority_cluster_fence VALUES (1, NULL, 7);`,
  );
  const keys = seeds.map((seed) => keyOfSeed(seed)!.hex);
  db.prepare("INSERT INTO authority_state VALUES (1, ?, ?, ?, 5)").run(
    seeds.at(-1)!,
    keys.at(-1)!,
    seeds.length,
  );
  for (const [i, key] of keys.entries()) {
    db.prepare("INSERT INTO authority_trusted_keys VALUES (?, ?, 1)").run(key, i + 1);
  }
  db.close();
  return keys.at(-1)!;
}

/** Revocations, of a later version with numbers or of the first without. */
export function writeRevocations(
  path: string,
  rows: readonly (readonly [id: string, at: number])[],
  indexed = true,
): void {
  for (const end of ["", "-wal", "-shm"]) rmSync(path + end, { force: true });
  const db = new DatabaseSync(path);
  db.exec(
    `CREATE TABLE revoked_capabilities(capability_id TEXT PRIMARY KEY, revoked_at INTEGER NOT NULL${
      indexed ? ", revocation_index INTEGER UNIQUE" : ""
    })`,
  );
  for (const [i, [id, at]] of rows.entries()) {
    if (indexed) db.prepare("INSERT INTO revoked_capabilities VALUES (?, ?, ?)").run(id, at, i + 1);
    else db.prepare("INSERT INTO revoked_capabilities VALUES (?, ?)").run(id, at);
  }
  db.close();
}

/** All revocations of a file. */
export function readRevocations(path: string): Readonly<Record<string, number>> {
  const db = new DatabaseSync(path, { readOnly: true });
  const rows = db.prepare(
    "SELECT capability_id AS id, revoked_at AS at FROM revoked_capabilities ORDER BY id",
  ).all();
  db.close();
  return Object.fromEntries(rows.map(({ id, at }) => [String(id), Number(at)]));
}

/**
 * Retention of the later generation: the first entries move to an archive, the ledger says so. Several of one kernel's batches at once.
 */
export function archiveEntries(path: string, archive: string, through: number): void {
  const db = new DatabaseSync(path);
  const guards = db.prepare("SELECT name, sql FROM sqlite_schema WHERE name LIKE '%_reject_%'").all();
  db.exec(`ATTACH '${archive}' AS old`);
  for (const { name } of guards) db.exec(`DROP TRIGGER ${name}`);
  for (const kind of ["tool", "child"]) {
    const table = `chio_${kind}_receipts`;
    const ids =
      `receipt_id IN (SELECT receipt_id FROM main.claim_receipt_log_entries WHERE entry_seq <= ${through})`;
    db.exec(
      `CREATE TABLE old.${table} AS SELECT * FROM main.${table} WHERE ${ids}; DELETE FROM main.${table} WHERE ${ids};`,
    );
  }
  const log = "claim_receipt_log_entries";
  db.exec(`CREATE TABLE old.${log} AS SELECT * FROM main.${log} WHERE entry_seq <= ${through};
    DELETE FROM main.${log} WHERE entry_seq <= ${through};
    CREATE TABLE receipt_retention_watermark(archived_through_entry_seq INTEGER NOT NULL, archived_through_timestamp INTEGER NOT NULL,
      archive_path TEXT NOT NULL, archive_sha256 TEXT, rotated_at INTEGER NOT NULL);
    INSERT INTO receipt_retention_watermark VALUES (${through}, 1, '${archive}', NULL, 1); DETACH old;`);
  for (const { sql } of guards) db.exec(String(sql));
  db.close();
}
