/**
 * Faults by chance, from a seed.
 *
 * @module
 */
import { StoreError } from "../errors.ts";
import type { Fault } from "./faulty.ts";
import type { Random } from "./random.ts";

/** Bad luck that {@linkcode simulate} knows; each befalls one run at a moment of chance. */
export type FaultName =
  | "error"
  | "throttle"
  | "reset"
  | "torn"
  | "stall"
  | "slow"
  | "duplicate"
  | "stale-list"
  | "clock-skew"
  | "wrong-etag"
  | "expired"
  | "disk-full"
  | "death";

/** Calls that a small backup with retention makes, about: where chance puts a fault. */
const CALLS = 40;
const DAY_MS = 24 * 60 * 60 * 1000;

const refusal = (why: string, retryable = false) => (): Error =>
  new StoreError(`Cannot use the store: ${why}`, { retryable });

const MAKERS: Readonly<Record<FaultName, (chance: Random) => readonly Fault[]>> = {
  error: (chance) => [{
    on: "any",
    how: "fail",
    nth: chance.between(1, CALLS),
    error: refusal("it answers 503", true),
  }],
  throttle: (chance) => {
    const first = chance.between(1, CALLS);
    const error = refusal("it answers 429 Too Many Requests", true);
    return [0, 1, 2].map((more) => ({ on: "any", how: "fail", nth: first + more, error }));
  },
  reset: (chance) => [{
    on: "any",
    how: "after",
    nth: chance.between(1, CALLS),
    error: refusal("the connection was reset before the answer came", true),
  }],
  torn: (chance) => [{
    on: chance.pick(["put", "put", "get", "list"]),
    how: "tear",
    nth: chance.between(1, 12),
    at: chance.between(0, 300),
  }],
  stall: (chance) => [{
    on: chance.pick(["put", "get", "head", "delete"]),
    how: "stall",
    nth: chance.between(1, 10),
    ms: chance.between(20, 250),
  }],
  slow: (chance) => [{ on: chance.pick(["put", "get", "any"]), how: "slow", ms: chance.between(1, 3) }],
  duplicate: (chance) => [{ on: chance.pick(["put", "delete"]), how: "twice", from: chance.between(1, 5) }],
  "stale-list": (chance) => [{
    on: "list",
    how: "late",
    at: chance.between(1, LATEST),
    from: chance.between(1, 3),
  }],
  "clock-skew": (chance) => [
    { on: "list", how: "skew", ms: chance.between(-5, 5) * DAY_MS },
    { on: "head", how: "skew", ms: chance.between(-5, 5) * DAY_MS },
  ],
  "wrong-etag": (chance) => [{
    on: "put",
    how: "after",
    nth: chance.between(1, 10),
    error: refusal("it says that it stored other bytes than it was sent"),
  }],
  expired: (chance) => [{
    on: "any",
    how: "fail",
    from: chance.between(1, CALLS),
    error: refusal("the credentials have expired"),
  }],
  "disk-full": (chance) => [{ on: "put", how: "full", at: chance.between(0, 4000) }],
  death: (chance) => [{
    on: "any",
    how: "fail",
    from: chance.between(1, CALLS),
    error: refusal("this machine has died"),
  }],
};

/** The most changes that a late listing lacks. */
export const LATEST = 30;

/** Every kind of bad luck. */
export const FAULTS: readonly FaultName[] = Object.keys(MAKERS) as FaultName[];

/** What befalls one run: none to three of `names`, in the order of their faults. */
export function schedule(
  names: readonly FaultName[],
  chance: Random,
): readonly { readonly name: FaultName; readonly fault: Fault }[] {
  const count = names.length === 0 ? 0 : chance.pick([0, 1, 1, 2, 2, 3]);
  return Array.from({ length: count }, () => chance.pick(names)).flatMap((name) =>
    MAKERS[name](chance).map((fault) => ({ name, fault }))
  );
}
