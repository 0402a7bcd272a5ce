/**
 * Whether the newest backup is of the usual size.
 *
 * @module
 */
import { ahead } from "../ahead.ts";
import type { Shelved } from "../catalog.ts";
import { boundsOf as treeOf, isIncrement } from "../layers.ts";
import { readReceipt } from "../ledger.ts";
import type { BackupReceipt } from "../receipt.ts";
import type { Shelf } from "../stage.ts";
import { type Finding, finding } from "./finding.ts";
import type { Bounds } from "./limits.ts";
import type { Glance } from "./store.ts";

/** The newest archive's size against the median of those before it; where some hold only changes, what they come to when restored. */
export async function size(
  { store, catalog, newest }: Glance,
  shelf: Shelf,
  { sizeShare }: Pick<Bounds, "sizeShare">,
): Promise<Finding[]> {
  const before = catalog.backups.filter(({ state, id }) => state === "complete" && id !== newest!.id).slice(
    -10,
  );
  const odd = oddSize(bytesOf(newest!), before.map(bytesOf), sizeShare);
  if (odd === undefined) return [];
  const about = (what: string, size: number, odd: Odd): Finding[] => [finding(
    "size",
    `"${newest!.id}" in ${store.url} ${what} ${size} bytes, ${odd.percent} % ${
      odd.less ? "less" : "more"
    } than is usual ` +
      `(${odd.median}, the median of ${before.length} before it)`,
    "Look whether the source lost or gained that much; if that is fine, it passes as soon as more such backups are there",
    store.url,
  )];
  const receipts: BackupReceipt[] = [];
  for await (const read of ahead([newest!, ...before], READS, ({ id }) => readReceipt(store, id, shelf))) {
    if ("value" in read && read.value.receipt.event === "backup") receipts.push(read.value.receipt);
  }
  if (receipts.every(({ contents }) => contents.base === null)) return about("has", bytesOf(newest!), odd);
  const [now, ...then] = receipts.map((receipt) => treeOf(receipt).bytes);
  const grown = receipts.length <= before.length || receipts.some((receipt) => !isTree(receipt))
    ? undefined
    : oddSize(now!, then, sizeShare);
  return grown ? about("comes to", now!, grown) : [];
}

/** How many receipts are asked for at once. */
const READS = 8;

/** Whether a receipt tells what its backup comes to. */
function isTree(receipt: BackupReceipt): boolean {
  return receipt.contents.base === null || isIncrement(receipt);
}

interface Odd {
  readonly percent: number;
  readonly less: boolean;
  readonly median: number;
}

function oddSize(newest: number, before: readonly number[], sizeShare: number): Odd | undefined {
  const sizes = before.toSorted((a, b) => a - b);
  if (sizes.length < 3) return undefined;
  const middle = sizes.length / 2;
  const median = (sizes[Math.floor(middle)]! + sizes[Math.ceil(middle) - 1]!) / 2;
  const share = newest / Math.max(1, median) - 1;
  if (Math.abs(share) <= sizeShare) return undefined;
  return { percent: Math.round(Math.abs(share) * 100), less: share < 0, median };
}

function bytesOf({ parts }: Shelved): number {
  return parts.get("")?.bytes ?? 0;
}
