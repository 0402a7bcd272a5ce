/**
 * Checkpoints beside the entries they cover.
 *
 * @module
 */
import {
  chainFollower,
  checkCheckpoint,
  type CheckedCheckpoint,
  type CheckpointRow,
  linkFaults,
} from "./checkpoint.ts";
import type { Entry } from "./entries.ts";
import { leafHash, rootOf } from "./merkle.ts";
import type { OpenStore } from "./open.ts";
import type { Note } from "./verify.ts";

/** Goes through checkpoints beside the entries they cover. */
export function batchFollower(
  store: OpenStore,
  keys: Set<string>,
  heads: Map<bigint, string>,
  fault: Note,
): {
  readonly add: (entry: Entry, leaf: string | undefined, key: string) => void;
  readonly end: () => { readonly count: number; readonly last: CheckedCheckpoint | undefined };
} {
  const rows = store.has("kernel_checkpoints")
    ? store.rows("SELECT * FROM kernel_checkpoints ORDER BY checkpoint_seq")
    : [][Symbol.iterator]();
  const chain = chainFollower();
  let previous: CheckedCheckpoint | undefined;
  let leaves: Uint8Array[] = [];
  let signers = new Set<string>();
  let count = 0;

  function next(): CheckedCheckpoint | undefined {
    const { value, done } = rows.next();
    if (done) return undefined;
    const checked = checkCheckpoint(value as unknown as CheckpointRow);
    for (const text of [...checked.faults, ...linkFaults(previous, checked), ...chain(checked)]) {
      fault("checkpoint", checked.seq, text);
    }
    keys.add(checked.key);
    heads.set(checked.seq, checked.sha256);
    count++;
    return checked;
  }

  let open = next();

  function close(): void {
    if (BigInt(leaves.length) !== open!.end - open!.start + 1n) {
      fault(
        "checkpoint",
        open!.seq,
        `${leaves.length} of its ${open!.end - open!.start + 1n} entries are there`,
      );
    } else if (rootOf(leaves) !== open!.root) {
      fault("checkpoint", open!.seq, "its Merkle root is not that of its entries");
    }
    if (store.current && [...signers].some((key) => key !== open!.key)) {
      fault("checkpoint", open!.seq, "another key than its own signed some of its entries");
    }
    previous = open;
    leaves = [];
    signers = new Set();
    open = next();
  }

  return {
    add: ({ seq }, leaf, key) => {
      while (open && seq > open.end) close();
      if (!open || seq < open.start) return;
      if (leaf !== undefined) leaves.push(leafHash(leaf));
      signers.add(key);
    },
    end: () => {
      while (open) close();
      return { count, last: previous };
    },
  };
}
