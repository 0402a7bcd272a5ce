/**
 * naras: what a network of them remembers, as a source of Holdfast; see the README.
 *
 * @module
 */
import { events } from "../collect/mod.ts";
import type { EventsBase } from "../collect/events.ts";
import type { Context, Files, Stage } from "../stage.ts";
import { discover, type DiscoverOptions } from "./nara/discover.ts";
import { inspector } from "./nara/inspect.ts";
import { giveBack } from "./nara/restore.ts";
import { summary } from "./nara/report.ts";
import { callerOf, naraPages } from "./nara/sync.ts";

export type { DiscoverOptions } from "./nara/discover.ts";
export type { EventsBase };

/** How naras' events are collected. */
export interface NaraOptions extends DiscoverOptions {
  /** Your nara's name: requests are signed as it. */
  readonly name: string;
  /** Your nara's soul: a function, asked when the run needs it. */
  readonly soul: () => string | Promise<string>;
  /** Only these services ("social", "ping", "observation", "hey-there", "chau", "seen", "checkpoint"). Default: all. */
  readonly services?: readonly string[] | undefined;
  /** Milliseconds each peer may take in all. Default: 180,000. */
  readonly timeoutMs?: number | undefined;
  /** Peers asked at the same time. Default: 5. */
  readonly workers?: number | undefined;
  /** Stored path. Default: "events.jsonl". */
  readonly path?: string | undefined;
  /** What the last backup said, for an incremental one: `sinceLastBackup`. */
  readonly base?: ((context: Context) => Promise<EventsBase | undefined>) | undefined;
  /** The nara that gets the events, when a backup is restored in place. */
  readonly target?: string | undefined;
}

/**
 * Collects the events of all peers: the union, oldest first, each once, with ids and answers verified. Undo with `want.inPlace` gives them
 * to `target`: what it lacks and would keep by its caps (5 pings of a target, 20 observations of a pair, its ledger), introductions first, then oldest
 * first, in signed batches; an event that breaks a batch is found and reported ("refused"), and what is there afterwards is counted. Into
 * a folder, it writes the log.
 *
 * Throws TypeError without a name, when it is made.
 */
export function collect(options: NaraOptions): Stage<void, Files> {
  if (options.name.trim() === "") throw new TypeError('Cannot collect from naras: "name" is empty');
  const { target } = options;
  return events({
    peers: (context) => discover(options, context),
    pages: naraPages(once(() => callerOf(options.name, options.soul)), { services: options.services }),
    path: options.path,
    timeoutMs: options.timeoutMs,
    workers: options.workers,
    base: options.base,
    inspect: inspector(),
    restore: target === undefined ? undefined : async (lines, context) => {
      const { soul, name } = options;
      const { dryRun } = context.want;
      const result = await giveBack({ target, soul, name, lines, dryRun }, context);
      context.log.info(summary(result, dryRun));
      if (!dryRun && result.kept < result.imported) {
        context.log.warn("kept", `Of ${result.imported} imported events ${result.kept} are there afterwards`);
      }
    },
  });
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => made ??= make();
}
