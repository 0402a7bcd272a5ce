/**
 * `deno task verify --chain`
 *
 * @module
 */
import { several } from "../bytes.ts";
import { chain, type ChainResult } from "../chain.ts";
import type { Cli } from "../cli.ts";
import { type Choice, eachPlan, failedAsJson, whereOf } from "./choose.ts";
import { EXIT, gravest } from "./exit.ts";
import { fromCaller } from "./folders.ts";
import { readHeads } from "./heads.ts";
import { safe } from "./terminal.ts";

/** What it needs of the command line. */
interface ChainArgs {
  /** `--head`. */
  readonly head?: string | undefined;
  /** `--json`. */
  readonly json?: boolean | undefined;
  /** `--quiet`. */
  readonly quiet?: boolean | undefined;
}

/** Walks the ledger of each plan in each of its stores; gives the gravest exit code. */
export async function walkChains(choices: readonly Choice[], args: ChainArgs, cli: Cli): Promise<number> {
  const heads = args.head === undefined ? undefined : await readHeads(fromCaller(args.head, cli.folder));
  const failed = failedAsJson(args, cli);
  return await eachPlan(choices, cli, async (job) => {
    const options = cli.runOptions(args.quiet);
    options.note(`Walking the ledger of "${job.name}" in ${whereOf(job)}`);
    const results = await chain(job.plan, { ...options, heads });
    cli.clear();
    for (const result of results) {
      const exitCode = codeOf(result);
      if (args.json) cli.terminal.out(JSON.stringify({ plan: job.name, exitCode, ...result }));
      else for (const line of linesOf(result)) cli.terminal.out(safe(line));
    }
    if (results.some((result) => codeOf(result) === EXIT.integrity)) {
      options.note(
        "Someone other than Holdfast has removed or added receipts. Find out who, and put back what is missing from another copy; " +
          "if it was you: verify --accept",
      );
    }
    return gravest(results.map(codeOf));
  }, failed);
}

function codeOf({ missing, unexplained, outOfOrder, leftovers }: ChainResult): number {
  if (missing.length + unexplained.length > 0) return EXIT.integrity;
  return outOfOrder.length + leftovers.length > 0 ? EXIT.warnings : EXIT.complete;
}

function linesOf(result: ChainResult): string[] {
  const { store, receipts, from, missing, unexplained, outOfOrder, leftovers, ledger } = result;
  const start = from === undefined ? "from the first" : `from "${from}"`;
  const found = [
    ...missing.map((line) => `missing: ${line}`),
    ...unexplained.map((line) => `unexplained: ${line}`),
    ...outOfOrder.map((line) => `out of order: ${line}`),
    ...leftovers.map((line) => `left over: ${line}`),
  ];
  const sum = found.length === 0 ? "the chain is whole" : `${found.length} findings`;
  return [...found, `${store}  ${several(receipts, "receipt")}, ${start}: ${sum}  ledger: ${ledger}`];
}
