/**
 * `deno task copy`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { optional } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { formatBytes } from "../bytes.ts";
import { type Command, command } from "../cli.ts";
import { copy } from "../copy/mod.ts";
import { messageOf } from "../errors.ts";
import { open } from "../store/mod.ts";
import { allArg, keyArgs, outputArgs, planArgs, shelfArgs, textOptions, toggle } from "./args.ts";
import { eachPlan } from "./choose.ts";
import { EXIT, exitCode, gravest } from "./exit.ts";
import { storeFromCaller } from "./folders.ts";
import { chooseShelves } from "./shelves.ts";
import { table } from "./terminal.ts";

/** The command. */
export const copyCommand: Command = command({
  name: "copy",
  usage: "[ID|latest] [OPTION...]",
  brief: "Copies whole backups to the targets that lack them.",
  about: [
    "Standard output: a table. --json: an object a backup with plan, id, from, to, bytes, copied; for what failed plan, id, to, exitCode, error. " +
    "Every byte is checked while it is copied, a backup is visible only when it is whole, and what retention removed from a target is not put back.",
    "Each target has a ledger of its own, in which a copy takes the newest place. Where that changes a signed receipt it is signed again, with the " +
    "plan's secret key. A copy that was killed goes on where it was.",
  ],
  examples: [
    "deno task copy --config /etc/holdfast/backup.toml --plan app",
    "deno task copy --config /etc/holdfast/backup.toml --plan app --to /mnt/disk/backups --dry-run",
    "deno task copy latest --from ./backups --to 's3://backups/app?region=eu-central-1'",
  ],
  parser: object({
    id: optional(argument(string({ metavar: "ID|latest" }))),
    to: textOptions(
      "--to",
      "STORE",
      "Where missing backups are put, a folder or a URL. Default: every store of the plan",
    ),
    dryRun: toggle("--dry-run", "Say what would be copied, and copy nothing"),
    wait: toggle("--wait", "Wait for another run of the same backup"),
    ...planArgs,
    ...allArg,
    ...shelfArgs,
    ...outputArgs,
    identity: keyArgs.identity,
  }),
  run: async (args, cli) => {
    const { id } = args;
    const choices = await chooseShelves(args, cli, { id, many: args.from.length > 0 });
    const to = args.to.map((url) => open(storeFromCaller(url, cli.folder)));
    const dryRun = args.dryRun ?? false;
    return await eachPlan(choices, cli, async (job) => {
      const options = cli.runOptions(args.quiet);
      const targets = to.length > 0 ? to : job.plan.shelf?.stores ?? [];
      const name = job.plan.shelf?.name;
      options.note(`Copying "${name}" to ${targets.map(({ url }) => url).join(", ")}`);
      const wait = args.wait ?? false;
      const { copied, troubles } = await copy(job.plan, { ...options, id, to: targets, dryRun, wait });
      cli.clear();
      if (args.json) {
        for (const step of copied) {
          cli.terminal.out(JSON.stringify({ plan: job.name, ...step, copied: !dryRun }));
        }
      } else {
        const word = dryRun ? "would copy" : "copied";
        const rows = copied.map((step) => [word, step.id, formatBytes(step.bytes), step.from, step.to]);
        for (const line of table(rows)) cli.terminal.out(line);
      }
      for (const { error, ...rest } of troubles) {
        const facts = { plan: job.name, ...rest, exitCode: exitCode(error), error: messageOf(error) };
        if (args.json) cli.terminal.out(JSON.stringify(facts));
        cli.fail(error);
      }
      if (copied.length + troubles.length === 0) options.note("No target lacks a backup");
      if (troubles.length > 0) return gravest(troubles.map(({ error }) => exitCode(error)));
      return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
    });
  },
});
