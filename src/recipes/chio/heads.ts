/**
 * Heads of a chain: the newest checkpoint of a store, and what others know of it.
 *
 * @module
 */
import { checkCheckpoint, type CheckedCheckpoint, type CheckpointRow } from "./checkpoint.ts";
import { IntegrityError } from "../../errors.ts";
import { type OpenStore, openStore } from "./open.ts";

/** A checkpoint that somebody has seen. */
export interface KnownHead {
  /** Its number. */
  readonly seq: bigint;
  /** The digest of its body. */
  readonly sha256: string;
  /** Who has seen it: a backup's name, an anchor's, "the file that is replaced". */
  readonly from: string;
}

/** A checkpoint with what was signed. */
export interface Head extends CheckedCheckpoint {
  /** Its signature, hexadecimal. */
  readonly signature: string;
}

/** One checkpoint of a store, or the newest; undefined when it is not there. */
export function checkpointAt(store: OpenStore, seq?: bigint): Head | undefined {
  if (!store.has("kernel_checkpoints")) return undefined;
  const [row] = seq === undefined
    ? store.rows("SELECT * FROM kernel_checkpoints ORDER BY checkpoint_seq DESC LIMIT 1")
    : store.rows("SELECT * FROM kernel_checkpoints WHERE checkpoint_seq = ?", seq);
  if (!row) return undefined;
  const checked = row as unknown as CheckpointRow;
  return { ...checkCheckpoint(checked), signature: checked.signature };
}

/** The newest checkpoint of a store's file. Throws as opening it does. */
export function newestHead(path: string): Head | undefined {
  const store = openStore(path);
  try {
    return checkpointAt(store);
  } finally {
    store.close();
  }
}

/** How a store stands to heads that are known from elsewhere. */
export interface Comparison {
  /** Heads it contradicts: it has another checkpoint under the number. Nobody can hold both. */
  readonly forked: readonly KnownHead[];
  /** The newest head it has not reached; going on from here issues that number again. */
  readonly ahead?: KnownHead | undefined;
}

/** Compares a store with known heads. */
export function compareHeads(path: string, known: readonly KnownHead[]): Comparison {
  const store = openStore(path);
  try {
    const last = checkpointAt(store)?.seq ?? 0n;
    const forked = known.filter(({ seq, sha256 }) =>
      seq <= last && checkpointAt(store, seq)?.sha256 !== sha256
    );
    const ahead = known.filter(({ seq }) => seq > last).sort((a, b) => a.seq < b.seq ? 1 : -1)[0];
    return { forked, ahead };
  } finally {
    store.close();
  }
}

/** Throws {@linkcode IntegrityError} where a live store is not what known heads say: it was forked, or rolled back. */
export function refuseFork(path: string, { forked, ahead }: Comparison): void {
  const [first] = forked;
  if (first) {
    throw new IntegrityError(
      `The store "${path}" has another checkpoint ${first.seq} than ${first.from} knows: its chain was forked. Find out which is the ` +
        "true one, and restore it",
    );
  }
  if (!ahead) return;
  throw new IntegrityError(
    `The store "${path}" ends before checkpoint ${ahead.seq}, which ${ahead.from} knows: it was rolled back. Look for a newer copy before it serves`,
  );
}
