/**
 * naras: what a network of them remembers, as a source of Holdfast; see the README.
 *
 * @module
 */
import { events } from "../collect/mod.ts";
import { KeyError } from "../errors.ts";
import type { EventsBase, PeerError } from "../collect/events.ts";
import type { Context, Files, Stage } from "../stage.ts";
import { discover, type DiscoverOptions } from "./nara/discover.ts";
import { inspector } from "./nara/inspect.ts";
import { giveBack } from "./nara/restore.ts";
import { parseSoul } from "./nara/soul.ts";
import { type Caller, naraPages } from "./nara/sync.ts";

export type { DiscoverOptions } from "./nara/discover.ts";
export { giveBack, type GiveBackOptions, type GiveBackResult } from "./nara/restore.ts";
export type { EventsBase, PeerError };

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
 * to `target`, see {@linkcode giveBack}; into a folder, it writes the log.
 *
 * Throws TypeError without a name, when it is made.
 */
export function collectNara(options: NaraOptions): Stage<void, Files> {
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
      await giveBack(
        { target, soul: options.soul, name: options.name, lines, dryRun: context.want.dryRun },
        context,
      );
    },
  });
}

/** Reads the soul, and makes sure that it belongs to the name. */
export async function callerOf(name: string, soul: () => string | Promise<string>): Promise<Caller> {
  const parsed = parseSoul(await soul());
  if (!parsed.fits(name)) {
    throw new KeyError(
      `Cannot use the soul: it was made for another name than "${name}". Names are case-sensitive`,
    );
  }
  return { name, soul: parsed };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => made ??= make();
}
