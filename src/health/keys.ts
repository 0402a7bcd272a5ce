/**
 * For how long keys have been in use.
 *
 * @module
 */
import { formatSpan } from "../duration.ts";
import { firstUses, keysOf } from "../key_age.ts";
import { readReceipt } from "../ledger.ts";
import type { BackupReceipt } from "../receipt.ts";
import type { Context, Shelf } from "../stage.ts";
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
  const uses = await firstUses(shelf, state);
  const oldest = catalog.backups.find((backup) => backup.state === "complete");
  if (oldest && oldest.id !== newest?.id) {
    const first = (await readReceipt(store, oldest.id, shelf)).receipt;
    if (first.event === "backup") uses.note(first);
  }
  uses.note(receipt);
  await uses.save();
  return keysOf(receipt).flatMap((key) => {
    const used = now.getTime() - Date.parse(uses.of(key)!);
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
