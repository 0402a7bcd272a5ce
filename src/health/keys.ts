/**
 * For how long keys have been in use.
 *
 * @module
 */
import { sha256, text, utf8 } from "../bytes.ts";
import { formatSpan } from "../duration.ts";
import { readReceipt } from "../ledger.ts";
import type { BackupReceipt } from "../receipt.ts";
import type { Context, Shelf, State } from "../stage.ts";
import { type Finding, finding } from "./finding.ts";
import type { Glance } from "./store.ts";

/**
 * Keys of the newest backup that have been in use for longer than `keyAgeMs`. Since when is told by the oldest backup that is still
 * there, and by this host's memory, which outlasts retention.
 */
export async function oldKeys(
  { store, catalog, newest }: Glance,
  receipt: BackupReceipt,
  shelf: Shelf,
  keyAgeMs: number,
  { state, now }: Context,
): Promise<Finding[]> {
  const memory = `keys-${sha256(utf8(shelf.name)).slice(0, 32)}`;
  const seen = await recall(state, memory);
  const note = (key: string, at: string): void => {
    if (!(seen[key] !== undefined && seen[key] <= at)) seen[key] = at;
  };
  const oldest = catalog.backups.find((backup) => backup.state === "complete");
  if (oldest && oldest.id !== newest?.id) {
    const first = (await readReceipt(store, oldest.id, shelf)).receipt;
    if (first.event === "backup") { for (const key of keysOf(first)) note(key, first.createdAt); }
  }
  for (const key of keysOf(receipt)) note(key, receipt.createdAt);
  await state.put(memory, utf8(JSON.stringify(seen)));
  return keysOf(receipt).flatMap((key) => {
    const used = now.getTime() - Date.parse(seen[key]!);
    if (used <= keyAgeMs) return [];
    const short = key.length > 20 ? `${key.slice(0, 20)}...` : key;
    return [finding(
      "key",
      `The key ${short} of "${shelf.name}" has been in use for ${formatSpan(used)}, the limit is ${
        formatSpan(keyAgeMs)
      }`,
      "Make a new one, put it into the plan, and keep the old one as long as there are backups made with it",
    )];
  });
}

function keysOf({ recipients, signer }: BackupReceipt): string[] {
  return [...recipients, ...(signer === undefined ? [] : [signer])];
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
