/** A store with 100,000 backups: `list` and `prune --dry-run`, as they are run, beside a bare look at the folder. */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatName } from "../../src/name.ts";
import { type BackupReceipt, encodeReceipt } from "../../src/receipt.ts";
import type { Bench } from "./bench.ts";
import { taskLine } from "./contenders.ts";
import type { Measured } from "./measure.ts";
import { cells, HEADS, markdown } from "./report.ts";

const HOUR = 60 * 60 * 1000;
/** Each with this many bytes; a receipt has its own. */
const PARTS = ["", ".index", ".sha256", ".minisig", ".receipt.json.minisig"];
const BYTES = 1000;

/** Makes the store, gives the table. */
export async function shelf(bench: Bench, divisor: number, runs: number): Promise<string> {
  const count = 100_000 / divisor;
  const store = join(bench.work, "store");
  mkdirSync(store);
  console.error(`Making a store of ${count} backups`);
  for (let i = 0; i < count; i++) make(store, new Date(Date.UTC(2026, 10, 20) - (count - 1 - i) * HOUR));
  const config = join(bench.work, "backup.toml");
  writeFileSync(config, plan(store, bench.env["RECIPIENT"]!));
  const lines: Readonly<Record<string, string>> = {
    "`list`": `${taskLine(bench.checkout, "list")} --config ${config}`,
    "`prune --dry-run`": `${taskLine(bench.checkout, "prune")} --config ${config} --dry-run`,
    "`find -printf`, `sort`": `find ${store} -type f -printf '%f %s %T@\\n' | sort`,
  };
  const all: Record<string, Measured[]> = {};
  const names = Object.keys(lines);
  for (let round = 0; round < runs; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + round) % names.length]!;
      const one = await bench.run(lines[name]!);
      (all[name] ??= []).push(one);
      console.error(`shelf ${round + 1}: ${name} ${(one.wallMs / 1000).toFixed(2)} s`);
    }
  }
  const read = (name: string): number | undefined => bench.reads(lines[name]!, store);
  const title = `### ${count.toLocaleString("en")} backups in a store: ${
    (count * (PARTS.length + 1)).toLocaleString("en")
  } objects\n`;
  const rows = names.map((name) => cells(name, all[name]!, { read: read(name) }));
  return [title, markdown(["what", ...HEADS, "read MB"], rows)].join("\n");
}

/** A backup of an hour, as far as names, lengths and the receipt show it. The archive is a hole. */
function make(store: string, time: Date): void {
  const id = formatName("app", time, ".tar.zst.age");
  for (const part of PARTS) {
    const file = openSync(join(store, id + part), "w");
    ftruncateSync(file, BYTES);
    closeSync(file);
  }
  writeFileSync(join(store, `${id}.receipt.json`), encodeReceipt(receiptOf(id, time.toISOString())));
}

function receiptOf(id: string, time: string): BackupReceipt {
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
    objects: ["", ".index"].map((suffix) => ({ suffix, bytes: BYTES, sha256: "0".repeat(64) })),
    stages: [{ verb: "archive", tool: "tar" }],
    contents: { entries: 1, bytes: 1, merkleRoot: "0".repeat(64), base: null, metadata: "basic" },
    sources: [],
    recipients: [],
    warnings: {},
  };
}

function plan(store: string, recipient: string): string {
  return [
    "[plan.app]",
    'collect = { files = ["/etc/hostname"] }',
    `encrypt = { age = { recipients = ["${recipient}"] } }`,
    `upload = { to = "${store}" }`,
    "prune = { keepLast = 24, keepDaily = 14, keepWeekly = 8, keepMonthly = 24, keepYearly = 10 }",
    "",
  ].join("\n");
}
