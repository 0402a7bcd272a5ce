/**
 * `deno task drill`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { formatBytes } from "../bytes.ts";
import { type Command, command } from "../cli.ts";
import { drill } from "../drill.ts";
import { messageOf } from "../errors.ts";
import {
  allArg,
  idArgument,
  keyArgs,
  outputArgs,
  planArgs,
  shelfArgs,
  textOption,
  textOptions,
} from "./args.ts";
import { eachPlan, whereOf } from "./choose.ts";
import { EXIT } from "./exit.ts";
import { fromCaller } from "./folders.ts";
import { formatEntries, formatSeconds } from "./progress.ts";
import { chooseShelves, refusePath } from "./shelves.ts";
import { safe } from "./terminal.ts";

/** The command. */
export const drillCommand: Command = command({
  name: "drill",
  usage: "[ID|latest] [OPTION...]",
  brief:
    "Proves that a backup restores: into a scratch folder, with your own assertion, and with a flipped bit that must fail.",
  about: [
    "Standard output: a line a backup. --json: an object with plan, id, rtoMs, rpoMs, entries, bytes, asserted. Success is recorded, " +
    "and prune never removes the newest backup that has one.",
    "The assertion runs in the restored tree, without a shell; its exit code counts. A plan names it as drill = { assert = [...] }.",
  ],
  examples: [
    "deno task drill",
    "deno task drill latest --assert test --assert -s --assert documents/accounts.db",
    "deno task drill --config /etc/holdfast/backup.toml --all --json",
  ],
  parser: object({
    id: idArgument("ID|latest", "The backup's file name, or the newest"),
    assert: textOptions(
      "--assert",
      "PROGRAM",
      "The assertion: once for the program, once for each of its arguments",
    ),
    scratch: textOption(
      "--scratch",
      "DIR",
      "Where to restore to. Default: the plan's, else the folder for temporary files",
    ),
    ...planArgs,
    ...allArg,
    ...shelfArgs,
    ...keyArgs,
    ...outputArgs,
  }),
  run: async (args, cli) => {
    await refusePath(args.id, "drill", args, cli);
    const id = args.id === "latest" ? undefined : args.id;
    const choices = await chooseShelves(args, cli, { id });
    const failed = (plan: string, error: unknown, exitCode: number): void => {
      if (args.json) cli.terminal.out(JSON.stringify({ plan, exitCode, error: messageOf(error) }));
    };
    return await eachPlan(choices, cli, async (job) => {
      const options = cli.runOptions(args.quiet);
      options.note(`Drilling "${job.name}" in ${whereOf(job)}`);
      const result = await drill(job.plan, {
        ...options,
        id: args.id,
        assert: args.assert.length > 0 ? args.assert : job.drill.assert,
        scratch: args.scratch === undefined ? job.drill.scratch : fromCaller(args.scratch, cli.folder),
      });
      cli.clear();
      if (args.json) cli.terminal.out(JSON.stringify({ plan: job.name, ...result }));
      else {
        cli.terminal.out(
          `${safe(result.id)}  restored ${formatEntries(result.entries)}, ${formatBytes(result.bytes)}  ` +
            `RTO ${formatSeconds(result.rtoMs / 1000)}  RPO ${formatSeconds(result.rpoMs / 1000)}  ` +
            `assertion: ${result.asserted ? "passed" : "none"}`,
        );
      }
      return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
    }, failed);
  },
});
