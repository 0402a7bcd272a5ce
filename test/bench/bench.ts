/**
 * `deno task bench [--row NAME]... [--runs N] [--quick]`: Holdfast and the tools it stands beside, in turn, over the same data; Markdown tables on
 * standard output. A benchmark, not a test: nothing here has a limit to keep. `rows.ts` says what there is; without --row all are run, which
 * takes hours.
 *
 * Everything lies in `.bench/` of the checkout: corpora are kept (4 GB, 1.2 million files), the rest goes; at most 25 GB are used.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { type Contender, contenders, surroundings } from "./contenders.ts";
import { type Corpus, corpus } from "./corpus.ts";
import { measureFolder, warm } from "./folder.ts";
import { measure, type Measured } from "./measure.ts";
import { oneFile } from "./one_file.ts";
import { openpgp } from "./openpgp.ts";
import { countReads } from "./reads.ts";
import { legend, type Runs, summary, tables } from "./report.ts";
import { announce, choose, type Row } from "./rows.ts";
import { shelf } from "./shelf.ts";

const CHECKOUT = join(import.meta.dirname!, "../..");

/** How lines are run, and where. */
export interface Bench {
  readonly checkout: string;
  /** Scratch folder, with `identity.txt`. */
  readonly work: string;
  /** Variables of all lines. */
  readonly env: Readonly<Record<string, string>>;
  /** Measures a shell line. */
  readonly run: (line: string, env?: Readonly<Record<string, string>>) => Promise<Measured>;
  /** Bytes that it reads of files below a folder. */
  readonly reads: (line: string, below: string, env?: Readonly<Record<string, string>>) => number | undefined;
  /** Folders as before the first run; dirty pages of the run before are not the next one's business. */
  readonly clean: () => void;
}

function begin(work: string): Bench {
  execFileSync("age-keygen", ["-o", join(work, "identity.txt")], { stdio: "ignore" });
  const env = surroundings(work, CHECKOUT);
  return {
    checkout: CHECKOUT,
    work,
    env,
    run: (line, more) =>
      measure(line, { cwd: CHECKOUT, env: { ...env, ...more }, figures: join(work, "figures") }),
    reads: (line, below, more) =>
      countReads(line, { below: realpathSync(below), work, cwd: CHECKOUT, env: { ...env, ...more } }),
    clean: () => {
      // A state that remembers backups which are gone would be a finding.
      const folders = ["out", "into", "cache", "state"].map((name) => join(work, name));
      execFileSync("rm", ["-rf", ...folders]);
      for (const folder of folders) mkdirSync(folder);
      execFileSync("sync");
    },
  };
}

/** One backup and, where there is one, its restore; what came back is counted. */
async function turn(bench: Bench, source: Corpus, runs: Runs): Promise<void> {
  const { contender, backup, restore, storedBytes } = runs;
  const env = { SRC: source.path };
  bench.clean();
  if (contender.prepare !== undefined) await bench.run(contender.prepare, env);
  else {
    // To make a repository brings the others' programs into the cache; these have none to make.
    await bench.run(contender.backup, { SRC: rehearsal(bench) });
    if (contender.restore !== undefined) await bench.run(contender.restore);
    bench.clean();
  }
  execFileSync("sync");
  warm(source.path); // each time: what nobody reads for a while is put out of the cache, and whoever comes next would pay
  backup.push(await bench.run(contender.backup, env));
  storedBytes.push(measureFolder(join(bench.work, "out")).bytes);
  if (contender.restore === undefined) return;
  execFileSync("sync");
  restore.push(await bench.run(contender.restore, env));
  const { files, bytes } = measureFolder(join(bench.work, "into"));
  if (files !== source.files || bytes !== source.bytes) {
    throw new Error(
      `Cannot trust ${contender.name}: of ${source.files} files, ${source.bytes} bytes came back ${files}, ${bytes}`,
    );
  }
}

/** The same once more, to count what is read. */
async function count(bench: Bench, root: string, source: Corpus, { contender, read }: Runs): Promise<void> {
  const env = { SRC: source.path };
  bench.clean();
  if (contender.prepare !== undefined) await bench.run(contender.prepare, env);
  read.backup = bench.reads(contender.backup, root, env);
  if (contender.restore !== undefined) read.restore = bench.reads(contender.restore, root, env);
  console.error(`${source.name}: what ${contender.name} reads is counted`);
}

/** Rounds over one corpus; each round starts with another contender. */
async function compare(
  bench: Bench,
  source: Corpus,
  here: readonly Contender[],
  rounds: number,
): Promise<readonly Runs[]> {
  const all = here.map((contender): Runs => ({
    contender,
    backup: [],
    restore: [],
    storedBytes: [],
    read: {},
  }));
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < all.length; i++) {
      const runs = all[(i + round) % all.length]!;
      await turn(bench, source, runs);
      const [wall, back] = [runs.backup.at(-1), runs.restore[round]].map((one) =>
        one && (one.wallMs / 1000).toFixed(2)
      );
      console.error(
        `${source.name} ${round + 1}: ${runs.contender.name} ${wall} s${back ? `, back ${back} s` : ""}`,
      );
    }
  }
  return all;
}

/** A folder with next to nothing. */
function rehearsal(bench: Bench): string {
  const path = join(bench.work, "rehearsal");
  mkdirSync(path, { recursive: true });
  Deno.writeTextFileSync(join(path, "file"), "rehearsal\n");
  return path;
}

/** A first run of each, over next to nothing: it makes keys, and fills caches of compiled code. */
async function rehearse(bench: Bench, here: readonly Contender[]): Promise<void> {
  const path = rehearsal(bench);
  await compare(bench, { name: "rehearsal", title: "", path, ...measureFolder(path) }, here, 1);
}

async function main(): Promise<void> {
  const choice = choose(Deno.args);
  const { rows, runsOf, divisor } = choice;
  const { here, left } = contenders(CHECKOUT);
  if (left.length > 0) console.error(`Not here, left out: ${left.join(", ")}`);
  console.error(announce(choice));
  mkdirSync(join(CHECKOUT, ".bench"), { recursive: true });
  const root = realpathSync(join(CHECKOUT, ".bench"));
  const work = mkdtempSync(join(root, "work-")); // of its own: another run may be under way
  try {
    const bench = begin(work);
    await rehearse(bench, here);
    const compared: [Corpus, readonly Runs[]][] = [];
    const run = async (row: Row): Promise<string> => {
      if (row.name === "one") return await oneFile(bench, here, divisor, runsOf(row));
      if (row.name === "shelf") return await shelf(bench, divisor, runsOf(row));
      if (row.name === "openpgp") return await openpgp(work, bench.run, divisor, runsOf(row));
      console.error(`Making ${row.name}, unless it is there`);
      const source = corpus(row.name, root, divisor);
      const all = await compare(bench, source, here, runsOf(row));
      for (const runs of all) await count(bench, root, source, runs);
      compared.push([source, all]);
      return tables(source, all);
    };
    for (const row of rows) console.log(await run(row));
    console.log(summary(compared));
    console.log(legend(here));
  } finally {
    execFileSync("rm", ["-rf", work]);
  }
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
