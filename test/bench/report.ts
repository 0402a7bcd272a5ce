/** The benchmark's tables, in Markdown. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { type Contender, has, REFERENCE } from "./contenders.ts";
import type { Corpus } from "./corpus.ts";
import type { Measured } from "./measure.ts";

/** The runs of one contender over one corpus; the n-th of each belong to the same round. */
export interface Runs {
  readonly contender: Contender;
  readonly backup: Measured[];
  readonly restore: Measured[];
  readonly storedBytes: number[];
}

/** One corpus: a table for each direction. */
export function tables(corpus: Corpus, all: readonly Runs[]): string {
  const size = `${corpus.files.toLocaleString("en")} file${corpus.files === 1 ? "" : "s"}, ${
    mb(corpus.bytes)
  } MB`;
  const restoring = all.filter(({ restore }) => restore.length > 0);
  return [
    `### ${corpus.title}: ${size}\n`,
    table("Backup", all, ({ backup }) => backup, true),
    table("Restore", restoring, ({ restore }) => restore, false),
  ].join("\n");
}

function table(
  verb: string,
  all: readonly Runs[],
  of: (runs: Runs) => readonly Measured[],
  stored: boolean,
): string {
  const reference = of(all.find(({ contender }) => contender.name === REFERENCE)!);
  const rows = all.map((runs) => {
    const measured = of(runs);
    const wall = measured.map(({ wallMs }) => wallMs / 1000);
    const ratio = measured.map(({ wallMs }, round) => wallMs / reference[round]!.wallMs);
    const cells = [
      runs.contender.name,
      median(wall).toFixed(2),
      `${Math.min(...wall).toFixed(2)} to ${Math.max(...wall).toFixed(2)}`,
      `${median(ratio).toFixed(2)} x`,
      median(measured.map(({ cpuMs }) => cpuMs / 1000)).toFixed(2),
      `${median(measured.map(({ cpuMs }, round) => cpuMs / reference[round]!.cpuMs)).toFixed(2)} x`,
      Math.round(median(measured.map(({ peakBytes }) => peakBytes)) / 2 ** 20).toString(),
      ...(stored ? [mb(median(runs.storedBytes))] : []),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  const heads = [
    verb,
    "seconds",
    "spread",
    "ratio",
    "CPU s",
    "CPU ratio",
    "peak MiB",
    ...(stored ? ["stored MB"] : []),
  ];
  return [`| ${heads.join(" | ")} |`, `| --- |${" ---: |".repeat(heads.length - 1)}`, ...rows, ""].join("\n");
}

/** Who ran, how, and where. */
export function legend(all: readonly Contender[], runs: number): string {
  return [
    `Medians of ${runs} interleaved run${
      runs === 1 ? "" : "s"
    }, start-up included, data in the page cache. Ratio: the median ` +
    `over the rounds of the time divided by that of "${REFERENCE}" in the same round. Peak: resident memory, summed over the ` +
    "processes of a pipe.",
    "",
    ...all.map(({ name, note }) => `- ${name}: ${note}.`),
    "",
    machine(),
  ].join("\n");
}

/** The machine in one line. */
export function machine(): string {
  const model = /^model name\s*: (.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? Deno.build.arch;
  const memory = (Deno.systemMemoryInfo().total / 2 ** 30).toFixed(0);
  const tools = [["tar", "--version"], ["zstd", "--version"], ["age", "--version"], ["restic", "version"], [
    "borg",
    "--version",
  ]]
    .filter(([tool]) => has(tool!)).map(([tool, flag]) => `${tool} ${version(tool!, flag!)}`);
  return `Machine: ${navigator.hardwareConcurrency} cores (${model}), ${memory} GiB of memory, Linux ${Deno.osRelease()}, ` +
    `Deno ${Deno.version.deno}, ${tools.join(", ")}.`;
}

function version(tool: string, flag: string): string {
  return /\d+(?:\.\d+)+/.exec(execFileSync(tool, [flag], { encoding: "utf8" }))?.[0] ?? "";
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0);
}
