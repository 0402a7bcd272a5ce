/**
 * `deno task prune`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Command, command } from "../cli.ts";
import { formatBytes } from "../bytes.ts";
import { ConfigError } from "../errors.ts";
import { shelfOf } from "../find.ts";
import type { Job } from "../job.ts";
import { planDigest, type Policy } from "../prune/mod.ts";
import { retain } from "../run.ts";
import type { Verdict } from "../stage.ts";
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
import { lastShown, noteShown } from "./shown.ts";
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
  usage: "[--confirm [--expect DIGEST]] [OPTION...]",
  brief: "Says which backups retention would remove, and with --confirm removes them.",
  about: [
    "Standard output: a table. --json: an object a backup with plan, id, store, keep, reasons, bytes, removed, list. Only complete backups count; the " +
    "newest, and the newest that was verified in full, always stay.",
    "After a dry run, --confirm removes exactly the list that it showed, or nothing if the store has changed since. An hour later, and where nobody " +
    "has looked, it plans anew. --expect binds it to one list by the digest that the dry run said. Another list than the one that was shown is a failure: exit code 1, nothing is removed.",
  ],
  examples: [
    "deno task prune",
    "deno task prune --confirm --expect 3f9a0c1d2b4e5f60",
    "deno task prune --config /etc/holdfast/backup.toml --all --confirm",
    "deno task prune --from /mnt/disk/backups --name docs --keep-daily 14 --keep-monthly 12 --timezone Europe/Berlin",
  ],
  parser: object({
    dryRun: toggle("--dry-run", "Remove nothing: what happens without --confirm"),
    confirm: toggle("--confirm", "Remove"),
    expect: textOption("--expect", "DIGEST", "Remove only the list of which a dry run said this digest"),
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
    if (args.expect !== undefined && !/^[0-9a-f]{16}$/.test(args.expect)) {
      throw new ConfigError(
        `Cannot use --expect "${args.expect}": it is no digest of a list. Copy the 16 digits that the dry run said (prune without --confirm)`,
      );
    }
    const policy = policyOf(args);
    const choices = await chooseShelves(args, cli, { policy });
    if (args.expect !== undefined && choices.length > 1) {
      throw new ConfigError("Cannot use --expect for several plans: each has a list of its own. Pass --plan");
    }
    return await eachPlan(choices, cli, async (job) => {
      if (!job.plan.retain) {
        throw new ConfigError(`Cannot prune "${job.name}": no retention is set. ${adviceFor(job)}`);
      }
      const options = cli.runOptions(args.quiet);
      const confirm = args.confirm ?? false;
      options.note(`Pruning "${job.plan.shelf?.name}" in ${whereOf(job)}`);
      const shelf = shelfOf(job.plan);
      const expect = args.expect ?? (confirm ? await lastShown(options.state, shelf) : undefined);
      const verdicts = await retain(job.plan, { ...options, confirm, expect, wait: args.wait ?? false });
      const list = planDigest(verdicts);
      await noteShown(options.state, shelf, confirm ? undefined : list);
      cli.clear();
      show(job, verdicts, confirm, args.json ?? false, (line) => cli.terminal.out(line));
      const gone = verdicts.filter(({ keep }) => !keep);
      const what = `${gone.length} of ${verdicts.length}, ${formatBytes(bytesOf(gone))}`;
      options.note(
        confirm
          ? `Removed ${what}`
          : `Dry run: nothing was removed. --confirm removes ${what}: exactly these, or nothing if anything has changed by then ` +
            `(within an hour; with --expect ${list} at any time)`,
      );
      return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
    });
  },
});

/** A line for each backup. */
function show(
  job: Job,
  verdicts: readonly Verdict[],
  confirm: boolean,
  json: boolean,
  out: (line: string) => void,
): void {
  const list = planDigest(verdicts);
  if (json) {
    for (const { id, store, keep, reasons, bytes } of verdicts) {
      out(
        JSON.stringify({ plan: job.name, id, store, keep, reasons, bytes, removed: !keep && confirm, list }),
      );
    }
    return;
  }
  // The same backup stands once for each store.
  const several = (job.plan.shelf?.stores.length ?? 1) > 1;
  const rows = verdicts.map(({ id, store, keep, reasons, bytes }) => {
    const verdict = keep ? "keep" : confirm ? "removed" : "remove";
    return [verdict, id, formatBytes(bytes), ...(several ? [store] : []), reasons.join(", ")];
  });
  for (const line of table(rows)) out(line);
}

function bytesOf(verdicts: readonly Verdict[]): number {
  return verdicts.reduce((sum, { bytes }) => sum + bytes, 0);
}

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
