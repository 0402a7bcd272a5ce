/**
 * Which streams of an account are backed up, and in which order.
 *
 * @module
 */
import picomatch from "picomatch";
import type { StreamInfo } from "./streams.ts";
import { type ExactObject, integerAt, textAt } from "../../nats/exact.ts";

/** Streams that are read before, or after, all others. */
export interface StreamOrder {
  /** Read first, one after the other in this order, each whole before the next. */
  readonly first?: readonly string[] | undefined;
  /** Read last, likewise. */
  readonly last?: readonly string[] | undefined;
}

/** Which streams. */
export interface StreamChoice {
  /** Globs over stream names; a bucket x is "KV_x", an object store "OBJ_x". Default: all. */
  readonly streams?: readonly string[] | undefined;
  /** Globs over stream names to leave out. */
  readonly exclude?: readonly string[] | undefined;
  /** What becomes of streams that live in memory, which the server cannot snapshot. Default: "skip". */
  readonly memory?: "skip" | "messages" | undefined;
  /** Why a stream is left out, or undefined: for rules that globs cannot say. */
  readonly skip?: ((name: string) => string | undefined) | undefined;
}

/** A stream that is left out on purpose, and why. */
export interface Skipped {
  /** The stream. */
  readonly name: string;
  /** Why. */
  readonly why: string;
}

/** Whether a name is chosen. Throws TypeError for globs that are none. */
export function chooser(
  { streams = ["*"], exclude = [], memory = "skip" }: StreamChoice,
): (name: string) => boolean {
  for (const [option, globs] of [["streams", streams], ["exclude", exclude]] as const) {
    if (!Array.isArray(globs) || globs.some((glob) => typeof glob !== "string" || glob === "")) {
      throw new TypeError(`Cannot choose streams: "${option}" must be a list of names or globs`);
    }
  }
  if (memory !== "skip" && memory !== "messages") {
    throw new TypeError('Cannot choose streams: "memory" must be "skip" or "messages"');
  }
  if (streams.length === 0) throw new TypeError('Cannot choose streams: "streams" is empty');
  const wanted = picomatch([...streams], { dot: true });
  const unwanted = exclude.length > 0 ? picomatch([...exclude], { dot: true }) : (): boolean => false;
  return (name) => wanted(name) && !unwanted(name);
}

/** Sorts an account's streams into those to read and those to leave out. Streams nobody chose are in neither. */
export function chooseStreams(
  all: readonly StreamInfo[],
  choice: StreamChoice,
): { readonly chosen: readonly StreamInfo[]; readonly skipped: readonly Skipped[] } {
  const test = chooser(choice);
  const chosen: StreamInfo[] = [];
  const skipped: Skipped[] = [];
  for (const stream of all.filter(({ name }) => test(name))) {
    const why = choice.skip?.(stream.name) ??
      (choice.memory !== "messages" && isMemory(stream) ? "memory storage" : undefined);
    if (why === undefined) chosen.push(stream);
    else skipped.push({ name: stream.name, why });
  }
  return { chosen, skipped };
}

/** Whether a stream lives in memory alone: the server cannot snapshot it. */
export function isMemory({ config }: StreamInfo): boolean {
  return textAt(config, "storage") === "memory";
}

/** Whether a stream's limits remove messages as time goes by, also right after a restore. */
export function expires(config: ExactObject): boolean {
  return integerAt(config, "max_age") > 0n || config.allow_msg_ttl === true;
}

/** Groups that are read one after the other; within a group streams are read at once. */
export function phases<T extends { readonly name: string }>(
  streams: readonly T[],
  { first = [], last = [] }: StreamOrder,
): readonly (readonly T[])[] {
  const named = (names: readonly string[]): readonly (readonly T[])[] =>
    names.map((name) => streams.filter((stream) => stream.name === name));
  const rest = streams.filter(({ name }) => !first.includes(name) && !last.includes(name));
  return [...named(first), rest, ...named(last)].filter((phase) => phase.length > 0);
}
