/**
 * One small file out of a large encrypted archive: Holdfast by ranges, the native pipe from end to end. What is read of the archive and
 * its index is counted in a run of its own, by strace.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { archive, backup, compress, encrypt, pipeline, sign, store, upload } from "../../mod.ts";
import { smallText, wide } from "../ranges/wide.ts";
import { has } from "./contenders.ts";
import { measureFolder } from "./folder.ts";
import type { Measured } from "./measure.ts";

const GIB = 2 ** 30;

/** How lines are run, and where. */
export interface Bench {
  /** Scratch folder, with `identity.txt`. */
  readonly work: string;
  /** The line of `deno task cat`. */
  readonly cat: string;
  /** The recipient of `identity.txt`. */
  readonly recipient: string;
  /** Measures a shell line. */
  readonly run: (line: string) => Promise<Measured>;
}

/** Makes the archive of 10 GiB divided by `divisor`, takes a file from its middle `runs` times each way, and gives the table. */
export async function oneFile(bench: Bench, divisor: number, runs: number): Promise<string> {
  const out = join(bench.work, "one");
  mkdirSync(out, { recursive: true });
  try {
    const path = `data/${`${Math.floor(20 / divisor)}`.padStart(4, "0")}/small250`;
    const id = await make(bench, out, Math.ceil(10 * GIB / divisor));
    const result = join(bench.work, "one.out");
    const ours = `${bench.cat} ${id} ${path} --from ${out} --identity ${bench.work}/identity.txt > ${result}`;
    const native =
      `age -d -i ${bench.work}/identity.txt ${out}/${id} | zstd -q -d | tar -xOf - ${path} > ${result}`;
    const lines = { Holdfast: ours, "age, zstd, tar": native };
    const wall: Record<string, number[]> = {};
    for (let round = 0; round < runs; round++) {
      for (const [name, line] of Object.entries(lines)) {
        const { wallMs } = await bench.run(line);
        if (readFileSync(result, "utf8") !== smallText(path)) {
          throw new Error(`Cannot trust ${name}: another file came out`);
        }
        (wall[name] ??= []).push(wallMs / 1000);
        console.error(`one file ${round + 1}: ${name} ${(wallMs / 1000).toFixed(2)} s`);
      }
    }
    const whole = measureFolder(out).bytes;
    const read = { Holdfast: countReads(ours, out, bench.work), "age, zstd, tar": whole };
    return table(whole, wall, read);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

async function make({ recipient }: Bench, out: string, bytes: number): Promise<string> {
  const plan = pipeline(wide(bytes)).pipe(archive.tar()).pipe(compress.zstd())
    .pipe(encrypt.age({ recipients: [recipient] })).pipe(sign.sha256())
    .pipe(upload({ name: "one", to: store.directory(out) }));
  return (await backup(plan)).id;
}

/** Bytes read from files below a folder by a shell line; undefined without strace. */
function countReads(line: string, folder: string, work: string): number | undefined {
  if (!has("strace")) return undefined;
  const log = join(work, "one.strace");
  const calls = "read,pread64,readv,preadv,mmap";
  execFileSync("strace", ["-f", "-y", "-q", "-e", `trace=${calls}`, "-o", log, "sh", "-c", line], {
    stdio: "ignore",
  });
  const lines = readFileSync(log, "utf8").split("\n").filter((line) => line.includes(`<${folder}/`));
  rmSync(log);
  if (lines.some((line) => line.includes("mmap("))) {
    throw new Error("Cannot count what is read: a file is mapped");
  }
  return lines.reduce((sum, line) => sum + Math.max(0, Number(/ = (\d+)$/.exec(line)?.[1] ?? 0)), 0);
}

function table(
  whole: number,
  wall: Readonly<Record<string, readonly number[]>>,
  read: Readonly<Record<string, number | undefined>>,
): string {
  const rows = Object.entries(wall).map(([name, times]) => {
    const sorted = times.toSorted((a, b) => a - b);
    const bytes = read[name];
    const cells = [
      name,
      sorted[sorted.length >> 1]!.toFixed(2),
      `${sorted[0]!.toFixed(2)} to ${sorted.at(-1)!.toFixed(2)}`,
      bytes === undefined ? "?" : (bytes / 2 ** 20).toFixed(1),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    `### One small file out of ${(whole / GIB).toFixed(1)} GiB\n`,
    "| One file | seconds | spread | MiB read |",
    "| --- | ---: | ---: | ---: |",
    ...rows,
    "",
  ].join("\n");
}
