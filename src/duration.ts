/**
 * Spans of time as an operator writes them in limits: a number and a unit.
 *
 * @module
 */

const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** "90s", "30min", "26h", "2d" or "1w" in milliseconds. Throws TypeError, naming `what`, for anything else. */
export function spanOf(text: string, what: string): number {
  const match = /^([1-9][0-9]{0,5})(s|min|h|d|w)$/.exec(String(text));
  if (!match) {
    throw new TypeError(
      `Cannot use ${what} = ${
        JSON.stringify(text)
      }: write a span such as "90s", "30min", "26h", "2d" or "1w"`,
    );
  }
  return Number(match[1]) * UNITS[match[2]!]!;
}

/** A span for people, in the unit that fits: "45 s", "20 min", "31 h", "5.5 days". */
export function formatSpan(ms: number): string {
  const seconds = Math.abs(ms) / 1000;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 72 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 8640) / 10} days`;
}
