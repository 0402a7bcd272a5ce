/**
 * `deno task verify`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { type Command, command } from "../cli.ts";
import { ConfigError } from "../errors.ts";
import type { Outcome } from "../notify/mod.ts";
import { verify, type VerifyResult } from "../verify.ts";
import { telling } from "./announce.ts";
import { allArg, idArgument, keyArgs, outputArgs, planArgs, shelfArgs, textOption, toggle } from "./args.ts";
import { walkChains } from "./chain.ts";
import { eachPlan, failedAsJson, whereOf } from "./choose.ts";
import { EXIT } from "./exit.ts";
import { fromCaller } from "./folders.ts";
import { readHeads } from "./heads.ts";
import { formatEntries } from "./progress.ts";
import { chooseShelves, refusePath } from "./shelves.ts";
import { safe } from "./terminal.ts";

const level = withDefault(
  option("--level", choice(["quick", "full"], { metavar: "LEVEL" }), {
    description:
      message`quick: receipt, ledger, sizes, checksums' files. full: every byte and every entry as well`,
  }),
  "quick" as const,
);

/** The command. */
export const verifyCommand: Command = command({
  name: "verify",
  usage: "[ID|latest] [OPTION...]",
  brief: "Checks that a backup is what was stored.",
  about: [
    "Standard output: a line a backup. --json: an object with plan, id, level, stores, entries, ledger, exitCode, error. A ledger " +
    'of "cannot tell" means that this machine remembers nothing of this store, so a deletion of the newest could not show.',
    "A full verification that succeeds is recorded, and prune never removes the newest backup that has one. Without a fitting key " +
    "it checks the stored bytes, says so, and exits with 4.",
    "--chain reads every receipt: a line a store and one a finding; with --json an object a store with plan, exitCode, store, receipts, " +
    "from, missing, unexplained, outOfOrder, leftovers, ledger. Exit code 5 for what is missing or unexplained, 3 for what is only out of " +
    "order (a clock that was wrong) or left over (a removal that was cut off).",
  ],
  examples: [
    "deno task verify",
    "deno task verify --chain --head /media/stick/newest.receipt.json",
    "deno task verify latest --level full --config /etc/holdfast/backup.toml --all",
    "deno task verify docs_2026-11-20T03-00-00Z.tar.zst.age --from /mnt/disk/backups",
  ],
  parser: object({
    id: idArgument("ID|latest", "The backup's file name, or the newest"),
    level,
    head: textOption(
      "--head",
      "FILE",
      "A receipt that was the newest, or what sha256sum said of one, kept elsewhere: it must still be there",
    ),
    chain: toggle("--chain", "Walk the whole ledger instead: what is missing, unexplained or out of order"),
    accept: toggle("--accept", "Take what is missing as removed by you; from now on it is no evidence"),
    ...planArgs,
    ...allArg,
    ...shelfArgs,
    ...keyArgs,
    ...outputArgs,
  }),
  run: async (args, cli) => {
    if (args.chain) {
      if (args.accept || args.level === "full" || args.id !== "latest") {
        throw new ConfigError(
          "Cannot use --chain with an ID, --level full or --accept: it is about all receipts",
        );
      }
      return await walkChains(await chooseShelves(args, cli), args, cli);
    }
    await refusePath(args.id, "verify", args, cli);
    const id = args.id === "latest" ? undefined : args.id;
    const choices = await chooseShelves(args, cli, { id });
    const failed = failedAsJson(args, cli);
    return await eachPlan(choices, cli, async (job) => {
      const options = cli.runOptions(args.quiet);
      options.note(`Verifying "${job.name}" in ${whereOf(job)}`);
      const heads = args.head === undefined ? undefined : await readHeads(fromCaller(args.head, cli.folder));
      const work = (): Promise<VerifyResult> =>
        verify(job.plan, { ...options, id: args.id, level: args.level, accept: args.accept ?? false, heads });
      const { unchecked, ...result } = await telling(job, "verify", options, work, outcomeOf);
      cli.clear();
      const code = unchecked ? EXIT.key : options.warned() > 0 ? EXIT.warnings : EXIT.complete;
      if (args.json) {
        cli.terminal.out(
          JSON.stringify({ plan: job.name, ...result, exitCode: code, error: unchecked?.message }),
        );
      } else {
        const entries = result.entries === undefined ? "" : `, ${formatEntries(result.entries)}`;
        cli.terminal.out(
          `${safe(result.id)}  ${
            unchecked ? "bytes ok" : "ok"
          } (${result.level}${entries})  ledger: ${result.ledger}`,
        );
      }
      if (unchecked) {
        cli.fail(
          new Error(`The entries were not checked, the stored bytes were. ${unchecked.message}`, {
            cause: unchecked,
          }),
        );
      }
      return code;
    }, failed);
  },
});

function outcomeOf({ id, entries, level, unchecked, ledger }: VerifyResult): Outcome {
  const what = unchecked
    ? `entries were not checked: ${unchecked.message}`
    : `${entries ?? "no"} entries checked`;
  return {
    kind: unchecked ? "warning" : "success",
    text: `${id}: ok (${level}), ${what}; ledger: ${ledger}`,
    id,
    entries,
  };
}
