/**
 * NATS JetStream: exact snapshots of an account's streams, buckets and object stores, and their way back.
 *
 * @module
 */
import type { Context, Entry, FactSheet, Files, Stage } from "../stage.ts";
import { extract } from "./extract.ts";
import { chooser, type StreamChoice, type StreamOrder } from "./jetstream/choose.ts";
import { drillStreams } from "./jetstream/drill.ts";
import { type MessageChoice, messageFilter } from "./jetstream/message.ts";
import { entriesOf } from "./jetstream/entries.ts";
import { checkServer, connectTo, type NatsServer } from "../nats/link.ts";
import { newTally, readStreams, settle, skewOf, type Tally } from "./jetstream/read.ts";
import { checkRename } from "./jetstream/rename.ts";
import { restoreStreams } from "./jetstream/restore.ts";
import { plain, type PlainStage } from "./plain.ts";
import { stoppable } from "./stoppable.ts";

/** Which server, which streams, and how. */
export interface JetStreamOptions extends NatsServer, StreamChoice {
  /** Which streams come before and after all others. Default: none; all are read at once, within `concurrency`. */
  readonly order?: StreamOrder | undefined;
  /**
   * How streams are stored. "snapshot": exact, for NATS alone. "messages": `NAME/messages.ndjson`, a line of JSON a message (`subject`,
   * `sequence`, `time`, `headers`, and `text`, or `base64` where it is not UTF-8), which other programs can read. Default: "snapshot".
   */
  readonly as?: "snapshot" | "messages" | undefined;
  /** Which messages are copied, and which are restored, of streams that are stored message by message. Default: all. */
  readonly select?: MessageChoice | undefined;
  /** Restore the messages of such a stream into the stream that exists, after those it has. Default: false. */
  readonly append?: boolean | undefined;
  /** Streams read at once, 1 to 64. Default: 4. */
  readonly concurrency?: number | undefined;
  /** Whether consumers come along, with their positions. Default: true. */
  readonly consumers?: boolean | undefined;
  /** Store what could be read when a stream fails (a warning, exit code 3). Default: false, nothing is stored. */
  readonly partial?: boolean | undefined;
  /** Silence after which the server counts as gone, in milliseconds. Default: 15,000. */
  readonly idleMs?: number | undefined;
  /** Restore with so many replicas instead of the recorded number: 1, 3 or 5. */
  readonly replicas?: number | undefined;
  /**
   * Restore streams under other names: new names by the old ones. No server takes a snapshot under another name, so the messages are
   * published anew (see below); what was a snapshot goes through a private server of `natsServer`.
   */
  readonly rename?: Readonly<Record<string, string>> | undefined;
  /** The nats-server that a drill, and a stream under another name, goes through. Default: "nats-server" from the PATH. */
  readonly natsServer?: string | undefined;
  /** Folder for snapshots beyond 4 MiB, which wait there, encrypted and without a name; default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
}

const NAME = "jetstream";

/**
 * Stores each stream of an account as the two files that the `nats` command writes: `NAME/backup.json` and `NAME/stream.tar.s2`
 * (`$JS.API.STREAM.SNAPSHOT`). Configuration, state, sequences, times and consumers are exact. A bucket is the stream `KV_name`, an
 * object store `OBJ_name`. Streams in memory are left out, and named. Each stream is consistent in itself; the receipt records the
 * sequences and the time of each cut and how far the cuts are apart.
 *
 * With `as: "messages"` (and for streams in memory with `memory: "messages"`) a stream is copied message by message. Restored, its
 * messages are published anew, in order: they get new numbers and times, lose `Nats-Msg-Id` and `Nats-Expected-*`, and consumers stay behind.
 *
 * A stream that cannot be read fails the run once all others have been read, unless `partial` is set. So does a stream that the
 * server lists as missing or offline, and an account without streams.
 *
 * Undo with `want.inPlace` restores into the server, all or none, once the whole backup has been verified: `want.only` chooses by
 * stream name, and conflicts are found before anything is touched. "overwrite" keeps a snapshot of the old stream until all new
 * ones stand. With `want.into` the files are written there; `nats account restore` takes them.
 *
 * Throws TypeError or RangeError for wrong options.
 *
 * @example
 * ```ts ignore
 * collect.jetstream({ servers: "nats://10.0.0.5:4222", auth: () => ({ token: readToken() }), streams: ["KV_*", "ORDERS"] });
 * ```
 */
export function jetstream(options: JetStreamOptions = {}): Stage<void, Files> {
  checkOptions(options);
  const stage: PlainStage = {
    name: NAME,
    verb: "collect",
    run: (_input, context) => Promise.resolve(collect(options, context)),
    undo: (stored, context) =>
      context.want.inPlace ? restoreStreams(stored, context, options) : extract(stored, context),
    drill: (folder, context) => drillStreams(folder, context, options),
    [plain]: (want) => want.inPlace ? undefined : () => [],
  };
  return stage;
}

/** Throws TypeError or RangeError for what no run can use. */
export function checkOptions(options: JetStreamOptions): void {
  const { concurrency = 4, idleMs = 15_000, replicas = 1 } = options;
  checkServer(options);
  chooser(options);
  messageFilter(options.select ?? {});
  checkRename(options.rename);
  if (options.as !== undefined && options.as !== "snapshot" && options.as !== "messages") {
    throw new TypeError('Cannot store streams as that: "as" must be "snapshot" or "messages"');
  }
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 64) {
    throw new RangeError(`Cannot read ${concurrency} streams at once: use 1 to 64`);
  }
  if (!(idleMs >= 100)) throw new RangeError(`Cannot use idleMs ${idleMs}: use at least 100 milliseconds`);
  if (![1, 3, 5].includes(replicas)) {
    throw new RangeError(`Cannot restore with ${replicas} replicas: use 1, 3 or 5`);
  }
}

function collect(options: JetStreamOptions, context: Context): Files {
  const tally = newTally();
  let begun = false;
  let ended = false;

  async function* entries(signal: AbortSignal): AsyncGenerator<Entry, void, undefined> {
    if (begun) throw new Error("Cannot collect twice: run the stage anew");
    begun = true;
    yield* read(options, context, signal, tally);
    ended = true;
  }

  return {
    kind: "files",
    entries: () => stoppable(NAME, context.signal, entries),
    facts: (): FactSheet => {
      if (!ended) throw new Error("Cannot tell the facts of streams before they are read");
      return {
        sources: [{ tool: NAME, cutAt: context.now.toISOString(), facts: factsOf(tally) }],
        stages: [],
      };
    },
  };
}

async function* read(
  options: JetStreamOptions,
  context: Context,
  signal: AbortSignal,
  tally: Tally,
): AsyncGenerator<Entry, void, undefined> {
  const { concurrency = 4, consumers = true, idleMs = 15_000 } = options;
  const partial = context.partial ?? options.partial ?? false;
  const link = await connectTo(options);
  try {
    const memory = options.as === "messages" ? "messages" : options.memory;
    const how = { ...options, memory, concurrency, consumers, idleMs, flow: !partial };
    const snapshots = readStreams(link, how, context, signal, tally);
    /** One fails in the middle of its file: the others are read still, so that all that fail are known. */
    const failed = async (error: unknown): Promise<unknown> => {
      if (signal.aborted) return error;
      try {
        for await (const other of snapshots) if ("window" in other) other.window.discard();
        settle(tally, false, context);
        return error;
      } catch (cause) {
        return cause;
      }
    };
    for await (const snapshot of snapshots) yield* entriesOf(snapshot, "", NAME, failed);
    if (tally.found === 0) {
      throw new Error(
        `Cannot back up JetStream at ${link.where}: the account has no stream to store. Check the account and the choice of streams`,
      );
    }
    settle(tally, partial, context);
  } finally {
    await link.close();
  }
}

/** What the receipt records. */
export function factsOf({ cuts, skipped, failures }: Tally): Readonly<Record<string, unknown>> {
  return {
    streams: cuts.map((cut) => ({ ...cut })),
    skewMs: skewOf(cuts),
    skipped: skipped.map((one) => ({ ...one })),
    failed: failures.map(({ name }) => name),
  };
}
