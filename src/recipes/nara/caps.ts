/**
 * What a nara keeps of what it is given: 5 pings of a target, 20 observations of a pair. The rest is not worth sending.
 *
 * @module
 */
import { type NaraEvent, word } from "./event.ts";

/** Newest pings that a nara keeps for each target. */
export const PINGS = 5;
/** Observations that a nara keeps for each observer and subject; restarts go last. */
export const OBSERVATIONS = 20;

interface Seat {
  readonly ts: bigint;
  readonly restart: boolean;
  /** The event's number. */
  readonly number: number;
}

/** What is known of a nara's ledger and of what it is about to get. */
export interface Caps {
  /** Notes an event by a number of its own: below 0 one that the nara has. */
  readonly note: (event: NaraEvent, number: number) => void;
  /** Numbers of events that the nara would drop or refuse. */
  readonly judge: () => Set<number>;
}

/** Nothing noted yet. */
export function caps(): Caps {
  const groups = new Map<string, Seat[]>();
  const checkpoints = new Set<string>();

  return {
    note: (event, number) => {
      if (event.svc === "checkpoint") checkpoints.add(word(event, "subject"));
      const key = groupOf(event);
      if (key === undefined) return;
      const seat = { ts: BigInt(event.ts), restart: word(event, "type") === "restart", number };
      const group = groups.get(key);
      if (group) group.push(seat);
      else groups.set(key, [seat]);
    },
    judge: () =>
      new Set(
        [...groups].flatMap(([key, seats]) => losers(key, seats, checkpoints).map(({ number }) => number)),
      ),
  };
}

function groupOf(event: NaraEvent): string | undefined {
  if (event.svc === "ping") return JSON.stringify([word(event, "target")]);
  if (event.svc !== "observation") return undefined;
  return JSON.stringify([word(event, "observer"), word(event, "subject")]);
}

function losers(key: string, seats: readonly Seat[], checkpoints: ReadonlySet<string>): readonly Seat[] {
  const names = JSON.parse(key) as readonly string[];
  const ranked = seats.toSorted(newestFirst);
  if (names.length === 1) return ranked.slice(PINGS);
  if (seats.length <= OBSERVATIONS) return [];
  const restarts = ranked.filter(({ restart }) => restart);
  const others = ranked.filter(({ restart }) => !restart);
  // Restarts go only once a checkpoint has counted them.
  const kept = checkpoints.has(names[1]!) ? OBSERVATIONS : Infinity;
  return [...restarts.slice(kept), ...others.slice(Math.max(0, OBSERVATIONS - restarts.length))];
}

/** Of two with one time, the one that is there stays. */
function newestFirst(a: Seat, b: Seat): number {
  if (a.ts !== b.ts) return a.ts < b.ts ? 1 : -1;
  return Number(a.number >= 0) - Number(b.number >= 0);
}
