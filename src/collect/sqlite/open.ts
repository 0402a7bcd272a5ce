/**
 * Opening databases to read, and saying why it does not work.
 *
 * @module
 */
import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { SnapshotError } from "./job.ts";

/** Opens a live database to read. It is never opened by other means: closing such a file would drop SQLite's locks. */
export function openSource(path: string, timeoutMs: number): DatabaseSync {
  refuseLostLog(path);
  try {
    const db = new DatabaseSync(path, { readOnly: true, timeout: timeoutMs, allowExtension: false });
    try {
      // Said again in SQLite's own words, for the option alone is not heeded.
      db.exec(`PRAGMA busy_timeout = ${timeoutMs}`);
      db.prepare("SELECT count(*) FROM sqlite_schema").get();
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    throw said(path, error);
  }
}

/** Opens a database that nobody writes to; no -wal and -shm files are left beside it. */
export function openStill(path: string): DatabaseSync {
  try {
    return new DatabaseSync(`${pathToFileURL(path).href}?immutable=1`, { readOnly: true });
  } catch (error) {
    // Deno takes a URI for a path unless every permission is granted. A connection that may write takes its files away again.
    if (!exists(path) || !mayWrite(path)) throw said(path, error);
  }
  try {
    return new DatabaseSync(path);
  } catch (error) {
    throw said(path, error);
  }
}

function mayWrite(path: string): boolean {
  return Deno.permissions.querySync({ name: "write", path }).state === "granted";
}

/** A -shm without a -wal: the log was removed, and what was committed to it is gone. A clean close removes both, one after the other. */
function refuseLostLog(path: string): void {
  for (let attempt = 0; attempt < 10; attempt++) {
    if (!exists(`${path}-shm`) || exists(`${path}-wal`)) return;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
  throw new SnapshotError(
    `Cannot back up "${path}": its log "${path}-wal" is missing while "${path}-shm" is there, so transactions may be lost. ` +
      `Put the log back, or, if you have made sure that nothing is missing, remove "${path}-shm"`,
    true,
  );
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** The one number that a pragma gives. */
export function number(db: DatabaseSync, pragma: string): number {
  return Number(Object.values(db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0]);
}

/** The one text that a pragma gives. */
export function text(db: DatabaseSync, pragma: string): string {
  return String(Object.values(db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0]);
}

/** Primary result codes (https://sqlite.org/rescode.html), and what an operator can do about them. */
const WORDS: Readonly<Record<number, readonly [words: string, integrity: boolean]>> = {
  5: [
    "another connection has locked it for longer than timeoutMs. Raise timeoutMs, or see who holds it",
    false,
  ],
  6: [
    "another connection has locked it for longer than timeoutMs. Raise timeoutMs, or see who holds it",
    false,
  ],
  8: ["a crash left a journal that must be played back first. Open it once with its own program", false],
  11: ["it is damaged. Restore an older backup, or save what can be read with `sqlite3 FILE .recover`", true],
  13: ["the disk that takes the copy is full. Free some, or set spoolDir to a larger disk", false],
  14: [
    "it, or its folder, cannot be opened. A database in WAL mode needs a folder that this user may write to",
    false,
  ],
  26: [
    "it is not a SQLite database, or it is encrypted at rest (SQLCipher, SEE), which cannot be copied from outside. " +
    "Use collect.command with its own tool",
    true,
  ],
};

/** An error of SQLite's in words. */
export function said(path: string, error: unknown): SnapshotError {
  if (error instanceof SnapshotError) return error;
  const { errcode, message } = error as { errcode?: unknown; message?: unknown };
  const unopened = String(message).includes("unable to open");
  const code = typeof errcode === "number" ? errcode & 255 : unopened ? 14 : 0;
  const [words, integrity] = WORDS[code] ?? [String(message), false];
  return new SnapshotError(
    `Cannot read the database "${path}": ${words} (${String(message)})`,
    integrity,
    error,
  );
}
