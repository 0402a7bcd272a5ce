/**
 * `deno task drill`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { formatBytes } from "../bytes.ts";
import { type Command, command } from "../cli.ts";
import { drill, type DrillResult } from "../drill.ts";
import { formatMs } from "../report/words.ts";
import { telling } from "./announce.ts";
import { allArg, keyArgs, outputArgs, planArgs, shelfArgs, textOption, textOptions } from "./args.ts";
import { eachPlan, failedAsJson, whereOf } from "./choose.ts";
import { EXIT } from "./exit.ts";
import { fromCaller } from "./folders.ts";
import { formatEntries } from "./progress.ts";
import { chooseShelves, refusePath } from "./shelves.ts";
import { safe } from "./terminal.ts";

/** The command. */
export const drillCommand: Command = command({
  name: "drill",
  usage: "[ID|latest|older] [OPTION...]",
  brief:
    "Proves that backups restore: into a scratch folder, with your own assertion, and with a flipped bit that must fail.",
  about: [
    "Without an ID: the newest backup, and one older one by chance. Standard output: a line a backup. --json: an object with plan, id, " +
    "which (newest, older), rtoMs, phases (find, fetch, verify, decrypt, extract, start, check: milliseconds), rpoMs, entries, bytes, " +
    "storedBytes, proven (what a database's own check found), asserted, negative (a restore with a flipped bit: failed as it must). The outcome is recorded in the store; prune never removes the newest backup that has passed one.",
    "The assertion runs in the restored tree, without a shell; its exit code counts. A plan names it as drill = { assert = [...] }.",
  ],
  examples: [
    "deno task drill",
    "deno task drill latest --assert test --assert -s --assert documents/accounts.db",
    "deno task drill --config /etc/holdfast/backup.toml --all --json",
    "deno task drill latest --note 'Q4, restored on the spare machine'",
  ],
  parser: object({
    id: optional(argument(string({ metavar: "ID|latest|older" }), {
      description:
        message`The backup's file name, the newest, or an older one by chance. Default: both of these`,
    })),
    assert: textOptions(
      "--assert",
      "PROGRAM",
      "The assertion: once for the program, once for each of its arguments",
    ),
    scratch: textOption(
      "--scratch",
      "DIR",
      "Where to restore to. Default: the plan's, else the folder for temporary files",
    ),
    note: textOption("--note", "TEXT", "A remark for the drill's receipt; never a secret"),
    ...planArgs,
    ...allArg,
    ...shelfArgs,
    ...keyArgs,
    ...outputArgs,
  }),
  run: async (args, cli) => {
    const named = args.id === undefined || args.id === "latest" || args.id === "older" ? undefined : args.id;
    if (named !== undefined) await refusePath(named, "drill", args, cli);
    const choices = await chooseShelves(args, cli, { id: named });
    const failed = failedAsJson(args, cli);
    return await eachPlan(choices, cli, async (job) => {
      const options = cli.runOptions(args.quiet);
      options.note(`Drilling "${job.name}" in ${whereOf(job)}`);
      const results: DrillResult[] = [];
      const ids = [args.id ?? "latest"];
      const work = async (): Promise<void> => {
        for (const id of ids) await next(id);
      };
      const next = async (id: string): Promise<void> => {
        const result = await drill(job.plan, {
          ...options,
          id,
          note: args.note,
          assert: args.assert.length > 0 ? args.assert : job.drill.assert,
          scratch: args.scratch === undefined ? job.drill.scratch : fromCaller(args.scratch, cli.folder),
        });
        results.push(result);
        if (args.id === undefined && id === "latest" && result.others > 0) ids.push("older");
        cli.clear();
        cli.terminal.out(args.json ? JSON.stringify({ plan: job.name, ...result }) : lineOf(result));
      };
      await telling(job, "drill", options, work, () => {
        const { id, bytes, entries, storedBytes } = results[0]!;
        const text = results.map(lineOf).join("\n");
        return { kind: "success", text, id, entries, contentBytes: bytes, bytes: storedBytes };
      });
      return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
    }, failed);
  },
});

function lineOf(
  { id, which, entries, bytes, rtoMs, rpoMs, phases, proven, asserted, negative }: DrillResult,
): string {
  const spent = Object.entries(phases).filter(([, ms]) => ms > 0)
    .map(([phase, ms]) => `${phase} ${formatMs(ms)}`).join(", ");
  return `${safe(id)}  ${which}: restored ${formatEntries(entries)}, ${formatBytes(bytes)}  ` +
    `RTO ${formatMs(rtoMs)} (${spent})  RPO ${formatMs(rpoMs)}  flipped bit: ${negative}  ` +
    `${proven ? `own check: ${safe(wordsOf(proven))}  ` : ""}assertion: ${asserted ? "passed" : "none"}`;
}

/** "server 15.18, tables 2"; of a group, each member after the other. */
function wordsOf(proven: object): string {
  return Object.entries(proven).map(([key, value]) => {
    if (key === "members" && Array.isArray(value)) return value.map(wordsOf).join("; ");
    return `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`;
  }).join(", ");
}
