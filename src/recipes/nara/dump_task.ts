/**
 * `deno task nara:dump`
 *
 * @module
 */
import { gzipSync, zstdCompressSync } from "node:zlib";
import { object } from "@optique/core/constructs";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { message } from "@optique/core/message";
import type { InferValue } from "@optique/core/parser";
import { type Cli, type Command, command } from "../../cli.ts";
import { numberOption, textOption, textOptions, toggle } from "../../cli/args.ts";
import { EXIT } from "../../cli/exit.ts";
import { fromCaller } from "../../cli/folders.ts";
import { readEvents, refuseAllFailed } from "../../collect/events.ts";
import type { KnownEvents } from "../../collect/events/known.ts";
import { makeContext } from "../../context.ts";
import { ConfigError, messageOf } from "../../errors.ts";
import type { U8 } from "../../stage.ts";
import { appender, knownEvents } from "./append.ts";
import { duration, peerArgs, soulArgs, soulFrom } from "./arguments.ts";
import { nanos, selects } from "./choose.ts";
import { discover } from "./discover.ts";
import { inspector } from "./inspect.ts";
import { callerOf, naraPages } from "./sync.ts";

const parser = object({
  name: textOption("--name", "NAME", "Your nara's name"),
  ...soulArgs,
  ...peerArgs,
  verbose: toggle("--verbose", "Say what happens, with progress; otherwise only warnings"),
  timeout: textOption("--timeout", "DURATION", "For each peer. Default: 3m"),
  workers: numberOption("--workers", "Peers asked at the same time. Default: 5"),
  idsFrom: textOption("--ids-from", "FILE", "Leave out events whose ids this JSON Lines file has"),
  append: textOption(
    "--append",
    "FILE",
    "Add what FILE lacks to it instead of printing; a torn last line is mended",
  ),
  service: textOptions("--service", "NAME", "Only this service; again for more"),
  since: textOption("--since", "NAME", "Only events from this time on: RFC 3339, or nanoseconds since 1970"),
  compress: withDefault(
    option("--compress", choice(["none", "gzip", "zstd"], { metavar: "HOW" }), {
      description: message`Compress what is printed`,
    }),
    "none" as const,
  ),
});

type Args = InferValue<typeof parser>;

/** The command. */
export const naraDumpCommand: Command = command({
  name: "nara:dump",
  usage: "-name NAME [--soul-file FILE] [--peer URL]... [OPTION...]",
  brief: "Prints the events of all naras that can be reached: the union, oldest first, each once.",
  about: [
    "Standard output: JSON Lines, the bytes the naras sent, and nothing else. A nara that fails is a warning and exit code 3; what it sent " +
    "before is printed. If all fail, or none is found: exit code 1.",
    "The flags of nara-backup work as they are, with one dash or two. This does not join the naras' mesh: without --peer, --peers-file and " +
    "--discover it asks the tailscale of this host, which must have joined it.",
  ],
  examples: [
    "deno task nara:dump -name alice --soul-file ~/alice.soul --peer http://127.0.0.1:8080 > events.jsonl",
    "deno task nara:dump -name alice --soul-file ~/alice.soul --discover http://127.0.0.1:8080 --append events.jsonl -verbose",
    "deno task nara:dump -name alice --soul-file ~/alice.soul --tailscale - --compress zstd > events.jsonl.zst",
  ],
  parser,
  run,
});

async function run(args: Args, cli: Cli): Promise<number> {
  if (args.name === undefined) {
    throw new ConfigError("Cannot dump without a name: pass -name NAME, your nara's name");
  }
  if (args.append !== undefined && args.compress !== "none") {
    throw new ConfigError("Cannot append compressed events: leave out --compress");
  }
  selects({ services: args.service });
  const timeoutMs = duration(args.timeout, 180_000);
  const since = args.since === undefined ? undefined : nanos(args.since, "--since");
  const path = (file: string): string => fromCaller(file, cli.folder);
  const caller = await callerOf(args.name, soulFrom(args, cli));
  const options = cli.runOptions(!args.verbose);
  const context = makeContext(options);
  using target = args.append === undefined ? undefined : await appender(path(args.append), options.log);
  const peers = (): Promise<readonly string[]> => discover(peersOf(args, path), context);
  const read = await readEvents(
    {
      peers,
      pages: naraPages(() => Promise.resolve(caller), { services: args.service }),
      timeoutMs,
      workers: args.workers,
      base: () => Promise.resolve({ since }),
    },
    context,
    knownIn({ ids: args.idsFrom, events: args.append }, path, options),
  );
  const inspect = inspector();
  try {
    for await (const block of read.lines()) {
      context.signal.throwIfAborted();
      inspect(block, context);
      if (target) target.write(block);
      else print(packed(block, args.compress), cli);
    }
    target?.sync();
  } finally {
    read.close();
    cli.clear();
  }
  const { events, duplicates, conflicts } = read.facts();
  options.note(
    `${events} events from ${read.reports.length} peers; ${duplicates} came twice, ${conflicts} share an id`,
  );
  refuseAllFailed(read.reports);
  return options.warned() > 0 ? EXIT.warnings : EXIT.complete;
}

/** What is left out: what `--ids-from` has by its ids, as nara-backup does it; what `--append` has by what it says. */
function knownIn(
  files: { readonly ids: string | undefined; readonly events: string | undefined },
  path: (file: string) => string,
  { log, note }: Pick<ReturnType<Cli["runOptions"]>, "log" | "note">,
): KnownEvents {
  const reading = (file: string | undefined): KnownEvents["events"] => {
    if (file === undefined) return undefined;
    let asked = 0;
    return async (know) => {
      const first = asked++ === 0; // what is wrong with a line is said once
      const count = await knownEvents(path(file), first ? log : { ...log, warn: () => {} }, know);
      if (first) note(`${count} known events in ${path(file)}`);
    };
  };
  return { ids: reading(files.ids), events: reading(files.events) };
}

function print(bytes: Uint8Array, cli: Cli): void {
  try {
    cli.terminal.bytes(bytes);
  } catch (error) {
    throw new Error(`${messageOf(error)}. What is there ends in the middle of the log`, { cause: error });
  }
}

function peersOf(args: Args, path: (file: string) => string): Parameters<typeof discover>[0] {
  const named = args.peer.length > 0 || args.peersFile !== undefined || args.discover !== undefined;
  const tailscale = args.tailscale === undefined
    ? !named
    : args.tailscale === "-"
    ? true
    : path(args.tailscale);
  return {
    peers: args.peer,
    peersFile: args.peersFile === undefined ? undefined : path(args.peersFile),
    from: args.discover,
    tailscale,
  };
}

/** A block on its own: what comes after a cut is lost, what came before is not. */
function packed(block: U8, how: "none" | "gzip" | "zstd"): Uint8Array {
  if (how === "gzip") return gzipSync(block);
  return how === "zstd" ? zstdCompressSync(block, { chunkSize: block.length + 65_536 }) : block;
}
