/**
 * The union of two revocation databases.
 *
 * @module
 */
import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { IntegrityError, NotFoundError } from "../../errors.ts";
import { openSource, openStill } from "../../collect/sqlite/open.ts";
import { hasTable } from "./look/authority.ts";
import { spoken } from "./open.ts";

/** What a merge did. */
export interface Merged {
  /** Capabilities that were not revoked in the restored copy. */
  readonly added: number;
  /** Capabilities whose revocation got a later time. */
  readonly raised: number;
}

/** Adds to `path` what `newer` has revoked; of two times the later one stands, as in Chio. `newer` is only read, and may be in use. */
export async function mergeRevocations(path: string, newer: string): Promise<Merged> {
  const source = await Promise.resolve(openRevocations(newer));
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path);
    refuseSequenced(db, path);
    return merge(db, source);
  } catch (error) {
    throw spoken(path, error);
  } finally {
    db?.close();
    source.close();
  }
}

/** How many capabilities a database revokes. */
export function countRevoked(path: string): number {
  const db = openRevocations(path);
  try {
    return Number(db.prepare("SELECT count(*) AS n FROM revoked_capabilities").get()!.n);
  } finally {
    db.close();
  }
}

function openRevocations(path: string): DatabaseSync {
  const exists = (end: string): boolean => statSync(path + end, { throwIfNoEntry: false }) !== undefined;
  if (!exists("")) {
    throw new NotFoundError(`Cannot read revocations from "${path}": it does not exist. Check the path`);
  }
  try {
    const db = exists("-wal") ? openSource(path, 5000) : openStill(path);
    if (hasTable(db, "revoked_capabilities")) return db;
    db.close();
  } catch (error) {
    throw spoken(path, error);
  }
  throw new IntegrityError(`Cannot read revocations from "${path}": it has no table revoked_capabilities`);
}

/** Where revocations share a signed sequence with the authority, rows from outside would break it. */
function refuseSequenced(db: DatabaseSync, path: string): void {
  if (!hasTable(db, "admission_authority_commits")) return;
  throw new IntegrityError(
    `Cannot merge into "${path}": its revocations are numbered together with the authority's decisions, and Chio would refuse rows from ` +
      "outside. Restore it without merging, and revoke the newer ones through Chio",
  );
}

function merge(db: DatabaseSync, source: DatabaseSync): Merged {
  const indexed = db.prepare(
    "SELECT 1 FROM pragma_table_info('revoked_capabilities') WHERE name = 'revocation_index'",
  ).get();
  const known = db.prepare("SELECT revoked_at AS at FROM revoked_capabilities WHERE capability_id = ?");
  // Later versions number rows when they open a database that has some without a number.
  const put = db.prepare(
    `INSERT INTO revoked_capabilities (capability_id, revoked_at) VALUES (?, ?) ON CONFLICT (capability_id) DO UPDATE SET
     revoked_at = excluded.revoked_at${indexed ? ", revocation_index = NULL" : ""}`,
  );
  let added = 0;
  let raised = 0;
  db.exec("BEGIN IMMEDIATE");
  const rows = source.prepare(
    "SELECT capability_id AS id, revoked_at AS at FROM revoked_capabilities ORDER BY rowid",
  ).iterate();
  for (const { id, at } of rows) {
    const there = known.get(id!);
    if (there && Number(there.at) >= Number(at)) continue;
    if (there) raised++;
    else added++;
    put.run(id!, at!);
  }
  db.exec("COMMIT");
  db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  return { added, raised };
}
