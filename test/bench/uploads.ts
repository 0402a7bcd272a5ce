/**
 * `deno run -A test/bench/uploads.ts [--to s3|sftp] [--runs N] [--mib N] [--whole]`: uploads of random bytes to one MinIO or one sshd on this machine,
 * in turn: the store alone, with --whole a backup as well (tar, zstd, age, digests, index, receipt), rclone, and where it is installed the AWS
 * command line. A benchmark, not a test.
 */
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { noise, scratch } from "../support.ts";
import { has } from "./contenders.ts";
import { measure, type Measured } from "./measure.ts";
import { s3Target, sftpTarget } from "./servers.ts";

const { values } = parseArgs({
  options: {
    to: { type: "string", default: "s3" },
    runs: { type: "string", default: "5" },
    mib: { type: "string", default: "1024" },
    whole: { type: "boolean", default: false },
  },
});
const checkout = join(import.meta.dirname!, "../..");
const tools: Readonly<Record<string, string>> = { rclone: "rclone", aws: "aws" };

using dir = scratch();
const file = dir.join("random.bin");
using out = Deno.openSync(file, { write: true, create: true });
for (let i = 0; i < Number(values.mib); i++) out.writeSync(noise(1024 * 1024, i + 1));
writeFileSync(dir.join("figures"), "");
const target = await (values.to === "sftp" ? sftpTarget : s3Target)();
const env = {
  ...target.env,
  PATH: `${dirname(Deno.execPath())}:${Deno.env.get("PATH")}`,
  XDG_CONFIG_HOME: dir.join("config"),
  XDG_STATE_HOME: dir.join("state"),
  INIT_CWD: checkout,
  FILE: file,
};
const names = Object.keys(target.lines).filter((name) => values.whole || !name.includes("whole"))
  .filter((name) => has(tools[name.split(/[ ,]/)[0]!] ?? "deno"));

const runs: Record<string, Measured[]> = {};
try {
  for (let round = -1; round < Number(values.runs); round++) {
    for (const [i] of names.entries()) {
      const name = names[(i + round + names.length) % names.length]!;
      const key = `k${i}-${round + 1}`;
      const line = target.lines[name]!;
      const measured = await measure(line, {
        cwd: checkout,
        env: { ...env, KEY: key },
        figures: dir.join("figures"),
      });
      if (round >= 0) (runs[name] ??= []).push(measured); // the first round fills caches
      console.error(`${round + 1} ${name}: ${(measured.wallMs / 1000).toFixed(2)} s`);
      await target.empty(); // so that the disk does not fill up
    }
  }
} finally {
  await target.close();
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
