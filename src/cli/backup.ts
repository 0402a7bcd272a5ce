/**
 * `deno task backup`
 *
 * @module
 */
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { object } from "@optique/core/constructs";
import type { InferValue } from "@optique/core/parser";
import { argument, option } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { formatBytes } from "../bytes.ts";
import { type Cli, type Command, command } from "../cli.ts";
import { messageOf } from "../errors.ts";
import { list } from "../list.ts";
import type { Job } from "../job.ts";
import type { BackupReceipt } from "../receipt.ts";
import { backup, type BackupResult, outcomeOf } from "../run.ts";
import { adHoc } from "./adhoc.ts";
import { telling } from "./announce.ts";
import { allArg, outputArgs, planArgs, textOption, textOptions, toggle, word } from "./args.ts";
import { choosePlans, eachPlan, keysFrom, whereOf } from "./choose.ts";
import { dryRun } from "./dry.ts";
import { EXIT } from "./exit.ts";
import { formatEntries } from "./progress.ts";
import { type HookFacts, runHook } from "./hooks.ts";
import { listing } from "./listing.ts";
import { safe } from "./terminal.ts";

const parser = object({
  paths: multiple(
    argument(word("PATH"), { description: message`What to back up, without a configuration` }),
  ),
  ...planArgs,
  ...allArg,
  name: textOption("--name", "NAME", "The backup's name. Default: the first PATH's last part"),
  to: textOptions(
    "--to",
    "STORE",
    "The store, a folder or a URL; several get a copy each. Default: ./backups",
  ),
  exclude: textOptions("--exclude", "GLOB", "What to leave out, relative to PATH"),
  strict: toggle(
    "--strict",
    "A file that cannot be read fails the run; by default the rest is stored (exit code 3)",
  ),
  since: optional(option("--since", choice(["latest"], { metavar: "WHEN" }), {
    description:
      message`latest: store only what has changed since the latest backup; a restore needs all down to the last full one`,
  })),
  metadata: optional(option("--metadata", choice(["full", "basic"], { metavar: "WHAT" }), {
    description:
      message`full: nanoseconds, extended attributes, ACLs, holes and any names too, or fail; basic: none of it. Default: what the permissions allow`,
  })),
  rehash: toggle(
    "--rehash",
    "Of a plan that stores only what has changed: read every file, and compare its content",
  ),
  recipient: textOptions("--recipient", "RECIPIENT", "Encrypt to age1... instead of your own key"),
  passphrase: toggle("--passphrase", "Encrypt with a passphrase, typed unseen, twice"),
  passphraseFile: textOption(
    "--passphrase-file",
    "FILE",
    "Encrypt with a passphrase: a file's first line; - for standard input",
  ),
  dryRun: toggle("--dry-run", "Say what would be stored, and where; nothing is written"),
  wait: toggle("--wait", "Wait for another run of the same backup instead of giving up (exit code 6)"),
  partial: toggle("--partial", "When a NATS stream fails store the others (exit code 3)"),
  ...outputArgs,
});

type Args = InferValue<typeof parser>;

/** The command. */
export const backupCommand: Command = command({
  name: "backup",
  usage: "[PATH...] [OPTION...]",
  brief: "Makes a backup: of the folders named, or of a configuration's plan.",
  about: [
    "Standard output: the new backup's file name (without a configuration the store's backups follow on standard error). --json: an object a plan with plan, status (complete, warnings, failed), " +
    "exitCode, id, stores, entries, contentBytes, bytes, builtOn, warnings, error.",
    "The first run without a configuration makes a key and says where it lies.",
  ],
  examples: [
    "deno task backup ~/documents",
    "deno task backup ~/documents --to /mnt/disk/backups --exclude 'cache/**' --name docs",
    "deno task backup ~/documents --since latest",
    "deno task backup --config /etc/holdfast/backup.toml --all --json",
  ],
  parser,
  run,
});

async function run(args: Args, cli: Cli): Promise<number> {
  const direct = directWord(args);
  const chosen = await choosePlans(args, cli, keysFrom({ identity: [] }, cli), { direct });
  const choices = chosen ?? [await adHoc(args, cli)];
  if (!chosen && args.paths.length > 1 && args.name === undefined) {
    cli.runOptions(args.quiet).note(
      `Storing ${args.paths.length} paths as "${
        choices[0]!.name
      }", the first path's name; --name gives another`,
    );
  }
  const failed = (plan: string, error: unknown, exitCode: number): void => {
    if (args.json) print(cli, { plan, status: "failed", exitCode, error: messageOf(error) });
  };
  return await eachPlan(
    choices,
    cli,
    async (job) => {
      if (args.dryRun) return await dryRun(job, args, cli);
      const code = await backUp(job, args, cli);
      if (!chosen && !args.json && !args.quiet) await showShelf(job, cli);
      return code;
    },
    failed,
  );
}

/** Without a configuration one sees at once what one has: the new backup among its like. */
async function showShelf(job: Job, cli: Cli): Promise<void> {
  const { note } = cli.runOptions(false);
  const items = await list(job.plan).catch(() => []); // a target that failed has been reported
  for (const line of listing(items)) note(line);
}

/** The first word of the command line that a plan would say itself. */
function directWord(args: Args): string | undefined {
  if (args.paths.length > 0) return "a PATH";
  for (const name of ["to", "exclude", "recipient"] as const) if (args[name].length > 0) return `--${name}`;
  if (args.name !== undefined) return "--name";
  if (args.strict) return "--strict";
  if (args.since !== undefined) return "--since";
  if (args.metadata !== undefined) return "--metadata";
  if (args.passphrase) return "--passphrase";
  return args.passphraseFile === undefined ? undefined : "--passphrase-file";
}

/** Runs a plan with its hooks, and reports as the arguments say; gives the exit code. */
export async function backUp(
  job: Job,
  args: Pick<Args, "quiet" | "wait" | "json"> & {
    readonly now?: Date | undefined;
    readonly rehash?: boolean | undefined;
    readonly partial?: boolean | undefined;
  },
  cli: Cli,
): Promise<number> {
  const options = cli.runOptions(args.quiet);
  options.note(`Backing up "${job.name}" to ${whereOf(job)}`);
  let facts: HookFacts = { outcome: "failed" };
  const late = async (kind: "after" | "failed" | "finally"): Promise<void> => {
    // A backup stands whatever a hook does afterwards.
    await runHook(job, kind, facts).catch((error) => options.log.warn("hook", messageOf(error)));
  };
  const work = async (): Promise<BackupResult> => {
    try {
      await runHook(job, "before", { outcome: "running" }, cli.signal);
      const result = await backup(job.plan, {
        ...options,
        wait: args.wait ?? false,
        rehash: args.rehash,
        partial: args.partial ? true : undefined,
        now: args.now,
        notify: [],
      });
      facts = { outcome: result.status, id: result.id };
      await late("after");
      return result;
    } catch (error) {
      await late("failed");
      throw error;
    } finally {
      await late("finally");
      cli.clear();
    }
  };
  const result = await telling(job, "backup", options, work, outcomeOf);
  const code = result.status === "complete" && options.warned() === 0 ? EXIT.complete : EXIT.warnings;
  report(job, result, code, args.json ?? false, cli, options.note);
  return code;
}

function report(
  job: Job,
  result: BackupResult,
  code: number,
  json: boolean,
  cli: Cli,
  note: (text: string) => void,
): void {
  const { contents, objects } = result.receipt;
  const bytes = objects[0]?.bytes ?? 0;
  const base = builtOn(result.receipt);
  if (json) {
    print(cli, {
      plan: job.name,
      status: code === EXIT.complete ? "complete" : "warnings",
      exitCode: code,
      id: result.id,
      stores: result.copies.map(({ store, error }) => error ? { store, error: error.message } : { store }),
      entries: contents.entries,
      contentBytes: contents.bytes,
      bytes,
      ...(base === undefined ? {} : { builtOn: base }),
      warnings: result.warnings,
    });
  } else cli.terminal.out(safe(result.id));
  const gone = result.verdicts.filter(({ keep }) => !keep).length;
  note(
    `Stored ${formatEntries(contents.entries)}, ${formatBytes(contents.bytes)}, as ${formatBytes(bytes)}` +
      (base === undefined ? "" : `: what has changed since ${safe(base)}`) +
      (gone > 0 ? `; removed ${gone} by retention` : ""),
  );
}

/** The backup that an increment of files goes on from. */
function builtOn({ contents, sources }: BackupReceipt): string | undefined {
  const base = sources.find(({ facts }) => typeof facts.builtOn === "string")?.facts.builtOn;
  return contents.base === null ? undefined : base as string | undefined;
}

function print(cli: Cli, value: unknown): void {
  cli.terminal.out(JSON.stringify(value));
}
