/**
 * `deno task cat`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { cat } from "../cat.ts";
import { type Command, command } from "../cli.ts";
import { keyArgs, planArgs, shelfArgs } from "./args.ts";
import { eachPlan } from "./choose.ts";
import { EXIT } from "./exit.ts";
import { chooseShelves, refusePath } from "./shelves.ts";

/** The command. */
export const catCommand: Command = command({
  name: "cat",
  usage: "ID|latest PATH [OPTION...]",
  brief: "Writes one file of a backup to standard output.",
  about: [
    "The exit code tells whether what was written is what was stored; do not use the output of a run that failed.",
  ],
  examples: [
    "deno task --quiet cat latest documents/letter.txt",
    "deno task --quiet cat docs_2026-11-20T03-00-00Z.tar.zst.age documents/letter.txt --from /mnt/disk/backups > letter.txt",
  ],
  parser: object({
    id: argument(string({ metavar: "ID|latest" }), {
      description: message`The backup's file name, or the newest`,
    }),
    path: argument(string({ metavar: "PATH" }), { description: message`The file's path in the backup` }),
    ...planArgs,
    ...shelfArgs,
    ...keyArgs,
  }),
  run: async (args, cli) => {
    await refusePath(args.id, "read", args, cli);
    const choices = await chooseShelves(args, cli, { id: args.id === "latest" ? undefined : args.id });
    return await eachPlan(choices, cli, async (job) => {
      const options = cli.runOptions(true);
      const bytes = await cat(job.plan, { ...options, id: args.id, path: args.path });
      for await (const chunk of bytes) cli.terminal.bytes(chunk);
      return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
    });
  },
});
