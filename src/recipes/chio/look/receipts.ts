/**
 * A receipt store and its archives, verified before they are stored.
 *
 * @module
 */
import { IntegrityError } from "../../../errors.ts";
import { recordedArchives } from "../entries.ts";
import type { Opened } from "../look.ts";
import { archiveOver, LOG, type OpenStore, storeOver } from "../open.ts";
import { type ChioReport, examineStore } from "../verify.ts";
import type { Watermarks } from "../watermarks.ts";

/** What is known before. */
export interface ReceiptsAsked {
  /** The store's real path; the other databases are its archives. */
  readonly main: string;
  /** Kernels' keys, if only some may have signed. */
  readonly trustedKeys?: readonly string[] | undefined;
  /** The marks of the backup before. */
  readonly previous?: Watermarks | undefined;
}

/** What was found. */
export interface ReceiptsSeen {
  /** The report, without findings: there are none. */
  readonly report: ChioReport;
  /** Which rules apply. */
  readonly generation: "first" | "later";
  /** When the newest receipt was signed, in seconds since 1970; absent when there is none. */
  readonly newest?: number | undefined;
}

/** Verifies all of it. Throws {@linkcode IntegrityError}, and nothing is stored. */
export async function lookAtReceipts(
  open: readonly Opened[],
  { main, trustedKeys, previous }: ReceiptsAsked,
): Promise<ReceiptsSeen> {
  const store = storeOver(open.find(({ path }) => path === main)!.db, main);
  const archives = open.filter(({ path }) => path !== main).map(({ path, db }) => archiveOver(db, path));
  for (const path of recordedArchives(store)) {
    if (open.some((one) => one.path === path)) continue;
    throw new Error(
      `Cannot back up "${main}": retention began the archive "${path}" in this very moment. Run again`,
    );
  }
  const report = await examineStore(store, byEntries(archives), { trustedKeys, previous });
  if (report.faults > 0) throw unsound(main, report, "Nothing was stored");
  return { report, generation: store.current ? "later" : "first", newest: newestOf(store) };
}

/** Archives in the order of what they hold. */
export function byEntries(archives: readonly OpenStore[]): readonly OpenStore[] {
  const first = ({ has, rows }: OpenStore): bigint => {
    if (!has(LOG)) return 0n;
    return ([...rows(`SELECT MIN(entry_seq) AS first FROM ${LOG}`)][0]?.first ?? 0n) as bigint;
  };
  return archives.map((one) => [first(one), one] as const).sort(([a], [b]) => a < b ? -1 : 1).map(([, one]) =>
    one
  );
}

/** The error for a store that does not hold what it should. */
export function unsound(path: string, { findings, faults }: ChioReport, outcome: string): IntegrityError {
  const said = findings.slice(0, 5).map(({ of, seq, fault }) =>
    seq === undefined ? fault : `${of} ${seq}: ${fault}`
  );
  const more = faults > said.length ? `; and ${faults - said.length} more, which chio:verify lists` : "";
  return new IntegrityError(
    `The receipt store "${path}" is not what it should be: ${
      said.join("; ")
    }${more}. ${outcome}. Find out what happened; ` +
      'where it is meant (an older copy was restored on purpose), say accept = ["rollback"] once',
  );
}

function newestOf({ rows }: OpenStore): number | undefined {
  const [row] = rows(`SELECT MAX(timestamp) AS newest FROM ${LOG}`);
  return row?.newest === null || row?.newest === undefined ? undefined : Number(row.newest);
}
