/**
 * `deno task chio:drill`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Command, command } from "../../../cli.ts";
import { idArgument, keyArgs, outputArgs, planArgs, textOption } from "../../../cli/args.ts";
import { eachPlan, whereOf } from "../../../cli/choose.ts";
import { EXIT } from "../../../cli/exit.ts";
import { fromCaller } from "../../../cli/folders.ts";
import { formatSeconds } from "../../../cli/progress.ts";
import { safe } from "../../../cli/terminal.ts";
import { drill } from "../../../drill.ts";
import { messageOf } from "../../../errors.ts";
import { chioJobs, onlyArg } from "./choose.ts";

/** The command. */
export const chioDrillCommand: Command = command({
  name: "chio:drill",
  usage: "[latest|older] [OPTION...]",
  brief:
    "Proves that Chio's backups restore: a receipt and a checkpoint are appended to a scratch copy, and the chain goes on.",
  about: [
    "Each surface is restored into a scratch folder; of the receipts everything is verified, one receipt and the checkpoint after it are " +
    "appended by a key made for it, through the store's own triggers, and everything is verified again: the new checkpoint must name " +
    "the recorded head. The drill's receipt keeps the numbers and --note.",
  ],
  examples: [
    "deno task chio:drill --config /etc/holdfast/chio.toml --note 'Q4, by hand: runbook step 3 was out of date'",
  ],
  parser: object({
    id: idArgument("ID|latest", "latest, or older: one of those before, by chance"),
    ...planArgs,
    only: onlyArg,
    note: textOption("--note", "NAME", "A remark for the drill's receipt"),
    scratch: textOption(
      "--scratch",
      "DIR",
      "Where to restore to. Default: the plan's, else the folder for temporary files",
    ),
    ...keyArgs,
    ...outputArgs,
  }),
  run: async (args, cli) => {
    const jobs = await chioJobs(args, cli);
    const choices = jobs.map((job) => ({ name: job.name, open: () => Promise.resolve(job) }));
    const failed = (plan: string, error: unknown, exitCode: number): void => {
      if (args.json) cli.terminal.out(JSON.stringify({ plan, exitCode, error: messageOf(error) }));
    };
    return await eachPlan(choices, cli, async (job) => {
      const options = cli.runOptions(args.quiet);
      options.note(`Drilling "${job.name}" in ${whereOf(job)}`);
      const result = await drill(job.plan, {
        ...options,
        id: args.id,
        note: args.note,
        assert: job.drill.assert,
        scratch: args.scratch === undefined ? job.drill.scratch : fromCaller(args.scratch, cli.folder),
      });
      cli.clear();
      const line = `${safe(result.id)}  RTO ${formatSeconds(result.rtoMs / 1000)}  RPO ${
        formatSeconds(result.rpoMs / 1000)
      }`;
      cli.terminal.out(args.json ? JSON.stringify({ plan: job.name, ...result }) : line);
      return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
    }, failed);
  },
});
