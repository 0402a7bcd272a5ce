/**
 * One small file out of a backup of 10 GiB: Holdfast by ranges, the native pipe from end to end, the others as they do. One backup at a time lies
 * on the disk, so the contenders are not interleaved here: 21 GiB are enough.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "./bench.ts";
import type { Contender } from "./contenders.ts";
import { makeWide, smallText } from "./corpus.ts";
import { measureFolder } from "./folder.ts";
import type { Measured } from "./measure.ts";
import { cells, HEADS, markdown } from "./report.ts";

const GIB = 2 ** 30;

/** Makes a tree of 10 GiB divided by `divisor`, backs it up with each, takes a file from its middle `runs` times, and gives the table. */
export async function oneFile(
  bench: Bench,
  here: readonly Contender[],
  divisor: number,
  runs: number,
): Promise<string> {
  const source = join(bench.work, "wide");
  console.error("Making 10 GiB of files");
  makeWide(source, 10 * GIB / divisor);
  const path = `data/${`${Math.floor(20 / divisor)}`.padStart(4, "0")}/small250`;
  const result = join(bench.work, "one.out");
  const env = { SRC: source, FILE: path };
  const rows: (readonly string[])[] = [];
  for (const { name, prepare, backup, one } of here) {
    if (one === undefined) continue;
    bench.clean();
    if (prepare !== undefined) await bench.run(prepare, env);
    const made = await bench.run(backup, env);
    console.error(`one: ${name} stored it in ${(made.wallMs / 1000).toFixed(1)} s`);
    const line = `${one} > ${result}`;
    const measured: Measured[] = [];
    for (let round = 0; round < runs; round++) {
      measured.push(await bench.run(line, env));
      if (readFileSync(result, "utf8") !== smallText(path)) {
        throw new Error(`Cannot trust ${name}: another file came out`);
      }
      console.error(`one ${round + 1}: ${name} ${(measured[round]!.wallMs / 1000).toFixed(2)} s`);
    }
    const read = bench.reads(line, bench.work, env);
    const stored = measureFolder(join(bench.work, "out")).bytes;
    const [, seconds, , , peak] = cells(name, [made]);
    rows.push([...cells(name, measured, { stored, read }), seconds!, peak!]);
  }
  bench.clean();
  return [
    `### One small file out of ${(10 / divisor).toFixed(0)} GiB\n`,
    markdown(["one file", ...HEADS, "stored MB", "read MB", "backup s", "backup peak MiB"], rows),
  ].join("\n");
}
