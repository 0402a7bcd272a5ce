/** A past, written straight into a store: receipts as runs would have left them. */
import { utf8 } from "../../src/bytes.ts";
import { encodeReceipt, type Receipt } from "../../src/receipt.ts";
import type { Store } from "../../src/stage.ts";

const DAY = 86_400_000;
export const FIRST: number = Date.UTC(2024, 0, 1, 3);
const HASH = "0".repeat(64);

/** What is odd about a past. */
export interface Past {
  readonly backups: number;
  readonly drillEvery?: number;
  readonly note?: string;
}

/** Daily backups that grow, one day missed in fifty, and a drill now and then; the last one of an older backup fails. */
export async function writePast(
  store: Store,
  { backups, drillEvery = 0, note }: Past,
  name = "app",
): Promise<void> {
  const common = {
    schema: "holdfast.receipt.v1",
    name,
    run: "01JDB2K3M4N5P6Q7R8S9T0V1W2",
    parents: [],
  } as const;
  let day = 0;
  for (let i = 0; i < backups; i++, day += i % 50 === 49 ? 2 : 1) {
    const at = new Date(FIRST + day * DAY);
    const stamp = (time: Date): string => time.toISOString().slice(0, 19).replaceAll(":", "-") + "Z";
    const id = `${name}_${stamp(at)}.tar.zst.age`;
    const bytes = 400_000_000 + i * 300_000 + (i * 7919) % 20_000_000;
    const head = { ...common, createdAt: at.toISOString(), outcome: "complete" } as const;
    const receipt: Receipt = {
      ...head,
      event: "backup",
      id,
      completedAt: new Date(at.getTime() + 60_000 + i * 120 + (i * 104_729) % 30_000).toISOString(),
      objects: [{ suffix: "", bytes, sha256: HASH }],
      stages: [],
      contents: { entries: 10_000 + i, bytes: bytes * 3, merkleRoot: HASH, base: null, metadata: "basic" },
      sources: [{ tool: "files", cutAt: at.toISOString(), facts: {} }],
      recipients: [],
      warnings: i % 97 === 0 ? { vanished: 1 } : {},
    };
    await store.put(id, utf8("x"));
    await store.put(`${id}.receipt.json`, encodeReceipt(receipt));
    if (drillEvery === 0 || i % drillEvery !== 0) continue;
    const drilled = new Date(at.getTime() + 6 * 3_600_000);
    const fails = i + drillEvery >= backups;
    const extract = 200_000 + i * 150;
    const phases = {
      find: 400,
      fetch: 30_000 + i * 20,
      verify: 4000,
      decrypt: 9000,
      extract,
      start: 0,
      check: 2500,
    };
    const rtoMs = Object.values(phases).reduce((a, b) => a + b, 0);
    const which = i / drillEvery % 2 === 0 ? "newest" : "older";
    const key = `${name}_${stamp(drilled)}.drill.json`;
    const facts = fails
      ? { which, rtoMs, verdict: "failed" }
      : { which, rtoMs, phases, rpoMs: 6 * 3_600_000, bytes: bytes * 3, verdict: "restored" };
    await store.put(
      key,
      encodeReceipt({
        ...head,
        event: "drill",
        id: key,
        createdAt: drilled.toISOString(),
        completedAt: drilled.toISOString(),
        outcome: fails ? "failed" : "complete",
        subject: { id, sha256: HASH },
        facts: { ...facts, ...(note !== undefined && { note }) },
      }),
    );
  }
}
