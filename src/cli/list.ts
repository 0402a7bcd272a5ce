/**
 * `deno task list`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { several } from "../bytes.ts";
import { type Command, command } from "../cli.ts";
import { list, type ListItem } from "../list.ts";
import { keyArgs, outputArgs, planArgs, shelfArgs, toggle } from "./args.ts";
import { eachPlan, whereOf } from "./choose.ts";
import { EXIT } from "./exit.ts";
import { listing } from "./listing.ts";
import { chooseShelves } from "./shelves.ts";

/** The command. */
export const listCommand: Command = command({
  name: "list",
  usage: "[OPTION...]",
  brief: "Lists the backups of every plan, or of a store, oldest first.",
  about: [
    "Standard output: a table. --json: an object a backup with plan, id, name, time, store, state, bytes, entries, contentBytes, " +
    "warnings, verified ({ event, at }). Only backups in the state complete can be restored.",
    "Of more than 1,000 backups in a store only the names are read, and what stands in receipts is left out; --details reads them all.",
    "Exit code 3: one of several targets cannot be read, the others are listed; 1: none can.",
  ],
  examples: [
    "deno task list",
    "deno task list --from /mnt/disk/backups --json | jq -r 'select(.state == \"complete\") .id'",
    "deno task list --config /etc/holdfast/backup.toml --plan app",
  ],
  parser: object({
    details: toggle("--details", "Read every receipt, however many there are"),
    ...planArgs,
    ...shelfArgs,
    ...outputArgs,
    identity: keyArgs.identity,
  }),
  run: async (args, cli) => {
    const choices = await chooseShelves(args, cli, { many: true });
    const options = cli.runOptions(args.quiet);
    const found: ListItem[] = [];
    let namesOnly = 0;
    const code = await eachPlan(choices, cli, async (job) => {
      options.note(`Backups of "${job.plan.shelf?.name}" in ${whereOf(job)}`);
      for (const item of await list(job.plan, { ...options, details: args.details || undefined })) {
        namesOnly += Number(item.state === "complete" && item.entries === undefined);
        if (args.json) cli.terminal.out(JSON.stringify({ plan: job.name, ...item }));
        else found.push(item);
      }
      return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
    });
    for (const line of found.length > 0 ? listing(found) : []) cli.terminal.out(line);
    if (namesOnly > 0) {
      options.note(
        `Of ${several(namesOnly, "backup")} only the names were read; --details reads the receipts`,
      );
    }
    if (found.length === 0 && !args.json && code === EXIT.complete) options.note("There is no backup yet");
    return code;
  },
});
