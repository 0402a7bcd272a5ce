/**
 * A nara's ledger has a largest number of events. What it drops when that is reached, it drops in an order; what it would drop at once is
 * not worth sending.
 *
 * @module
 */
import { type NaraEvent, word } from "./event.ts";

/** What is in a ledger, and what is about to be. */
export interface Room {
  /** Notes an event by a number of its own; of two that are equal for this, the one with the lower number stays. */
  readonly note: (event: NaraEvent, number: number) => void;
  /** The numbers that have to go, when those in `gone` are gone already and the keys of some naras are known. */
  readonly judge: (gone: ReadonlySet<number>, knows: (name: string) => boolean) => readonly number[];
}

/** Never dropped for want of room. */
const CRITICAL = 0;
/** Added for events about naras whose key is not known: they go first. */
const UNKNOWN = 16;
/** The higher, the earlier it goes. */
const SORTS: Readonly<Record<string, number>> = {
  "checkpoint": CRITICAL,
  "hey-there": 1,
  "chau": 1,
  "social": 2,
  "seen": 3,
  "ping": 4,
};
/** Members that name the naras an event is about. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  "hey-there": ["From"],
  "chau": ["From"],
  "observation": ["observer", "subject"],
  "social": ["actor", "target", "witness"],
  "ping": ["observer", "target"],
  "seen": ["observer", "subject"],
};

/**
 * A ledger of `most` events (0: of any number). First go those about naras whose key is not known, then pings, seens, social events, and
 * at last introductions, goodbyes and changes of status; of one sort the oldest. Nothing goes once a critical one is next.
 */
export function room(most: number): Room {
  const events: {
    readonly time: bigint;
    readonly sort: number;
    readonly about: number;
    readonly number: number;
  }[] = [];
  const numbers = new Map<string, number>(); // of each combination of names
  const about = (event: NaraEvent): number => {
    const names = (NAMES[event.svc] ?? []).map((key) => word(event, key)).filter((name) => name !== "");
    const key = JSON.stringify(names);
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    return number;
  };
  return {
    note: (event, number) => {
      if (most > 0) events.push({ time: BigInt(event.ts), sort: sortOf(event), about: about(event), number });
    },
    judge: (gone, knows) => {
      const left = events.filter(({ number }) => !gone.has(number));
      if (left.length <= most) return [];
      const strange = [...numbers.keys()].map((key) => !(JSON.parse(key) as string[]).every(knows));
      const rank = (one: { sort: number; about: number }): number =>
        one.sort + (strange[one.about] ? UNKNOWN : 0);
      left.sort((a, b) =>
        rank(b) - rank(a) || (a.time < b.time ? -1 : a.time > b.time ? 1 : b.number - a.number)
      );
      const going = left.slice(0, left.length - most);
      const stop = going.findIndex(({ sort }) => sort === CRITICAL);
      return (stop < 0 ? going : going.slice(0, stop)).map(({ number }) => number);
    },
  };
}

function sortOf(event: NaraEvent): number {
  if (event.svc !== "observation") return SORTS[event.svc] ?? 2;
  const type = word(event, "type");
  return type === "restart" || type === "first-seen" ? CRITICAL : type === "status-change" ? 1 : 2;
}
