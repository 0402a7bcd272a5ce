/**
 * `deno task restore`
 *
 * @module
 */
import { basename, dirname } from "node:path";
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { formatBytes } from "../bytes.ts";
import { RECEIPT } from "../catalog.ts";
import { type Cli, type Command, command } from "../cli.ts";
import { ConfigError, findError, StageError } from "../errors.ts";
import { parseName } from "../name.ts";
import { restore, type RestoreOptions } from "../restore.ts";
import {
  idArgument,
  keyArgs,
  numberOption,
  outputArgs,
  planArgs,
  shelfArgs,
  textOption,
  textOptions,
  timeOf,
  toggle,
} from "./args.ts";
import { limitArgs, limitsOf } from "./limits.ts";
import { eachPlan, whereOf } from "./choose.ts";
import { EXIT } from "./exit.ts";
import { formatEntries } from "./progress.ts";
import { fromCaller } from "./folders.ts";
import { chooseShelves, refusePath } from "./shelves.ts";
import { safe } from "./terminal.ts";

const conflict = withDefault(
  option("--conflict", choice(["error", "skip", "overwrite"], { metavar: "MODE" }), {
    description: message`What to do with things that stand where something would be restored`,
  }),
  "error" as const,
);

/** The command. */
export const restoreCommand: Command = command({
  name: "restore",
  usage: "[ID|latest|FILE] --into DIR [OPTION...]",
  brief:
    "Restores a backup, or a part of it: verified and extracted beside the target before the target changes.",
  about: [
    "Standard output: the folder. With --dry-run: what would be done with each entry. --json: an object with plan, id, into, entries, skipped, " +
    "bytes, warnings; with --dry-run one for each entry, with action and path.",
    "FILE is an archive that lies somewhere: ours with its receipt beside it is verified like any other; without a receipt, and for " +
    "archives of other tools (.tar, .tar.gz, .tar.zst, .age), nothing vouches for its origin.",
  ],
  examples: [
    "deno task restore latest --into ./restored",
    "deno task restore --into /srv/app --only 'app/etc/**' --strip 1 --conflict overwrite",
    "deno task restore --at 2026-11-20T12:30:00Z --into ./before-the-mistake",
    "deno task restore docs_2026-11-20T03-00-00Z.tar.zst.age --from /mnt/disk/backups --into . --dry-run",
  ],
  parser: object({
    id: idArgument("ID|latest|FILE", "The backup's file name, the newest, or a file"),
    at: textOption(
      "--at",
      "TIME",
      "The newest backup whose data were read not after this time: 2026-11-20T03:00:00Z",
    ),
    into: textOption("--into", "DIR", "The folder to restore into; made if it is not there"),
    inPlace: toggle("--in-place", "Restore to where it was backed up from, all or none"),
    only: textOptions("--only", "GLOB", "Only what matches, or lies in a folder that does"),
    strip: numberOption("--strip", "Drop so many leading parts of each path", 0),
    conflict,
    dryRun: toggle("--dry-run", "Say what would be restored; nothing is written"),
    ...limitArgs,
    ...planArgs,
    ...shelfArgs,
    ...keyArgs,
    ...outputArgs,
  }),
  run: async (args, cli) => {
    if ((args.into === undefined) === (args.inPlace === undefined)) {
      throw new ConfigError("Cannot restore: pass exactly one of --into DIR and --in-place");
    }
    const at = args.at === undefined ? undefined : timeOf("--at", args.at);
    if (at && args.id !== "latest") {
      throw new ConfigError(
        `Cannot use --at together with "${args.id}": one chooses a backup, the other names one`,
      );
    }
    const source = await sourceOf(args, cli);
    const choices = await chooseShelves({ ...args, ...source }, cli, { id: source.id });
    const into = args.into === undefined ? undefined : fromCaller(args.into, cli.folder);
    const options: RestoreOptions = {
      id: at ? undefined : source.id,
      at,
      file: source.file,
      into,
      inPlace: args.inPlace,
      only: args.only,
      strip: args.strip,
      conflict: args.conflict,
      dryRun: args.dryRun,
      limits: limitsOf(args),
    };
    return await eachPlan(choices, cli, async (job) => {
      const run = cli.runOptions(args.quiet);
      run.note(source.file ? `Restoring ${source.file}` : `Restoring "${job.name}" from ${whereOf(job)}`);
      if (source.file) run.note("It has no receipt: nothing vouches for where it came from");
      const { id, entries, skipped, bytes, warnings } = await restore(job.plan, {
        ...run,
        ...options,
        report: args.dryRun ? reporter(args.json ?? false, cli) : undefined,
      }).catch((error) => {
        // Its stages know it as a stream of bytes.
        throw source.file === undefined
          ? error
          : new StageError(source.file, findError(error, StageError) ?? error);
      });
      cli.clear();
      if (args.dryRun) run.note(`Dry run of ${id}: nothing was written`);
      else {
        if (args.json) {
          cli.terminal.out(JSON.stringify({ plan: job.name, id, into, entries, skipped, bytes, warnings }));
        } else cli.terminal.out(safe(into ?? id));
        const left = skipped > 0
          ? `, left ${formatEntries(skipped)} as ${skipped === 1 ? "it was" : "they were"}`
          : "";
        run.note(`Restored ${formatEntries(entries)}, ${formatBytes(bytes)}, from ${id}${left}`);
      }
      return run.warned() > 0 ? EXIT.warnings : EXIT.complete;
    });
  },
});

/** Where the backup lies: in the store the command line chooses, beside its receipt, or in a file of its own. */
async function sourceOf(
  args: {
    readonly id: string;
    readonly from: readonly string[];
    readonly name?: string | undefined;
    readonly config?: string | undefined;
  },
  cli: Cli,
): Promise<{ id?: string; file?: string; from: readonly string[]; name?: string | undefined }> {
  const { id, from, name } = args;
  const path = fromCaller(id, cli.folder);
  if (id === "latest" || from.length > 0) return { id, from, name };
  if (!await isFile(path)) {
    await refusePath(id, "restore", args, cli);
    return { id, from, name };
  }
  const parsed = parseName(basename(path));
  if (parsed && await isFile(path + RECEIPT)) {
    return { id: basename(path), from: [dirname(path)], name: parsed.name };
  }
  // The shelf is not looked at; it only has to have a name.
  return args.config === undefined
    ? { file: path, from: [dirname(path)], name: "file" }
    : { file: path, from, name };
}

function reporter(json: boolean, cli: Cli): NonNullable<RestoreOptions["report"]> {
  return (path, action) =>
    cli.terminal.out(json ? JSON.stringify({ action, path }) : `${action}  ${safe(path)}`);
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}
