/**
 * `deno task nara:drill`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { type Command, command } from "../../cli.ts";
import { textOption, toggle } from "../../cli/args.ts";
import { EXIT } from "../../cli/exit.ts";
import { fromCaller } from "../../cli/folders.ts";
import { text } from "../../bytes.ts";
import { scanEvent } from "../../collect/events/scan.ts";
import { makeContext } from "../../context.ts";
import { IntegrityError } from "../../errors.ts";
import type { Context } from "../../stage.ts";
import { problemOf, readEvent } from "./event.ts";
import { eachLine, isBlank } from "./lines.ts";
import { giveBack, type GiveBackResult } from "./restore.ts";
import { summary } from "./report.ts";
import { readLogFile } from "./restore_task.ts";
import { newSoul } from "./soul.ts";
import { SHAPE } from "./sync.ts";

/** A nara that is there for the drill alone. */
export interface DrillPeer extends AsyncDisposable {
  /** Its address. */
  readonly url: string;
  /** The events it holds, as they came. */
  readonly lines: () => readonly string[];
}

/** Starts a nara for a drill. */
export type StartPeer = (options: { readonly name: string; readonly soul: string }) => DrillPeer;

/** Makes the command over a nara that can be started. */
export function naraDrillCommand(start: StartPeer): Command {
  return command({
    name: "nara:drill",
    usage: "[--input FILE] [--json]",
    brief:
      "Replays a log into a nara that is started for it, and compares what is there with what was stored.",
    about: [
      "Every event must be there byte for byte, or be one that naras drop by their caps; a second replay must send nothing. " +
      "Otherwise: exit code 5. In a program it is what a drill asserts: " +
      'drill(plan, { assert: ["deno", "run", "-A", "/srv/holdfast/tasks/nara_drill.ts", "--input", "events.jsonl"] }).',
    ],
    examples: ["deno task nara:drill --input events.jsonl", "deno task nara:drill < events.jsonl"],
    parser: object({
      input: textOption("--input", "FILE", "The log. Default: standard input. gzip and zstd are unpacked"),
      json: toggle("--json", "The numbers as one JSON object on standard output"),
    }),
    run: async (args, cli) => {
      const file = args.input === undefined ? undefined : fromCaller(args.input, cli.folder);
      const options = cli.runOptions(true);
      const result = await drillLog(file, start, makeContext(options));
      if (args.json) cli.terminal.out(JSON.stringify(result));
      cli.say(`The drill has passed. ${summary(result, false)}`);
      return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
    },
  });
}

/** Replays a log into a fresh nara, twice. Throws {@linkcode IntegrityError} when anything is not as it was stored. */
async function drillLog(
  file: string | undefined,
  start: StartPeer,
  context: Context,
): Promise<GiveBackResult> {
  const wanted = new Set<string>();
  const stored = await readLogFile(file);
  await eachLine(stored(), (line) => {
    if (!isBlank(line) && usable(line)) wanted.add(text(line));
  });
  const soul = newSoul("drill");
  await using peer = start({ name: "drill", soul });
  const replay = { target: peer.url, soul: () => soul, lines: stored };
  const result = await giveBack(replay, context);
  const there = peer.lines();
  const strange = there.find((line) => !wanted.has(line));
  if (strange !== undefined || there.length !== wanted.size - result.capped || result.kept !== result.sent) {
    throw new IntegrityError(
      `The drill has failed: of ${wanted.size} events ${result.capped} had to be dropped, but ${there.length} are there, ` +
        `${strange === undefined ? "all as stored" : "some not as stored"}`,
    );
  }
  const quiet = { ...context, log: { info: (): void => {}, warn: (): void => {} } };
  const again = await giveBack(replay, quiet);
  if (again.sent > 0) {
    throw new IntegrityError(`The drill has failed: a second replay sent ${again.sent} events again`);
  }
  return result;
}

function usable(line: Uint8Array<ArrayBuffer>): boolean {
  try {
    return scanEvent(line, SHAPE).spans.length > 0 && problemOf(readEvent(text(line))) === undefined;
  } catch {
    return false;
  }
}
