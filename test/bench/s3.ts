/**
 * `deno run -A test/bench/s3.ts [--runs N] [--mib N] [--whole]`: uploads of random bytes to one MinIO on this machine, in turn: the S3 store alone, with
 * --whole a backup as well (tar, zstd, age, digests, index, receipt), rclone, and the AWS command line where it is installed. A benchmark, not a test.
 */
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { noise, scratch } from "../support.ts";
import { clientOf, KEYS, startServer } from "../store/s3_server.ts";
import { DeleteObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { has } from "./contenders.ts";
import { measure, type Measured } from "./measure.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    mib: { type: "string", default: "1024" },
    whole: { type: "boolean", default: false },
  },
});
const checkout = join(import.meta.dirname!, "../..");
const flags = "-A --no-prompt --v8-flags=--max-semi-space-size=1";

/** Shell lines over FILE, KEY and S3_ENDPOINT. */
const LINES: Readonly<Record<string, string>> = {
  "Holdfast's S3 store": `deno run ${flags} test/bench/s3_put.ts "$FILE" "$KEY"`,
  "rclone": 'env -u AWS_CA_BUNDLE rclone copyto -q "$FILE" "m:backups/$KEY"',
  "rclone, parts as Holdfast's":
    'env -u AWS_CA_BUNDLE rclone copyto -q --s3-chunk-size 16M --s3-upload-concurrency 4 "$FILE" "m:backups/$KEY"',
  "aws s3 cp": 'aws --endpoint-url "$S3_ENDPOINT" s3 cp --only-show-errors "$FILE" "s3://backups/$KEY"',
  "Holdfast's whole backup":
    `deno run ${flags} tasks/backup.ts "$FILE" --name "b$KEY" --to "s3://backups/$KEY?endpoint=$S3_ENDPOINT&region=us-east-1" --quiet`,
};

const tools: Readonly<Record<string, string>> = { rclone: "rclone", aws: "aws" };
const names = Object.keys(LINES).filter((name) => values.whole || !name.includes("whole")).filter((name) =>
  has(tools[name.split(/[ ,]/)[0]!] ?? "deno")
);

using dir = scratch();
const file = dir.join("random.bin");
using out = Deno.openSync(file, { write: true, create: true });
for (let i = 0; i < Number(values.mib); i++) out.writeSync(noise(1024 * 1024, i + 1));
writeFileSync(dir.join("figures"), "");
const server = await startServer("minio");
const env = {
  PATH: `${dirname(Deno.execPath())}:${Deno.env.get("PATH")}`,
  XDG_CONFIG_HOME: dir.join("config"),
  XDG_STATE_HOME: dir.join("state"),
  AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
  AWS_REGION: "us-east-1",
  RCLONE_CONFIG_M_TYPE: "s3",
  RCLONE_CONFIG_M_PROVIDER: "Minio",
  RCLONE_CONFIG_M_ENV_AUTH: "true",
  RCLONE_CONFIG_M_ENDPOINT: server.endpoint,
  S3_ENDPOINT: server.endpoint,
  INIT_CWD: checkout,
  FILE: file,
};
const client = clientOf(server);

/** So that the disk does not fill up, and no run finds more than the one before. */
async function empty(): Promise<void> {
  for (;;) {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: "backups" }));
    if (Contents.length === 0) return;
    for (const { Key } of Contents) await client.send(new DeleteObjectCommand({ Bucket: "backups", Key }));
  }
}

const runs: Record<string, Measured[]> = {};
try {
  for (let round = -1; round < Number(values.runs); round++) {
    for (const [i] of names.entries()) {
      const name = names[(i + round + names.length) % names.length]!;
      const key = `k${i}-${round + 1}`;
      const line = LINES[name]!;
      const measured = await measure(line, {
        cwd: checkout,
        env: { ...env, KEY: key },
        figures: dir.join("figures"),
      });
      if (round >= 0) (runs[name] ??= []).push(measured); // the first round fills caches
      console.error(`${round + 1} ${name}: ${(measured.wallMs / 1000).toFixed(2)} s`);
      await empty();
    }
  }
} finally {
  client.destroy();
  await server.close();
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
const reference = runs["rclone"] ?? runs["aws s3 cp"];
console.log(
  "| upload | median | rate | of rclone's rate | processor | peak |\n| --- | --- | --- | --- | --- | --- |",
);
for (const name of names) {
  const walls = runs[name]!.map(({ wallMs }) => wallMs / 1000);
  const ratios = reference?.map(({ wallMs }, i) => wallMs / 1000 / walls[i]!) ?? [];
  const cpu = median(runs[name]!.map(({ cpuMs }) => cpuMs / 1000));
  const peak = Math.max(...runs[name]!.map(({ peakBytes }) => peakBytes)) / 2 ** 20;
  console.log(
    `| ${name} | ${median(walls).toFixed(2)} s | ${Math.round(Number(values.mib) / median(walls))} MiB/s | ` +
      `${median(ratios).toFixed(2)} | ${cpu.toFixed(1)} s | ${Math.round(peak)} MiB |`,
  );
}
