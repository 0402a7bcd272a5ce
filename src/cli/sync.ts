/**
 * `deno task sync --check`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { multiple } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { several } from "../bytes.ts";
import { type Command, command } from "../cli.ts";
import { compare, type Difference } from "../copy/mod.ts";
import { ConfigError, messageOf } from "../errors.ts";
import { allArg, keyArgs, outputArgs, planArgs, shelfArgs, toggle, word } from "./args.ts";
import { eachPlan, whereOf } from "./choose.ts";
import { EXIT, gravest } from "./exit.ts";
import { chooseShelves } from "./shelves.ts";
import { table } from "./terminal.ts";

/** The command. */
export const syncCommand: Command = command({
  name: "sync",
  usage: "--check [OPTION...]",
  brief: "Says whether all targets hold the same backups.",
  about: [
    "Standard output: a table of what differs. --json: an object for each with plan, id, store, what, why. Exit code 0: all agree; 3: a backup is " +
    "missing, unfinished, or kept longer than elsewhere (extra); 5: a target holds something else than the others, or than its receipt says; 1: a " +
    "target cannot be looked at (unreachable), the others have been compared.",
    "It reads listings and receipts, and no archive: verify --level full reads every byte.",
  ],
  examples: [
    "deno task sync --check --config /etc/holdfast/backup.toml --all",
    "deno task sync --check --from ./backups --from /mnt/disk/backups --json",
  ],
  parser: object({
    check: toggle("--check", "Compare, and change nothing"),
    to: multiple(option("--to", word("STORE"), { hidden: true })), // copy has it, so it is tried here
    ...planArgs,
    ...allArg,
    ...shelfArgs,
    ...outputArgs,
    identity: keyArgs.identity,
  }),
  run: async (args, cli) => {
    if (args.to.length > 0) {
      throw new ConfigError(
        "Cannot use --to: sync --check compares stores, and writes to none. Name each with --from, two at least, or leave them to the plan",
      );
    }
    if (!args.check) {
      throw new ConfigError(
        "Cannot sync: pass --check to compare the targets. What a target lacks, copy brings",
      );
    }
    const choices = await chooseShelves(args, cli, { many: args.from.length > 0 });
    return await eachPlan(choices, cli, async (job) => {
      const options = cli.runOptions(args.quiet);
      options.note(`Comparing "${job.plan.shelf?.name}" in ${whereOf(job)}`);
      const { backups, differences, unreachable } = await compare(job.plan, options);
      cli.clear();
      const dead = unreachable.map(({ store, error }) => ({
        store,
        what: "unreachable",
        why: messageOf(error),
      }));
      if (args.json) {
        for (const found of [...dead, ...differences]) {
          cli.terminal.out(JSON.stringify({ plan: job.name, ...found }));
        }
      } else {
        const rows = differences.map(({ what, id, store, why = "" }) => [what, id, store, why]);
        const deadRows = dead.map(({ what, store, why }) => [what, "-", store, why]);
        for (const line of table([...deadRows, ...rows])) cli.terminal.out(line);
      }
      const others = dead.length === 0 ? "" : `; ${several(dead.length, "target")} could not be looked at`;
      options.note(
        differences.length === 0
          ? `${dead.length === 0 ? "All agree" : "The others agree"}: ${several(backups, "backup")}${others}`
          : `${several(differences.length, "difference")} in ${several(backups, "backup")}${others}`,
      );
      return gravest([codeOf(differences), ...dead.map(() => EXIT.failed)]);
    });
  },
});

function codeOf(differences: readonly Difference[]): number {
  if (differences.some(({ what }) => what === "differing")) return EXIT.integrity;
  return differences.length > 0 ? EXIT.warnings : EXIT.complete;
}
