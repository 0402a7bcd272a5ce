/**
 * `deno task sync --check`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Command, command } from "../cli.ts";
import { compare, type Difference } from "../copy/mod.ts";
import { ConfigError } from "../errors.ts";
import { allArg, keyArgs, outputArgs, planArgs, shelfArgs, toggle } from "./args.ts";
import { eachPlan, whereOf } from "./choose.ts";
import { EXIT } from "./exit.ts";
import { chooseShelves } from "./shelves.ts";
import { table } from "./terminal.ts";

/** The command. */
export const syncCommand: Command = command({
  name: "sync",
  usage: "--check [OPTION...]",
  brief: "Says whether all targets hold the same backups.",
  about: [
    "Standard output: a table of what differs. --json: an object for each with plan, id, store, what, why. Exit code 0: all agree; 3: a backup is " +
    "missing, unfinished, or kept longer than elsewhere (extra); 5: a target holds something else than the others, or than its receipt says.",
    "It reads listings and receipts, and no archive: verify --level full reads every byte.",
  ],
  examples: [
    "deno task sync --check --config /etc/holdfast/backup.toml --all",
    "deno task sync --check --from ./backups --from /mnt/disk/backups --json",
  ],
  parser: object({
    check: toggle("--check", "Compare, and change nothing"),
    ...planArgs,
    ...allArg,
    ...shelfArgs,
    ...outputArgs,
    identity: keyArgs.identity,
  }),
  run: async (args, cli) => {
    if (!args.check) {
      throw new ConfigError(
        "Cannot sync: pass --check to compare the targets. What a target lacks, copy brings",
      );
    }
    const choices = await chooseShelves(args, cli, { many: args.from.length > 0 });
    return await eachPlan(choices, cli, async (job) => {
      const options = cli.runOptions(args.quiet);
      options.note(`Comparing "${job.plan.shelf?.name}" in ${whereOf(job)}`);
      const { backups, differences } = await compare(job.plan, options);
      cli.clear();
      if (args.json) {
        for (const difference of differences) {
          cli.terminal.out(JSON.stringify({ plan: job.name, ...difference }));
        }
      } else {
        const rows = differences.map(({ what, id, store, why = "" }) => [what, id, store, why]);
        for (const line of table(rows)) cli.terminal.out(line);
      }
      options.note(
        differences.length === 0
          ? `All agree: ${backups} backups`
          : `${differences.length} differences in ${backups} backups`,
      );
      return codeOf(differences);
    });
  },
});

function codeOf(differences: readonly Difference[]): number {
  if (differences.some(({ what }) => what === "differing")) return EXIT.integrity;
  return differences.length > 0 ? EXIT.warnings : EXIT.complete;
}
