/**
 * The one log of tool and child receipts, from a store and the archives that retention made of its beginning.
 *
 * @module
 */
import { IntegrityError } from "../../errors.ts";
import { LOG, type OpenStore, type Row } from "./open.ts";

/** One entry of the log. */
export interface Entry {
  /** Its number. */
  readonly seq: bigint;
  /** The receipt as stored. */
  readonly raw: string;
  /** Its row in the log. */
  readonly row: Row;
  /** The receipt's own row, as the table of its kind has it; undefined when it is missing. */
  readonly source: Row | undefined;
}

/** Archives that the store's ledger names, absolute paths, oldest first. */
export function recordedArchives(store: OpenStore): readonly string[] {
  if (!store.has("receipt_retention_watermark")) return [];
  const rows = store.rows(
    "SELECT DISTINCT archive_path FROM receipt_retention_watermark ORDER BY archived_through_entry_seq",
  );
  return [...new Set([...rows].map(({ archive_path }) => String(archive_path)))];
}

/** All entries in order. An entry in an archive and in the store as well must be the same in both. */
export function* entriesOf(
  store: OpenStore,
  archives: readonly OpenStore[],
): Generator<Entry, void, undefined> {
  const through = archivedThrough(store);
  const logged = archives.filter(({ has }) => has(LOG));
  const bare = archives.filter(({ has }) => !has(LOG));
  let last = 0n;
  for (const archive of logged) {
    for (const entry of logOf(archive, last)) {
      if (entry.seq > through) break;
      last = entry.seq;
      yield entry;
    }
  }
  for (const entry of logOf(store, 0n)) {
    if (entry.seq > last) yield entry.source ? entry : { ...entry, source: archivedRow(bare, entry.row) };
    else refuseOther(store, logged, entry);
  }
}

/** The first generation archives receipts and leaves their entries in the log: the receipt's own row is in the archive then. */
function archivedRow(archives: readonly OpenStore[], { receipt_kind, receipt_id }: Row): Row | undefined {
  const table = receipt_kind === "child_receipt" ? "chio_child_receipts" : "chio_tool_receipts";
  for (const { has, rows } of archives) {
    if (!has(table)) continue;
    const [row] = rows(`SELECT * FROM ${table} WHERE receipt_id = ?`, String(receipt_id));
    if (row) return row;
  }
  return undefined;
}

function archivedThrough(store: OpenStore): bigint {
  if (!store.has("receipt_retention_watermark")) return 0n;
  const [row] = store.rows(
    "SELECT MAX(archived_through_entry_seq) AS through FROM receipt_retention_watermark",
  );
  return (row?.through ?? 0n) as bigint;
}

function* logOf(store: OpenStore, after: bigint): Generator<Entry, void, undefined> {
  const tool = store.rows("SELECT * FROM chio_tool_receipts ORDER BY seq");
  const child = store.has("chio_child_receipts")
    ? store.rows("SELECT * FROM chio_child_receipts ORDER BY seq")
    : [][Symbol.iterator]();
  const sources = { tool_receipt: cursor(tool), child_receipt: cursor(child) };
  const log = store.rows(
    "SELECT * FROM claim_receipt_log_entries WHERE entry_seq > ? ORDER BY entry_seq",
    after,
  );
  for (const row of log) {
    const kind = row.receipt_kind === "child_receipt" ? "child_receipt" : "tool_receipt";
    const source = sources[kind](row.source_seq as bigint);
    yield { seq: row.entry_seq as bigint, raw: String(row.raw_json), row, source };
  }
}

/** Finds rows whose `seq` mostly rises: a look-up beside a scan. Rows that come out of order are remembered. */
function cursor(rows: IterableIterator<Row>): (seq: bigint) => Row | undefined {
  const passed = new Map<bigint, Row>();
  let at = 0n;
  return (seq) => {
    while (at < seq) {
      const { value, done } = rows.next();
      if (done) break;
      at = value.seq as bigint;
      if (at === seq) return value;
      passed.set(at, value);
    }
    const found = passed.get(seq);
    passed.delete(seq);
    return found;
  };
}

function refuseOther(store: OpenStore, archives: readonly OpenStore[], { seq, raw }: Entry): void {
  for (const archive of archives) {
    const [twin] = archive.rows("SELECT raw_json FROM claim_receipt_log_entries WHERE entry_seq = ?", seq);
    if (twin && twin.raw_json === raw) return;
  }
  throw new IntegrityError(
    `Cannot trust entry ${seq} of "${store.path}": its archive holds another receipt under this number`,
  );
}
