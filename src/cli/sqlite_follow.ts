/**
 * `deno task sqlite:follow`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import type { InferValue } from "@optique/core/parser";
import { argument, option } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { several } from "../bytes.ts";
import { type Cli, type Command, command } from "../cli.ts";
import { sqlite } from "../collect/sqlite.ts";
import { isFollowed } from "../collect/sqlite/probe.ts";
import { spanOf } from "../duration.ts";
import { ConfigError, messageOf } from "../errors.ts";
import { follow } from "../follow.ts";
import type { Job } from "../job.ts";
import { adHoc } from "./adhoc.ts";
import { numberOption, outputArgs, planArgs, textOption, textOptions, word } from "./args.ts";
import { backUp } from "./backup.ts";
import { choosePlans, keysFrom } from "./choose.ts";
import { EXIT, exitCode } from "./exit.ts";

const parser = object({
  paths: multiple(
    argument(word("PATH"), { description: message`Databases to follow, without a configuration` }),
  ),
  ...planArgs,
  name: textOption("--name", "NAME", "The backups' name. Default: the first database's"),
  to: textOptions(
    "--to",
    "STORE",
    "The store, a folder or a URL; several get a copy each. Default: ./backups",
  ),
  recipient: textOptions("--recipient", "RECIPIENT", "Encrypt to age1... instead of your own key"),
  fullEvery: numberOption("--full-every", "Store whole databases every so many backups. Default: 100"),
  check: optional(option("--check", choice(["full", "quick", "off"], { metavar: "HOW" }), {
    description: message`How each snapshot is checked before it is stored. Default: full`,
  })),
  every: textOption("--every", "DURATION", "From one snapshot to the next, 1s at least. Default: 10s"),
  atLeast: textOption(
    "--at-least",
    "DURATION",
    "Make a backup after so long even if nothing was committed. Default: 1h",
  ),
  runs: numberOption("--runs", "End after so many backups. Default: go on until stopped"),
  ...outputArgs,
});

type Args = InferValue<typeof parser>;

/** The command. */
export const sqliteFollowCommand: Command = command({
  name: "sqlite:follow",
  usage: "[DATABASE...] [--every DURATION] [OPTION...]",
  brief:
    "Follows SQLite databases: a snapshot every few seconds, of which only the changed pages are stored.",
  about: [
    "Standard output: the file name of each backup; --json: an object for each, as backup prints it. Nothing is stored while nothing is committed. " +
    "restore --at TIME brings back the newest snapshot that is not after a time.",
    "It goes on until it is stopped (Ctrl-C, SIGTERM), which is no failure: exit code 0, 3 when backups have failed meanwhile, 1 when the last one " +
    'has. The first one must succeed. A plan must say collect = { sqlite = [...], since = "latest" }.',
    "It holds a connection to each database, without a transaction: stop it before a restore in place.",
  ],
  examples: [
    "deno task sqlite:follow /srv/app/data.db --every 10s --to /mnt/disk/backups",
    "deno task sqlite:follow --config /etc/holdfast/backup.toml --plan db --every 30s",
  ],
  parser,
  run,
});

async function run(args: Args, cli: Cli): Promise<number> {
  const { every = "10s" } = args;
  const everyMs = spanArg("--every", every);
  const atLeastMs = args.atLeast === undefined ? undefined : spanArg("--at-least", args.atLeast);
  const job = await jobOf(args, cli);
  const options = cli.runOptions(args.quiet);
  options.note(`Following "${job.name}" every ${every}; stop it with Ctrl-C`);
  const { made, unchanged, failed, failure } = await follow(job.plan, {
    everyMs,
    atLeastMs,
    runs: args.runs,
    signal: cli.signal,
    log: options.log,
    make: (now) => backUp(job, { ...args, wait: undefined, now }, cli),
  });
  cli.clear();
  options.note(
    `Followed "${job.name}": ${several(made, "backup")}, ${several(unchanged, "time")} nothing new` +
      (failed > 0 ? `, ${failed} failed` : ""),
  );
  if (failure !== undefined) return exitCode(failure);
  return failed > 0 ? EXIT.warnings : EXIT.complete;
}

async function jobOf(args: Args, cli: Cli): Promise<Job> {
  const { fullEvery, check } = args;
  const choices = await choosePlans(args, cli, keysFrom({ identity: [] }, cli), { direct: directWord(args) });
  if (choices && choices.length !== 1) {
    throw new ConfigError("Cannot follow several plans in one process: pass --plan NAME");
  }
  const collect = (paths: readonly string[]): ReturnType<typeof sqlite> =>
    sqlite(paths, { since: "latest", fullEvery, check });
  const job = await (choices?.[0] ?? adHoc({ ...args, exclude: [], collect }, cli)).open();
  if (isFollowed(job.plan.stages[0])) return job;
  throw new ConfigError(
    `Cannot follow "${job.name}": it must collect SQLite databases, and what has changed in them: collect = { sqlite = ["/srv/app/data.db"], ` +
      'since = "latest" }. For other sources run backup from a timer',
  );
}

/** The first word of the command line that a plan would say itself. */
function directWord(args: Args): string | undefined {
  if (args.paths.length > 0) return "a DATABASE";
  if (args.to.length > 0) return "--to";
  if (args.recipient.length > 0) return "--recipient";
  if (args.name !== undefined) return "--name";
  if (args.fullEvery !== undefined) return "--full-every";
  return args.check === undefined ? undefined : "--check";
}

function spanArg(name: string, value: string): number {
  try {
    return spanOf(value, name);
  } catch (cause) {
    throw new ConfigError(messageOf(cause), { cause });
  }
}
