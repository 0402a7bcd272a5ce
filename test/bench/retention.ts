/**
 * `deno run -A test/bench/retention.ts [BACKUPS]`: a dry run of retention over a store that lists so many backups (default: 100,000), six
 * objects each, hourly: time of the listing alone, of the plan, and the peak of the process. A benchmark, not a test.
 */
import { planDigest, type Store, type StoreItem, type Verdict } from "../../mod.ts";
import { prune } from "../../src/prune/mod.ts";
import { utf8 } from "../../src/bytes.ts";
import { makeContext } from "../../src/context.ts";
import { formatName, standardNaming } from "../../src/name.ts";
import { bodyOf } from "../../src/bytes.ts";
import { type BackupReceipt, encodeReceipt } from "../../src/receipt.ts";

const count = Number(Deno.args[0] ?? 100_000);
const HOUR = 60 * 60 * 1000;
const NEWEST = Date.UTC(2026, 10, 20);
const PARTS = ["", ".index", ".minisig", ".receipt.json", ".receipt.json.minisig", ".sha256"];
const at = (i: number): Date => new Date(NEWEST - (count - 1 - i) * HOUR);
const idAt = (i: number): string => formatName("app", at(i), ".tar.zst.age");

function receiptOf(id: string): BackupReceipt {
  const time = standardNaming.parse(id)!.time.toISOString();
  return {
    schema: "holdfast.receipt.v1",
    event: "backup",
    name: "app",
    id,
    run: "01JDB2K3M4N5P6Q7R8S9T0V1W2",
    parents: [],
    createdAt: time,
    completedAt: time,
    outcome: "complete",
    objects: ["", ".index"].map((suffix) => ({ suffix, bytes: 1000, sha256: "0".repeat(64) })),
    stages: [{ verb: "archive", tool: "tar" }],
    contents: { entries: 1, bytes: 1, merkleRoot: "0".repeat(64), base: null, metadata: "basic" },
    sources: [],
    recipients: [],
    warnings: {},
  };
}

/** A store that makes up what it lists: what is measured is the plan, not a disk. */
function listing(): Store & { gets: number } {
  const store = {
    url: "bench:",
    gets: 0,
    list: async function* (): AsyncGenerator<StoreItem> {
      for (let i = 0; i < count; i++) {
        const id = idAt(i);
        const modified = at(i);
        for (const part of PARTS) yield await Promise.resolve({ key: id + part, bytes: 1000, modified });
      }
    },
    get: (key: string) => {
      store.gets++;
      return Promise.resolve(
        bodyOf(utf8(new TextDecoder().decode(encodeReceipt(receiptOf(key.slice(0, -13)))))).read(),
      );
    },
    head: () => Promise.resolve(undefined),
    put: () => Promise.reject(new Error("A dry run writes nothing")),
    delete: () => Promise.reject(new Error("A dry run deletes nothing")),
  };
  return store;
}

const store = listing();
const start = performance.now();
for await (const _ of store.list()) { /* only listed */ }
const listed = performance.now();
const stage = prune({
  keepLast: 24,
  keepDaily: 14,
  keepWeekly: 8,
  keepMonthly: 24,
  keepYearly: 10,
  timezone: "Europe/Berlin",
});
const context = makeContext({ now: new Date(NEWEST + 1000) });
const shelf = { name: "app", stores: [store], naming: standardNaming };
const verdicts: readonly Verdict[] = await stage.retain!({ confirm: false }, context, shelf);
planDigest(verdicts);
const planned = performance.now();
const peak = /VmHWM:\s+(\d+) kB/.exec(Deno.readTextFileSync("/proc/self/status"))![1];
console.log(
  `${count} backups, ${count * PARTS.length} objects: listing ${Math.round(listed - start)} ms, ` +
    `listing, sorting and planning ${Math.round(planned - listed)} ms, ${
      verdicts.filter(({ keep }) => keep).length
    } stay, ` +
    `${store.gets} receipts read, peak ${Math.round(Number(peak) / 1024)} MiB`,
);
