/**
 * `deno task bench [--runs N] [--quick] [--corpus json|random|tree|many|million|one|openpgp]...`: Holdfast and the tools it stands beside, in turn, over the
 * same data; a Markdown table on standard output. A benchmark, not a test: nothing here has a limit to keep.
 *
 * Everything lies in `.bench/` of the checkout: corpora are kept (2 GB), the rest goes. `many` (200,000 files) and
 * `million` (empty files) run only when they are named.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Contender, contenders, surroundings, taskLine } from "./contenders.ts";
import { CORPORA, type Corpus, corpus, USUAL } from "./corpus.ts";
import { measureFolder, warm } from "./folder.ts";
import { measure, type Measured } from "./measure.ts";
import { oneFile } from "./one_file.ts";
import { openpgp } from "./openpgp.ts";
import { legend, type Runs, tables } from "./report.ts";

const CHECKOUT = join(import.meta.dirname!, "../..");
const ROOT = join(CHECKOUT, ".bench");
const WORK = join(ROOT, "work");
/** Not a corpus, but chosen as one: one file out of a large archive. */
const ONE = "one";
/** The same: the OpenPGP stage beside gpg. */
const OPENPGP = "openpgp";

interface Choice {
  readonly runs: number;
  readonly divisor: number;
  readonly names: readonly string[];
}

function choose(args: readonly string[]): Choice {
  const { values } = parseArgs({
    args: args.filter((arg, i) => i > 0 || arg !== "--"),
    options: {
      runs: { type: "string", default: "5" },
      quick: { type: "boolean", default: false },
      corpus: { type: "string", multiple: true, default: [...USUAL, ONE, OPENPGP] },
    },
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) {
    throw new RangeError("Cannot use --runs: give a whole number from 1");
  }
  const unknown = values.corpus.find((name) => ![...CORPORA, ONE, OPENPGP].includes(name));
  if (unknown !== undefined) {
    throw new RangeError(
      `Cannot use --corpus ${unknown}: there are ${CORPORA.join(", ")}, ${ONE}, ${OPENPGP}`,
    );
  }
  return { runs, divisor: values.quick ? 10 : 1, names: values.corpus };
}

/** Folders as before the first run; dirty pages of the run before are not the next one's business. */
function clean(...folders: readonly string[]): void {
  for (const folder of folders) {
    rmSync(join(WORK, folder), { recursive: true, force: true });
    mkdirSync(join(WORK, folder), { recursive: true });
  }
  execFileSync("sync");
}

function run(line: string, env: Record<string, string>): Promise<Measured> {
  return measure(line, { cwd: CHECKOUT, env, figures: join(WORK, "figures") });
}

/** One backup and, where there is one, its restore; what came back is counted. */
async function turn(
  { contender, backup, restore, storedBytes }: Runs,
  env: Record<string, string>,
  source: Corpus,
): Promise<void> {
  clean("out", "into", "cache", "state"); // a state that remembers backups which are gone would be a finding
  if (contender.prepare !== undefined) await run(contender.prepare, env);
  execFileSync("sync");
  warm(source.path); // each time: what nobody reads for a while is put out of the cache, and whoever comes next would pay
  backup.push(await run(contender.backup, env));
  storedBytes.push(measureFolder(join(WORK, "out")).bytes);
  if (contender.restore === undefined) return;
  execFileSync("sync");
  restore.push(await run(contender.restore, env));
  const { files, bytes } = measureFolder(join(WORK, "into"));
  if (files !== source.files || bytes !== source.bytes) {
    throw new Error(
      `Cannot trust ${contender.name}: of ${source.files} files, ${source.bytes} bytes came back ${files}, ${bytes}`,
    );
  }
}

/** Rounds over one corpus; each round starts with another contender. */
async function compare(source: Corpus, here: readonly Contender[], runs: number): Promise<readonly Runs[]> {
  const env = { ...surroundings(WORK, CHECKOUT), SRC: source.path };
  const all = here.map((contender): Runs => ({ contender, backup: [], restore: [], storedBytes: [] }));
  for (let round = 0; round < runs; round++) {
    for (let i = 0; i < all.length; i++) {
      const runs = all[(i + round) % all.length]!;
      await turn(runs, env, source);
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

/** A first run of each, over next to nothing: it makes keys, and fills caches of compiled code. */
async function rehearse(here: readonly Contender[]): Promise<void> {
  mkdirSync(join(WORK, "rehearsal"), { recursive: true });
  Deno.writeTextFileSync(join(WORK, "rehearsal", "file"), "rehearsal\n");
  const path = join(WORK, "rehearsal");
  await compare({ name: "rehearsal", title: "", path, ...measureFolder(path) }, here, 1);
}

async function one(divisor: number, runs: number): Promise<void> {
  const env = surroundings(WORK, CHECKOUT);
  mkdirSync(join(WORK, "state"), { recursive: true });
  const bench = {
    work: WORK,
    cat: taskLine(CHECKOUT, "cat")!,
    recipient: env["RECIPIENT"]!,
    run: (line: string) => run(line, env),
  };
  console.log(await oneFile(bench, divisor, runs));
}

async function main(): Promise<void> {
  const { runs, divisor, names } = choose(Deno.args);
  const { here, left } = contenders(CHECKOUT);
  if (left.length > 0) console.error(`Not here, left out: ${left.join(", ")}`);
  rmSync(WORK, { recursive: true, force: true });
  mkdirSync(WORK, { recursive: true });
  try {
    execFileSync("age-keygen", ["-o", join(WORK, "identity.txt")], { stdio: "ignore" });
    const corpora = names.filter((name) => CORPORA.includes(name));
    if (corpora.length > 0) await rehearse(here);
    for (const name of corpora) {
      console.error(`Making ${name}, unless it is there`);
      const source = corpus(name, ROOT, divisor);
      console.log(tables(source, await compare(source, here, runs)));
    }
    if (names.includes(ONE)) await one(divisor, runs);
    if (names.includes(OPENPGP)) {
      const env = surroundings(WORK, CHECKOUT);
      console.log(await openpgp(WORK, (line) => run(line, env), divisor, runs));
    }
    console.log(legend(here, runs));
  } finally {
    rmSync(WORK, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
