/** The benchmark's tables, in Markdown. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { type Contender, PATH, REFERENCE } from "./contenders.ts";
import type { Corpus } from "./corpus.ts";
import type { Measured } from "./measure.ts";

/** The runs of one contender over one corpus; the n-th of each belong to the same round. */
export interface Runs {
  readonly contender: Contender;
  readonly backup: Measured[];
  readonly restore: Measured[];
  readonly storedBytes: number[];
  /** Bytes read from files, counted in a run of its own; undefined where they cannot be counted. */
  readonly read: { backup?: number | undefined; restore?: number | undefined };
}

/** The heads of {@linkcode cells}, without the last ones, which a table may lack. */
export const HEADS: readonly string[] = ["seconds", "spread", "CPU s", "peak MiB"];

/** A line of a table: name, then what {@linkcode HEADS} says, then what was read and stored where that is asked for. */
export function cells(
  name: string,
  measured: readonly Measured[],
  bytes: { readonly read?: number | undefined; readonly stored?: number | undefined } = {},
): readonly string[] {
  const wall = measured.map(({ wallMs }) => wallMs / 1000);
  return [
    name,
    median(wall).toFixed(2),
    `${Math.min(...wall).toFixed(2)} to ${Math.max(...wall).toFixed(2)}`,
    median(measured.map(({ cpuMs }) => cpuMs / 1000)).toFixed(2),
    Math.round(median(measured.map(({ peakBytes }) => peakBytes)) / 2 ** 20).toString(),
    ...["stored", "read"].filter((key) => key in bytes).map((key) => mb(bytes[key as keyof typeof bytes])),
  ];
}

/** A table: the first column is text, the others are numbers. */
export function markdown(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(heads), `| --- |${" ---: |".repeat(heads.length - 1)}`, ...rows.map(line), ""].join("\n");
}

/** One corpus: a table for each direction. */
export function tables(corpus: Corpus, all: readonly Runs[]): string {
  const restoring = all.filter(({ restore }) => restore.length > 0);
  return [
    `### ${titleOf(corpus)}\n`,
    table("backup", all),
    table("restore", restoring),
  ].join("\n");
}

function titleOf({ title, files, bytes }: Corpus): string {
  const size = bytes > 0 ? `, ${mb(bytes)} MB` : "";
  return `${title}: ${files.toLocaleString("en")} file${files === 1 ? "" : "s"}${size}`;
}

type Way = "backup" | "restore";

/** Ratios of the medians would let a slow minute decide: each round's own, and their median. */
function ratioOf(way: Way, all: readonly Runs[], runs: Runs, of: (one: Measured) => number): number {
  const reference = all.find(({ contender }) => contender.name === REFERENCE)![way];
  return median(runs[way].map((one, round) => of(one) / of(reference[round]!)));
}

const wallOf = ({ wallMs }: Measured): number => wallMs;
const cpuOf = ({ cpuMs }: Measured): number => cpuMs;

function table(way: Way, all: readonly Runs[]): string {
  const rows = all.map((runs) => {
    const stored = way === "backup" ? { stored: median(runs.storedBytes) } : {};
    const [name, seconds, spread, ...rest] = cells(runs.contender.name, runs[way], {
      ...stored,
      read: runs.read[way],
    }) as [string, string, string, ...string[]];
    const [wall, cpu] = [wallOf, cpuOf].map((of) => `${ratioOf(way, all, runs, of).toFixed(2)} x`);
    return [name, seconds, spread, wall!, rest[0]!, cpu!, ...rest.slice(1)];
  });
  const stored = way === "backup" ? ["stored MB"] : [];
  return markdown(
    [way, "seconds", "spread", "ratio", "CPU s", "CPU ratio", "peak MiB", ...stored, "read MB"],
    rows,
  );
}

/** All corpora in two tables: time and memory, then bytes. */
export function summary(all: readonly (readonly [Corpus, readonly Runs[]])[]): string {
  if (all.length === 0) return "";
  const names = all[0]![1].map(({ contender }) => contender.name);
  const ways = all.flatMap(([corpus, runs]) =>
    (["backup", "restore"] as const).map((way) => ({ corpus, runs, way }))
  );
  const lines = (cell: (runs: readonly Runs[], one: Runs, way: Way) => string): string[][] =>
    ways.map(({ corpus, runs, way }) => [
      titleOf(corpus),
      way,
      ...runs.map((one) => one[way].length > 0 ? cell(runs, one, way) : ""),
    ]);
  const times = lines((all, one, way) => {
    const peak = `${Math.round(median(one[way].map(({ peakBytes }) => peakBytes)) / 2 ** 20)} MiB`;
    if (one.contender.name === REFERENCE) {
      const [wall, cpu] = [wallOf, cpuOf].map((of) => (median(one[way].map(of)) / 1000).toFixed(2));
      return `${wall} s, ${cpu} s, ${peak}`;
    }
    const [wall, cpu] = [wallOf, cpuOf].map((of) => ratioOf(way, all, one, of).toFixed(2));
    return `${wall} x, ${cpu} x, ${peak}`;
  });
  const bytes = lines((_, one, way) =>
    `${mb(way === "backup" ? median(one.storedBytes) : undefined)}, ${mb(one.read[way])}`.replace(/^\?, /, "")
  );
  return [
    `### Time, processor time (of the ${REFERENCE}, ratios to it), peak of the memory\n`,
    markdown(["corpus", "way", ...names], times),
    "### MB stored and read by a backup, read by a restore\n",
    markdown(["corpus", "way", ...names], bytes),
  ].join("\n");
}

/** Who ran, how, and where. */
export function legend(all: readonly Contender[]): string {
  return [
    "Medians of interleaved runs, start-up included, programs and data in the page cache. Ratio: the median over the rounds of the time divided by that of " +
    `"${REFERENCE}" in the same round. Peak: resident memory, summed over the processes of a pipe. Read: from the corpus, the store, caches ` +
    "and what is restored, by read calls as strace counts them in a run of its own; pipes do not count; ?: files are mapped.",
    "",
    ...all.map(({ name, note }) => `- ${name}: ${note}.`),
    "",
    machine(all),
  ].join("\n");
}

/** The machine in one line. */
function machine(all: readonly Contender[]): string {
  const model = /^model name\s*: (.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? Deno.build.arch;
  const memory = (Deno.systemMemoryInfo().total / 2 ** 30).toFixed(0);
  const pipe = ["tar --version", "zstd --version", "age --version"];
  const tools = [...pipe, ...all.flatMap(({ version }) => version ?? [])].map(version);
  return `Machine: ${navigator.hardwareConcurrency} cores (${model}), ${memory} GiB of memory, Linux ${Deno.osRelease()}, ` +
    `Deno ${Deno.version.deno}, ${tools.join(", ")}.`;
}

function version(line: string): string {
  const said = execFileSync("/bin/sh", ["-c", line], { encoding: "utf8", env: { PATH } });
  return `${line.split(" ")[0]} ${/\d+(?:\.\d+)+/.exec(said)?.[0] ?? ""}`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function mb(bytes: number | undefined): string {
  return bytes === undefined ? "?" : (bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0);
}
