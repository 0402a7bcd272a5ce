/**
 * Chance that can be repeated.
 *
 * @module
 */

/** A source of numbers from a seed: the same on every machine. */
export interface Random {
  /** A number from 0 (inclusive) to 1 (exclusive). */
  readonly next: () => number;
  /** A whole number from `low` to `high`, both inclusive. */
  readonly between: (low: number, high: number) => number;
  /** One of several; throws RangeError for none. */
  readonly pick: <T>(choices: readonly T[]) => T;
}

/** Mulberry32: 32 bits of state, good enough to choose faults, no good for secrets. */
export function random(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    between,
    pick: (choices) => {
      if (choices.length === 0) throw new RangeError("Cannot pick: there is nothing to pick from");
      return choices[between(0, choices.length - 1)]!;
    },
  };
}
