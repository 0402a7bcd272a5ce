/**
 * `deno task nara:stash:dump` and `deno task nara:stash:restore`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { message } from "@optique/core/message";
import { type Cli, type Command, command } from "../../cli.ts";
import { textOption, textOptions, toggle } from "../../cli/args.ts";
import { EXIT } from "../../cli/exit.ts";
import { fromCaller } from "../../cli/folders.ts";
import { makeContext } from "../../context.ts";
import { ConfigError } from "../../errors.ts";
import { soulArgs, soulFrom } from "./arguments.ts";
import { callerOf } from "./sync.ts";
import {
  openStash,
  parseStash,
  respondStash,
  type SealedStash,
  stashOfConfidants,
  stashOfOwner,
  updateStash,
} from "./stash.ts";

const shared = {
  name: textOption("--name", "NAME", "Your nara's name"),
  ...soulArgs,
  naraUrl: textOption("--nara-url", "STORE", "Your nara's address"),
} as const;

/** The command that takes the stash. */
export const naraStashDumpCommand: Command = command({
  name: "nara:stash:dump",
  usage: "-name NAME [--soul-file FILE] (-nara-url URL | --confidant URL...) > stash.json",
  brief: "Prints your nara's stash, sealed with its soul: one JSON object, as confidants keep it.",
  about: [
    "From the nara itself (-nara-url), which shows it in clear text and writes its JSON anew (keys sorted, large numbers rounded), or " +
    "from confidants (--confidant), which keep the exact bytes; only newer ones answer at once.",
  ],
  examples: [
    "deno task nara:stash:dump -name alice --soul-file ~/alice.soul -nara-url http://127.0.0.1:8080 > stash.json",
    "deno task nara:stash:dump -name alice --soul-file ~/alice.soul --confidant http://100.64.0.7:7433 > stash.json",
  ],
  parser: object({
    ...shared,
    confidant: textOptions("--confidant", "STORE", "A nara that may keep the stash; again for more"),
  }),
  run: async (args, cli) => {
    if ((args.naraUrl === undefined) === (args.confidant.length === 0)) {
      throw new ConfigError("Cannot choose where the stash is: pass either -nara-url URL or --confidant URL");
    }
    const caller = await callerOf(nameOf(args.name), soulFrom(args, cli));
    const options = cli.runOptions(false);
    const context = makeContext(options);
    const stash: SealedStash = args.naraUrl === undefined
      ? await stashOfConfidants(args.confidant, caller, context)
      : await stashOfOwner(args.naraUrl, caller, context);
    cli.terminal.out(JSON.stringify(stash));
    return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
  },
});

/** The command that gives it back. */
export const naraStashRestoreCommand: Command = command({
  name: "nara:stash:restore",
  usage: "-name NAME [--soul-file FILE] -nara-url URL [--input FILE] [--way HOW] < stash.json",
  brief: "Gives a stash back to your nara, or prints it in clear text.",
  about: [
    "--way response (default): sealed on the way, the exact bytes, into a nara that has none; confidants get nothing. --way update: in " +
    "clear text on the way (use https or loopback), replaces what is there, and the nara hands it to its confidants.",
  ],
  examples: [
    "deno task nara:stash:restore -name alice --soul-file ~/alice.soul -nara-url http://127.0.0.1:8080 < stash.json",
    "deno task nara:stash:restore -name alice --soul-file ~/alice.soul --show --input stash.json",
  ],
  parser: object({
    ...shared,
    input: textOption("--input", "FILE", "The sealed stash. Default: standard input"),
    show: toggle("--show", "Print it in clear text instead"),
    way: withDefault(
      option("--way", choice(["response", "update"], { metavar: "HOW" }), {
        description: message`How it travels`,
      }),
      "response" as const,
    ),
  }),
  run: async (args, cli) => {
    if ((args.naraUrl === undefined) !== (args.show ?? false)) {
      throw new ConfigError("Cannot restore the stash: pass either -nara-url URL or --show");
    }
    const caller = await callerOf(nameOf(args.name), soulFrom(args, cli));
    const options = cli.runOptions(false);
    const context = makeContext(options);
    const stash = parseStash(await readInput(args.input, cli));
    const plain = openStash(caller, stash);
    if (args.naraUrl === undefined) cli.terminal.bytes(plain);
    else if (args.way === "update") cli.say(await updateStash(args.naraUrl, plain, context));
    else {
      await respondStash(args.naraUrl, caller, stash, context);
      cli.say("The nara has its stash again");
    }
    return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
  },
});

function nameOf(name: string | undefined): string {
  if (name !== undefined) return name;
  throw new ConfigError("Cannot go on without a name: pass -name NAME, your nara's name");
}

async function readInput(file: string | undefined, cli: Cli): Promise<string> {
  if (file !== undefined) return await Deno.readTextFile(fromCaller(file, cli.folder));
  return await new Response(Deno.stdin.readable).text();
}
