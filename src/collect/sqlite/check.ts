/**
 * SQLite's own checks.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { type Check, SnapshotError } from "./job.ts";
import { openStill, said } from "./open.ts";

/** Runs `integrity_check` or `quick_check`. Throws {@linkcode SnapshotError} with the first findings. */
export function checkPages(db: DatabaseSync, path: string, check: Check): void {
  if (check === "off") return;
  const pragma = check === "full" ? "integrity_check" : "quick_check";
  let found: readonly string[];
  try {
    found = db.prepare(`PRAGMA ${pragma}(5)`).all().map((row) => String(Object.values(row)[0]));
  } catch (error) {
    throw said(path, error);
  }
  if (found.length === 1 && found[0] === "ok") return;
  throw new SnapshotError(
    `The database "${path}" is damaged: ${pragma} says ${
      found.join("; ")
    }. Restore an older backup, or save what can be ` +
      "read with `sqlite3 FILE .recover`",
    true,
  );
}

/** The number of rows that break a foreign key. */
export function checkKeys(db: DatabaseSync, path: string): number {
  try {
    return Number(
      Object.values(db.prepare("SELECT count(*) FROM pragma_foreign_key_check").get() ?? { count: 0 })[0],
    );
  } catch (error) {
    // A key that refers to a table or column that is not there is an error of the schema, and SQLite says so here.
    if (error instanceof Error && /foreign key mismatch/.test(error.message)) return 1;
    throw said(path, error);
  }
}

/** Checks a database file that nobody has open. */
export function checkFile(path: string, check: Check): void {
  const db = openStill(path);
  try {
    checkPages(db, path, check);
  } finally {
    db.close();
  }
}

/**
 * Folds the log of a database that nobody has open into its file, so that no stale log lies beside whatever takes its place. Throws when
 * somebody has it open after all: the last connection to close removes the log, and only the last one can.
 */
export function settle(path: string, timeoutMs: number): void {
  try {
    const db = new DatabaseSync(path, { timeout: timeoutMs });
    try {
      db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } finally {
      db.close();
    }
  } catch (error) {
    throw said(path, error);
  }
}
