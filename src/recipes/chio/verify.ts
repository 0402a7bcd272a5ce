/**
 * A whole receipt store, checked offline: every receipt, every checkpoint, every number.
 *
 * @module
 */
import { batchFollower } from "./batches.ts";
import { entriesOf, recordedArchives } from "./entries.ts";
import { openArchive, type OpenStore, openStore, spoken } from "./open.ts";
import { checkReceipt } from "./receipt.ts";
import { rowFaults, tableFaults } from "./tables.ts";
import { regressions, type Watermarks, watermarksOf } from "./watermarks.ts";

/** How to verify a store. */
export interface ChioVerifyOptions {
  /** Files that retention moved old receipts to. Default: where the store says they are. */
  readonly archives?: readonly string[] | undefined;
  /** Public keys of kernels that may have signed. Default: any; each is reported. */
  readonly trustedKeys?: readonly string[] | undefined;
  /** The marks of an earlier backup of the same store: this one must contain its head, and no number may have gone down. */
  readonly previous?: Watermarks | undefined;
  /** Gives up when it fires. */
  readonly signal?: AbortSignal | undefined;
  /** Told the number of entries so far. */
  readonly progress?: ((entries: number) => void) | undefined;
}

/** Something wrong, and where. */
export interface ChioFinding {
  /** "entry", "checkpoint" or "store". */
  readonly of: "entry" | "checkpoint" | "store";
  /** The entry's or checkpoint's number; absent for the store. */
  readonly seq?: bigint | undefined;
  /** A sentence's end: "its signature is not its key's". */
  readonly fault: string;
}

/** What a store turned out to be. */
export interface ChioReport {
  /** What is wrong; empty: nothing. At most 1,000, `faults` counts all. */
  readonly findings: readonly ChioFinding[];
  /** Number of findings. */
  readonly faults: number;
  /** What is odd but no sign of tampering: signed wrong hashes, missing guard triggers. */
  readonly warnings: readonly ChioFinding[];
  /** Receipts of an algorithm that is not known here: neither good nor bad. */
  readonly unchecked: number;
  /** Receipts checked, archived ones included. */
  readonly receipts: number;
  /** Checkpoints checked. */
  readonly checkpoints: number;
  /** Entries after the last checkpoint: covered by no root yet. */
  readonly tail: number;
  /** Every kernel key that signed something. */
  readonly keys: readonly string[];
  /** The numbers that may not go down between two backups. */
  readonly watermarks: Watermarks;
}

/** Findings that are kept one by one. */
const MOST = 1000;

/**
 * Verifies a receipt store that nobody need have open; it is only read. Receipts' signatures, ids, columns and places; checkpoints'
 * signatures, numbers, Merkle roots, predecessors and chain roots; that no entry is missing, at the end neither. Both generations of the
 * program, told by the file. Throws NotFoundError, and IntegrityError for what is not a receipt store of a known version.
 */
export async function verifyChioStore(path: string, options: ChioVerifyOptions = {}): Promise<ChioReport> {
  const store = openStore(path);
  const archives: OpenStore[] = [];
  try {
    for (const archive of options.archives ?? recordedArchives(store)) archives.push(openArchive(archive));
    return await examineStore(store, archives, options);
  } catch (error) {
    throw spoken(path, error);
  } finally {
    for (const one of [store, ...archives]) one.close();
  }
}

/** The same over stores that are open. */
export async function examineStore(
  store: OpenStore,
  archives: readonly OpenStore[],
  options: ChioVerifyOptions,
): Promise<ChioReport> {
  const notes = notebook();
  const keys = new Set<string>();
  const heads = new Map<bigint, string>();
  const batches = batchFollower(store, keys, heads, notes.fault);
  const trusted = options.trustedKeys && new Set(options.trustedKeys);
  let receipts = 0;
  let unchecked = 0;
  let expected = 1n;
  for (const entry of entriesOf(store, archives)) {
    if (entry.seq !== expected) notes.fault("entry", expected, missing(expected, entry.seq));
    expected = entry.seq + 1n;
    const checked = checkReceipt(entry.raw);
    for (const fault of [...checked.faults, ...rowFaults(entry, checked.body)]) {
      notes.fault("entry", entry.seq, fault);
    }
    for (const oddity of checked.oddities) notes.warn("entry", entry.seq, oddity);
    if (checked.unsupported) unchecked++;
    if (checked.key !== "") keys.add(checked.key);
    batches.add(entry, checked.leaf, checked.key);
    if (++receipts % 200 === 0) {
      options.progress?.(receipts);
      await new Promise((resolve) => setTimeout(resolve));
      options.signal?.throwIfAborted();
    }
  }
  const checkpoints = batches.end();
  for (const { fault, hard } of tableFaults(store)) {
    (hard ? notes.fault : notes.warn)("store", undefined, fault);
  }
  for (const key of trusted ? keys : []) {
    if (!trusted!.has(key)) notes.fault("store", undefined, `the key ${key} signed in it and is not trusted`);
  }
  const last = expected - 1n;
  const watermarks = watermarksOf(store, checkpoints.last);
  if (watermarks.entries > last) notes.fault("entry", last + 1n, missing(last + 1n, watermarks.entries + 1n));
  for (const fault of options.previous ? regressions(options.previous, watermarks, heads) : []) {
    notes.fault("store", undefined, fault);
  }
  return {
    ...notes.all(),
    unchecked,
    receipts,
    checkpoints: checkpoints.count,
    tail: Number(last - (checkpoints.last?.end ?? 0n)),
    keys: [...keys].sort(),
    watermarks,
  };
}

function missing(from: bigint, next: bigint): string {
  return next - from === 1n ? "it is missing" : `it and all up to ${next - 1n} are missing`;
}

/** Takes a finding. */
export type Note = (of: ChioFinding["of"], seq: bigint | undefined, fault: string) => void;

function notebook(): {
  readonly fault: Note;
  readonly warn: Note;
  readonly all: () => Pick<ChioReport, "findings" | "faults" | "warnings">;
} {
  const findings: ChioFinding[] = [];
  const warnings: ChioFinding[] = [];
  let faults = 0;
  const finding = (of: ChioFinding["of"], seq: bigint | undefined, fault: string): ChioFinding =>
    seq === undefined ? { of, fault } : { of, seq, fault };
  return {
    fault: (...what) => {
      if (++faults <= MOST) findings.push(finding(...what));
    },
    warn: (...what) => {
      if (warnings.length < MOST) warnings.push(finding(...what));
    },
    all: () => ({ findings, faults, warnings }),
  };
}
