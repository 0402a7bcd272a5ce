/**
 * `deno task nara:restore`
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import type { InferValue } from "@optique/core/parser";
import { bodyOf, readAll, toBytes } from "../../bytes.ts";
import { type Cli, type Command, command } from "../../cli.ts";
import { numberOption, textOption, textOptions, toggle } from "../../cli/args.ts";
import { EXIT } from "../../cli/exit.ts";
import { fromCaller } from "../../cli/folders.ts";
import { expand } from "../../compress/expand.ts";
import { everything, makeContext } from "../../context.ts";
import { ConfigError, messageOf, NotFoundError } from "../../errors.ts";
import type { Bytes, U8 } from "../../stage.ts";
import { duration, soulArgs, soulFrom } from "./arguments.ts";
import { summary } from "./report.ts";
import { giveBack } from "./restore.ts";

const parser = object({
  naraUrl: textOption("--nara-url", "STORE", "The nara's address"),
  ...soulArgs,
  name: textOption("--name", "NAME", "The nara's name. Default: what it says"),
  input: textOption("--input", "FILE", "The log. Default: standard input. gzip and zstd are unpacked"),
  verbose: toggle("--verbose", "Say what happens, with progress"),
  timeout: textOption("--timeout", "DURATION", "For everything. Default: 5m"),
  service: textOptions("--service", "NAME", "Only this service; again for more"),
  emitter: textOptions("--emitter", "NAME", "Only what this nara sent first; again for more"),
  since: textOption("--since", "NAME", "Only events from this time on: RFC 3339, or nanoseconds since 1970"),
  until: textOption("--until", "NAME", "Only events before this time"),
  batch: numberOption("--batch", "Events in one request. Default: 2000"),
  dryRun: toggle("--dry-run", "Say what would be sent; nothing is"),
  json: toggle("--json", "The numbers as one JSON object on standard output"),
});

type Args = InferValue<typeof parser>;

/** The command. */
export const naraRestoreCommand: Command = command({
  name: "nara:restore",
  usage: "-nara-url URL [--soul-file FILE] [OPTION...] < events.jsonl",
  brief: "Gives events back to a nara: what it lacks and would keep, introductions first, then oldest first.",
  about: [
    "A nara keeps 5 pings of a target, 20 observations of a pair, and so many events in all: what it would drop is counted and not sent, so a second run sends " +
    "nothing. A line that is no event, and an event the nara breaks on, is a warning (exit code 3); all others arrive. Afterwards its " +
    "ledger is read again, and what it kept is said in numbers.",
    "Events travel as they are: use https or loopback. The soul is never sent.",
  ],
  examples: [
    "deno task nara:restore -nara-url http://127.0.0.1:8080 --soul-file ~/alice.soul < events.jsonl",
    "deno task nara:restore -nara-url http://127.0.0.1:8080 --soul-file ~/alice.soul --input events.jsonl.zst --service social --since 2026-01-01",
  ],
  parser,
  run,
});

async function run(args: Args, cli: Cli): Promise<number> {
  if (args.naraUrl === undefined || !/^https?:$/.test(URL.parse(args.naraUrl)?.protocol ?? "")) {
    throw new ConfigError("Cannot restore without an address: pass -nara-url http://HOST:PORT");
  }
  const options = cli.runOptions(!args.verbose);
  const input = args.input === undefined ? undefined : fromCaller(args.input, cli.folder);
  try {
    const result = await giveBack({
      target: args.naraUrl,
      soul: soulFrom(args, cli),
      name: args.name,
      lines: () => unpacked(read(input)),
      services: args.service,
      emitters: args.emitter,
      since: args.since,
      until: args.until,
      batch: args.batch,
      timeoutMs: duration(args.timeout, 300_000),
      dryRun: args.dryRun,
    }, makeContext(options));
    cli.clear();
    if (args.json) cli.terminal.out(JSON.stringify(result));
    cli.say(summary(result, args.dryRun ?? false));
    const lost = result.imported - result.kept > 0 && !args.dryRun;
    return options.warned() > 0 || lost ? EXIT.warnings : EXIT.complete;
  } finally {
    cli.clear();
  }
}

function read(path: string | undefined): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    using file = path === undefined ? undefined : await open(path);
    for (;;) {
      const chunk = new Uint8Array(1 << 20);
      const size = await (file ?? Deno.stdin).read(chunk);
      if (size === null) return;
      yield chunk.subarray(0, size);
    }
  });
}

/** A log that can be read more than once: a file is, standard input is kept. */
export async function readLogFile(path: string | undefined): Promise<() => Bytes> {
  if (path !== undefined) return () => unpacked(read(path));
  const all = await readAll(unpacked(read(undefined)), 1 << 30, "the log");
  return () => bodyOf(all).read();
}

async function open(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path);
  } catch (cause) {
    throw new NotFoundError(`Cannot read the log: ${messageOf(cause)}`, { cause });
  }
}

/** Unpacks gzip and zstd, told by the first bytes. */
function unpacked(bytes: Bytes): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    const reader = bytes.getReader();
    const first = await reader.read();
    const again = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      for (let next = first; !next.done; next = await reader.read()) yield next.value;
    });
    const head = first.value ?? new Uint8Array(0);
    const packed = (head[0] === 0x1f && head[1] === 0x8b) || (head[0] === 0x28 && head[1] === 0xb5);
    const options = { limits: everything.limits, what: "the log" };
    for await (const chunk of packed ? expand({ read: () => again }, options).read() : again) yield chunk;
  });
}
