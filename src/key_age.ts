/**
 * Since when keys have been in use: by the receipts that are there, and by this host's memory, which outlasts retention.
 *
 * @module
 */
import { sha256, text, utf8 } from "./bytes.ts";
import type { BackupReceipt } from "./receipt.ts";
import type { Shelf, State } from "./stage.ts";

/** The public keys a backup was made with: who can read it, and who signed it. */
export function keysOf({ recipients, signer }: BackupReceipt): string[] {
  return [...recipients, ...(signer === undefined ? [] : [signer])];
}

/** The first use of each key of a backup, as far as it is known. */
export interface FirstUses {
  /** When a key was first used (RFC 3339, UTC); undefined for one never noted. */
  readonly of: (key: string) => string | undefined;
  /** Takes note of a backup. */
  readonly note: (receipt: BackupReceipt) => void;
  /** Puts it into the host's memory. */
  readonly save: () => Promise<void>;
}

/** What this host remembers of the keys of a backup. */
export async function firstUses(shelf: Shelf, state: State): Promise<FirstUses> {
  const memory = `keys-${sha256(utf8(shelf.name)).slice(0, 32)}`;
  const seen = await recall(state, memory);
  return {
    of: (key) => seen[key],
    note: (receipt) => {
      for (const key of keysOf(receipt)) {
        if (!(seen[key] !== undefined && seen[key] <= receipt.createdAt)) seen[key] = receipt.createdAt;
      }
    },
    save: () => state.put(memory, utf8(JSON.stringify(seen))),
  };
}

async function recall(state: State, key: string): Promise<Record<string, string>> {
  const bytes = await state.get(key);
  if (!bytes) return {};
  try {
    const value: unknown = JSON.parse(text(bytes));
    return Object.fromEntries(
      Object.entries(value as Record<string, unknown>)
        .filter((entry): entry is [string, string] => !Number.isNaN(Date.parse(String(entry[1])))),
    );
  } catch {
    return {}; // a damaged memory is as good as none
  }
}
