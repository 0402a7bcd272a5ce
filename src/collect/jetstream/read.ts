/**
 * Reads the chosen streams of an account: snapshots, in the stated order, with what is known of each.
 *
 * @module
 */
import { messageOf } from "../../errors.ts";
import type { Context } from "../../stage.ts";
import { ahead } from "../../ahead.ts";
import {
  chooseStreams,
  isMemory,
  phases,
  type Skipped,
  type StreamChoice,
  type StreamOrder,
} from "./choose.ts";
import { integerAt } from "../../nats/exact.ts";
import type { Link } from "../../nats/link.ts";
import { copyMessages } from "./copy.ts";
import type { MessageChoice } from "./message.ts";
import { beginSnapshot, type Flow } from "./begin.ts";
import { type Snapshot, type SnapshotOptions, takeSnapshot } from "./snapshot.ts";
import { kindOfStream, listStreams, type StreamInfo } from "./streams.ts";

/** What is read, and how. */
export interface ReadOptions extends StreamChoice {
  /** Which streams come before and after all others. */
  readonly order?: StreamOrder | undefined;
  /** Snapshots taken at once. */
  readonly concurrency: number;
  /** Snapshots, or messages one by one. */
  readonly as?: "snapshot" | "messages" | undefined;
  /** Which messages, where they are copied one by one. */
  readonly select?: MessageChoice | undefined;
  /** Whether consumers come along. */
  readonly consumers: boolean;
  /** Silence after which a server counts as gone. */
  readonly idleMs: number;
  /** Whether a long snapshot is handed on while it still comes. One that fails then takes all with it. Default: false. */
  readonly flow?: boolean | undefined;
  /** Where what does not fit into memory waits. */
  readonly spoolDir?: string | undefined;
}

/** A stream that could not be read. */
export interface Failure {
  /** The stream. */
  readonly name: string;
  /** Why. */
  readonly error: Error;
}

/** What has been read. */
export interface Tally {
  /** Streams found, chosen or not left out. */
  found: number;
  /** In the order they were read. */
  readonly cuts: Cut[];
  /** Left out on purpose. */
  readonly skipped: Skipped[];
  /** Not readable. */
  readonly failures: Failure[];
}

/** One stream's cut, as the receipt records it; 64-bit numbers as text. */
export type Cut = {
  readonly name: string;
  readonly kind: "kv" | "object_store" | "stream";
  readonly format: string;
  readonly messages: string;
  readonly firstSeq: string;
  readonly lastSeq: string;
  readonly consumers: string;
  readonly bytes: number;
  readonly cutAt: string;
};

/** An empty tally. */
export function newTally(): Tally {
  return { found: 0, cuts: [], skipped: [], failures: [] };
}

/**
 * Takes the snapshots. Each is handed on before the next is, and closed then. A stream that fails goes into the tally, the others
 * are read.
 */
export async function* readStreams(
  link: Link,
  options: ReadOptions,
  context: Context,
  signal: AbortSignal,
  tally: Tally,
): AsyncGenerator<Snapshot | Flow, void, undefined> {
  const account = await listStreams(link);
  const { chosen, skipped } = chooseStreams(account.streams, options);
  const absent = chooseStreams(account.absent.map(({ name }) => ({ name, config: {}, state: {} })), options);
  tally.found = chosen.length + absent.chosen.length;
  tally.skipped.push(...skipped, ...absent.skipped);
  for (const { name, why } of account.absent) {
    if (absent.chosen.some((stream) => stream.name === name)) fail(tally, name, new Error(why), context);
  }
  for (const { name, why } of tally.skipped) context.log.info(`Skipping the stream "${name}": ${why}`);
  let bytes = 0;
  const take = (stream: StreamInfo, stop: AbortSignal): Promise<Snapshot | Flow> => {
    let before = 0;
    const how: SnapshotOptions = {
      ...options,
      signal: AbortSignal.any([signal, stop]),
      progress: (now) => {
        bytes += now - before;
        before = now;
        context.progress({ phase: "collect", bytes, entries: tally.cuts.length });
      },
    };
    return options.as === "messages" || isMemory(stream)
      ? copyMessages(link, stream, options.select ?? {}, how)
      : (options.flow ? beginSnapshot : takeSnapshot)(link, stream.name, how);
  };
  for (const phase of phases(chosen, options.order ?? {})) {
    for await (const outcome of ahead(phase, options.concurrency, take, close)) {
      signal.throwIfAborted();
      const { name } = outcome.item;
      if ("error" in outcome) fail(tally, name, outcome.error, context);
      else yield* handOn(outcome.value, (error) => fail(tally, name, error, context), tally.cuts);
    }
  }
}

/** Hands a snapshot on, and says what it was, or why it failed meanwhile. */
async function* handOn(
  taken: Snapshot | Flow,
  failed: (error: Error) => void,
  cuts: Cut[],
): AsyncGenerator<Snapshot | Flow, void, undefined> {
  try {
    if ("window" in taken && taken.failure()) return failed(taken.failure()!.error);
    yield taken;
    cuts.push(await cutOf(taken));
  } catch (error) {
    failed(error as Error); // not the reader's: an error of theirs does not come in here
  } finally {
    close(taken);
  }
}

function close(taken: Snapshot | Flow): void {
  "window" in taken ? taken.close() : taken.content.close();
}

function fail(tally: Tally, name: string, error: Error, context: Context): void {
  tally.failures.push({ name, error });
  context.log.info(`The stream "${name}" failed: ${messageOf(error)}`);
}

async function cutOf(taken: Snapshot | Flow): Promise<Cut> {
  const { name, state, cutAt } = taken;
  const [format, bytes] = "window" in taken
    ? [(await taken.ended).format, taken.received()]
    : [taken.format, taken.content.size()];
  return {
    name,
    kind: kindOfStream(name),
    format,
    messages: String(integerAt(state, "messages")),
    firstSeq: String(integerAt(state, "first_seq")),
    lastSeq: String(integerAt(state, "last_seq")),
    consumers: String(integerAt(state, "consumer_count")),
    bytes,
    cutAt: cutAt.toISOString(),
  };
}

/** Milliseconds between the first cut and the last: no two streams are cut at the same instant. */
export function skewOf(cuts: readonly Cut[]): number {
  const times = cuts.map(({ cutAt }) => new Date(cutAt).getTime());
  return times.length === 0 ? 0 : Math.max(...times) - Math.min(...times);
}

/** Throws what failed; with `partial` it is a warning for each instead, as long as something was read. */
export function settle({ found, failures, cuts }: Tally, partial: boolean, context: Context): void {
  if (failures.length === 0) return;
  if (partial && cuts.length > 0) {
    for (const { name, error } of failures) {
      context.log.warn("stream", `Not in this backup: the stream "${name}": ${messageOf(error)}`);
    }
    return;
  }
  const shown = failures.slice(0, 5).map(({ name, error }) => `"${name}": ${messageOf(error)}`);
  const more = failures.length > shown.length ? `; and ${failures.length - shown.length} more` : "";
  // Not the errors themselves: what is damaged here is no backup (exit code 5), it is a source that cannot be read.
  throw new AggregateError(
    failures.map(({ error }) => new Error(messageOf(error))),
    `Cannot back up ${failures.length} of ${found} streams: ${
      shown.join("; ")
    }${more}. Nothing was stored. ` +
      "Run again, or set partial (--partial) to store the others",
  );
}
