/**
 * Opening a receipt store to look at it, never to change it: Chio itself writes when it opens one.
 *
 * @module
 */
import { statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { number, openSource, openStill, said } from "../../collect/sqlite/open.ts";
import { SnapshotError } from "../../collect/sqlite/job.ts";
import { IntegrityError, NotFoundError } from "../../errors.ts";

/** `application_id` of later versions: "CHIO". */
const CHIO = 0x4348494f;

/** The newest schema version that is known here. */
const NEWEST = 4n;

/** A row; integers are bigint. */
export type Row = Readonly<Record<string, bigint | string | number | null | Uint8Array>>;

/** A store that is open to read. */
export interface OpenStore {
  /** Its path. */
  readonly path: string;
  /** Whether a later version wrote it: the rules are stricter. */
  readonly current: boolean;
  /** The rows of a query, one after the other. */
  readonly rows: (sql: string, ...values: readonly (bigint | string)[]) => IterableIterator<Row>;
  /** Whether there is such a table. */
  readonly has: (table: string) => boolean;
  /** Ends it. */
  readonly close: () => void;
}

/**
 * Opens a store inside one read transaction. Throws {@linkcode NotFoundError}; {@linkcode IntegrityError} for what is not a receipt
 * store, or is one of a version that is not known here: nothing is passed over in silence.
 */
export function openStore(path: string): OpenStore {
  return open(path, storeOver);
}

/** Opens an archive that retention made: the first generation keeps no log in it. */
export function openArchive(path: string): OpenStore {
  return open(path, archiveOver);
}

function open(path: string, over: (db: DatabaseSync, path: string) => OpenStore): OpenStore {
  const exists = (end: string): boolean => statSync(path + end, { throwIfNoEntry: false }) !== undefined;
  if (!exists("")) throw new NotFoundError(`Cannot verify "${path}": it does not exist. Check the path`);
  try {
    const db = exists("-wal") ? openSource(path, 5000) : openStill(path);
    try {
      db.exec("BEGIN");
      return over(db, path);
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    throw spoken(path, error);
  }
}

/** A store over a connection that somebody else has opened, and begun a transaction on. Throws like {@linkcode openStore}. */
export function storeOver(db: DatabaseSync, path: string): OpenStore {
  const store = wrap(db, path);
  refuseStrangers(store, LOG);
  return store;
}

/** An archive over a connection. */
export function archiveOver(db: DatabaseSync, path: string): OpenStore {
  const store = wrap(db, path);
  refuseStrangers(store);
  return store;
}

/** The table of the log. */
export const LOG = "claim_receipt_log_entries";

/** An error of SQLite's in words, as the class that says whether the data are to blame; any other as it is. */
export function spoken(path: string, error: unknown): unknown {
  const raw = (error as { code?: unknown }).code === "ERR_SQLITE_ERROR";
  if (!raw && !(error instanceof SnapshotError)) return error;
  const { integrity, message } = said(path, error);
  return integrity ? new IntegrityError(message, { cause: error }) : new Error(message, { cause: error });
}

function wrap(db: DatabaseSync, path: string): OpenStore {
  const rows = (sql: string, ...values: readonly (bigint | string)[]): IterableIterator<Row> => {
    const statement = db.prepare(sql);
    statement.setReadBigInts(true);
    return statement.iterate(...values) as IterableIterator<Row>;
  };
  const has = (table: string): boolean =>
    db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(table) !== undefined;
  const id = number(db, "application_id");
  if (id !== 0 && id !== CHIO) throw stranger(path, `its application_id is ${id}`);
  return { path, current: id === CHIO, rows, has, close: () => db.close() };
}

function refuseStrangers({ path, has, rows }: OpenStore, ...tables: readonly string[]): void {
  if (has("http_receipts")) {
    throw stranger(path, "it is the store of `chio api protect`, without checkpoints");
  }
  if (!["chio_tool_receipts", ...tables].every(has)) {
    throw stranger(path, "it has no receipt tables");
  }
  if (!has("chio_store_schema_versions")) return;
  for (const { store_key, version } of rows("SELECT store_key, version FROM chio_store_schema_versions")) {
    if (store_key === "receipt" && (version as bigint) > NEWEST) {
      throw stranger(path, `its schema version ${version} is newer than ${NEWEST}, the newest known here`);
    }
  }
}

function stranger(path: string, why: string): IntegrityError {
  return new IntegrityError(
    `Cannot verify "${path}" as a receipt store: ${why}. Give the file of --receipt-db`,
  );
}
