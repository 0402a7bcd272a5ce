/**
 * `deno task prune`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Command, command } from "../cli.ts";
import { ConfigError } from "../errors.ts";
import type { Job } from "../plan.ts";
import type { Policy } from "../prune/mod.ts";
import { retain } from "../run.ts";
import {
  allArg,
  keyArgs,
  numberOption,
  outputArgs,
  planArgs,
  shelfArgs,
  textOption,
  toggle,
} from "./args.ts";
import { eachPlan, whereOf } from "./choose.ts";
import { EXIT } from "./exit.ts";
import { chooseShelves } from "./shelves.ts";
import { table } from "./terminal.ts";

const policyArgs = {
  keepLast: numberOption("--keep-last", "Without a configuration: keep the newest so many"),
  keepHourly: numberOption("--keep-hourly", "... the newest of so many hours"),
  keepDaily: numberOption("--keep-daily", "... of so many days"),
  keepWeekly: numberOption("--keep-weekly", "... of so many weeks"),
  keepMonthly: numberOption("--keep-monthly", "... of so many months"),
  keepYearly: numberOption("--keep-yearly", "... of so many years"),
  keepWithin: textOption("--keep-within", "DURATION", "... everything younger than 14d, 6m or 1y6m"),
  timezone: textOption("--timezone", "ZONE", "... by the calendar of this time zone. Default: UTC"),
} as const;

/** The command. */
export const pruneCommand: Command = command({
  name: "prune",
  usage: "[--confirm] [OPTION...]",
  brief: "Says which backups retention would remove, and with --confirm removes them.",
  about: [
    "Standard output: a table. --json: an object a backup with plan, id, store, keep, reasons, removed. Only complete backups count; the " +
    "newest, and the newest that was verified in full, always stay.",
  ],
  examples: [
    "deno task prune",
    "deno task prune --config /etc/holdfast/backup.toml --all --confirm",
    "deno task prune --from /mnt/disk/backups --name docs --keep-daily 14 --keep-monthly 12 --timezone Europe/Berlin",
  ],
  parser: object({
    dryRun: toggle("--dry-run", "Remove nothing: what happens without --confirm"),
    confirm: toggle("--confirm", "Remove"),
    wait: toggle("--wait", "Wait for another run of the same backup"),
    ...policyArgs,
    ...planArgs,
    ...allArg,
    ...shelfArgs,
    ...outputArgs,
    identity: keyArgs.identity,
  }),
  run: async (args, cli) => {
    if (args.confirm && args.dryRun) {
      throw new ConfigError("Cannot use both --dry-run and --confirm: choose one");
    }
    const policy = policyOf(args);
    const choices = await chooseShelves(args, cli, { policy });
    return await eachPlan(choices, cli, async (job) => {
      if (!job.plan.retain) {
        throw new ConfigError(`Cannot prune "${job.name}": no retention is set. ${adviceFor(job)}`);
      }
      const options = cli.runOptions(args.quiet);
      const confirm = args.confirm ?? false;
      options.note(`Pruning "${job.plan.shelf?.name}" in ${whereOf(job)}`);
      const verdicts = await retain(job.plan, { ...options, confirm, wait: args.wait ?? false });
      cli.clear();
      const rows: string[][] = [];
      // The same backup stands once for each store.
      const several = (job.plan.shelf?.stores.length ?? 1) > 1;
      for (const { id, store, keep, reasons } of verdicts) {
        if (args.json) {
          cli.terminal.out(
            JSON.stringify({ plan: job.name, id, store, keep, reasons, removed: !keep && confirm }),
          );
        } else {
          const verdict = keep ? "keep" : confirm ? "removed" : "remove";
          rows.push([verdict, id, ...(several ? [store] : []), reasons.join(", ")]);
        }
      }
      for (const line of table(rows)) cli.terminal.out(line);
      const gone = verdicts.filter(({ keep }) => !keep).length;
      options.note(
        confirm
          ? `Removed ${gone} of ${verdicts.length}`
          : `Dry run: nothing was removed. --confirm removes ${gone} of ${verdicts.length}`,
      );
      return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
    });
  },
});

/** How retention is set where this plan comes from. */
function adviceFor(job: Job): string {
  if (job.config !== undefined) {
    return `Add prune = { keepDaily = 14 } to [plan.${job.name}] in "${job.file}"`;
  }
  if (job.file !== undefined) return `Add .pipe(prune({ keepDaily: 14 })) to it in "${job.file}"`;
  return "Pass --keep-daily 14, or another --keep-...";
}

function policyOf(
  args: { readonly [K in keyof typeof policyArgs]: string | number | undefined },
): Policy | undefined {
  const given = Object.keys(policyArgs).flatMap((key) => {
    const value = args[key as keyof typeof policyArgs];
    return value === undefined ? [] : [[key, value] as const];
  });
  return given.length === 0 ? undefined : Object.fromEntries(given) as Policy;
}
