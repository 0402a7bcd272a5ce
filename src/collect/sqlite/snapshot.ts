/**
 * Consistent copies of databases that are being written to. Blocks its thread.
 *
 * A read transaction is held on the source connection from before the first page until after the last: the backup API then sees one
 * state and never starts over, however fast others commit (https://sqlite.org/backup.html, "file and database connection
 * locking"; https://sqlite.org/wal.html).
 *
 * @module
 */
import { statfsSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { backup, type DatabaseSync } from "node:sqlite";
import { checkKeys, checkPages } from "./check.ts";
import {
  type Inspector,
  type Job,
  type Look,
  type Snapshot,
  SnapshotError,
  type Source,
  type Taken,
} from "./job.ts";
import { number, openSource, said, text } from "./open.ts";

/** Attempts at a moment when no database was committed to between the first and the last begin. */
const ATTEMPTS = 50;

/** Bytes copied between two looks at the stop flag. Less than a page cache (2,000 KiB), so that the first step writes nothing yet. */
const STEP = 1024 * 1024;

/** Copies all databases as they were at one moment. `progress` hears bytes so far, `copied` that no more is written. Throws {@linkcode SnapshotError}. */
export async function snapshot(
  job: Extract<Job, { kind: "snapshot" }>,
  progress: (bytes: number) => void,
  copied: () => void,
): Promise<Snapshot> {
  const open: DatabaseSync[] = [];
  try {
    for (const { path } of job.sources) open.push(openSource(path, job.timeoutMs));
    const cut = cutAll(job, open);
    const sizes = open.map((db) => number(db, "page_count") * number(db, "page_size"));
    checkSpace(job.sources, sizes);
    let before = 0;
    for (const [i, source] of job.sources.entries()) {
      await copy(open[i]!, source, job, (bytes) => progress(before + bytes));
      before += sizes[i]!;
    }
    copied();
    const taken = job.sources.map((source, i): Taken => examine(open[i]!, source, job, cut.times[i]!));
    return { taken, exact: cut.exact, seen: job.look && await lookInto(job.look, job.sources, open) };
  } finally {
    for (const db of open) db.close();
  }
}

async function lookInto(
  { module, here, data }: Look,
  sources: readonly Source[],
  open: readonly DatabaseSync[],
): Promise<unknown> {
  const look = here ?? (await import(module) as { readonly look: Inspector }).look;
  return await look(sources.map(({ path }, i) => ({ path, db: open[i]! })), data);
}

/** Begins a read transaction on every database, if it can at one moment for all. */
function cutAll(
  { sources, timeoutMs, stop }: Extract<Job, { kind: "snapshot" }>,
  open: readonly DatabaseSync[],
): { readonly times: readonly number[]; readonly exact: boolean } {
  // One database is always at one moment; several need a second look, through connections that hold no transaction.
  const probes: DatabaseSync[] = [];
  try {
    if (sources.length > 1) { for (const { path } of sources) probes.push(openSource(path, timeoutMs)); }
    for (let attempt = 1;; attempt++) {
      if (stop[0] !== 0) throw new SnapshotError("Stopped", false);
      const before = probes.map((db) => number(db, "data_version"));
      const times = open.map((db, i) => begin(db, sources[i]!.path));
      const exact = probes.every((db, i) => number(db, "data_version") === before[i]);
      if (exact || attempt === ATTEMPTS) return { times, exact };
      for (const db of open) db.exec("ROLLBACK");
    }
  } finally {
    for (const db of probes) db.close();
  }
}

function begin(db: DatabaseSync, path: string): number {
  try {
    db.exec("BEGIN");
    // BEGIN alone takes no snapshot: the first read does.
    db.prepare("SELECT count(*) FROM sqlite_schema").get();
    return Date.now();
  } catch (error) {
    throw said(path, error);
  }
}

async function copy(
  db: DatabaseSync,
  source: Source,
  { stop }: Extract<Job, { kind: "snapshot" }>,
  progress: (bytes: number) => void,
): Promise<void> {
  const pageSize = number(db, "page_size");
  const pages = number(db, "page_count");
  if (stop[0] !== 0) throw new SnapshotError("Stopped", false);
  if (pages === 0) throw new SnapshotError(`Cannot back up "${source.path}": it is empty, 0 bytes`, true);
  let named = true;
  const forget = (): void => {
    if (named) unlinkSync(source.copy);
    named = false;
  };
  try {
    // Two steps at least: the name goes after the first, when all of it still waits in the page cache.
    const rate = Math.max(1, Math.min(Math.floor(STEP / pageSize), Math.ceil(pages / 2)));
    await backup(db, source.copy, {
      rate,
      progress: ({ totalPages, remainingPages }) => {
        forget();
        if (stop[0] !== 0) throw new SnapshotError("Stopped", false);
        progress((totalPages - remainingPages) * pageSize);
      },
    });
  } catch (error) {
    throw said(source.path, error);
  } finally {
    forget();
  }
  progress(pages * pageSize);
}

/** The checks run inside the transaction the copy was made in: they see the very pages that were copied. */
function examine(
  db: DatabaseSync,
  { path }: Source,
  { check }: Extract<Job, { kind: "snapshot" }>,
  cutMs: number,
): Taken {
  checkPages(db, path, check);
  return {
    pageSize: number(db, "page_size"),
    pages: number(db, "page_count"),
    journal: text(db, "journal_mode"),
    applicationId: number(db, "application_id"),
    userVersion: number(db, "user_version"),
    brokenKeys: check === "off" ? -1 : checkKeys(db, path),
    cutMs,
  };
}

/** All copies must fit, and leave what a spool leaves: 64 MiB, or 5 % of a small disk. */
function checkSpace(sources: readonly Source[], sizes: readonly number[]): void {
  const dir = dirname(sources[0]!.copy);
  const needed = sizes.reduce((sum, size) => sum + size, 0);
  let free: number;
  try {
    const { bavail, blocks, bsize } = statfsSync(dir);
    free = bavail * bsize - Math.min(64 * 1024 * 1024, blocks * bsize / 20);
  } catch {
    return; // Where the system, or a permission, does not let us look, writing tells.
  }
  if (free >= needed) return;
  const mib = (bytes: number): string => `${Math.ceil(Math.max(0, bytes) / 1048576)} MiB`;
  throw new SnapshotError(
    `Cannot copy ${sources.length} database(s) to "${dir}": they need ${mib(needed)}, and ${
      mib(free)
    } can be used. Free some, or set spoolDir to a larger disk`,
    false,
  );
}
