/**
 * `deno task chio:backup`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Command, command } from "../../../cli.ts";
import { outputArgs, planArgs, toggle } from "../../../cli/args.ts";
import { backUp } from "../../../cli/backup.ts";
import { eachPlan } from "../../../cli/choose.ts";
import { messageOf } from "../../../errors.ts";
import { planWith } from "../surface.ts";
import { acceptArg, chioJobs, onlyArg } from "./choose.ts";

/** The command. */
export const chioBackupCommand: Command = command({
  name: "chio:backup",
  usage: "[--config FILE] [OPTION...]",
  brief: "Backs up Chio's surfaces in their safe order, each verified before it is stored.",
  about: [
    "Every plan of the configuration whose source is Chio's is run: receipts with their archives first, then policies, federation, " +
    "authority with its seeds, further state, and revocations last, whatever their order in the file. All get one time. A more " +
    "frequent schedule for one surface is one more line of cron with --only; it adds backups and changes nothing else.",
    "A store that is not sound, numbers that went down, another identity than recorded, or revocations that are gone: exit code 5, " +
    "and nothing of that surface is stored. --accept takes it as it is this once.",
    "Standard output is that of backup.",
  ],
  examples: [
    "deno task chio:backup --config /etc/holdfast/chio.toml",
    "deno task chio:backup --config /etc/holdfast/chio.toml --only receipts --json",
  ],
  parser: object({
    ...planArgs,
    only: onlyArg,
    accept: acceptArg,
    wait: toggle("--wait", "Wait for another run of the same backup instead of giving up (exit code 6)"),
    ...outputArgs,
  }),
  run: async (args, cli) => {
    const now = new Date();
    const jobs = await chioJobs(args, cli);
    const choices = jobs.map((job) => ({
      name: job.name,
      open: () => Promise.resolve({ ...job, plan: planWith(job.plan, { accept: args.accept }) }),
    }));
    const failed = (plan: string, error: unknown, exitCode: number): void => {
      if (args.json) {
        cli.terminal.out(JSON.stringify({ plan, status: "failed", exitCode, error: messageOf(error) }));
      }
    };
    return await eachPlan(choices, cli, (job) => backUp(job, { ...args, now }, cli), failed);
  },
});
