/**
 * Calendar durations as an operator writes them.
 *
 * @module
 */

/** A duration by the calendar. Every member is a whole number, 0 or more; at least one is not 0. */
export interface CalendarDuration {
  /** Years. */
  readonly years: number;
  /** Months. */
  readonly months: number;
  /** Weeks. */
  readonly weeks: number;
  /** Calendar days: 23, 24 or 25 hours where clocks change. */
  readonly days: number;
  /** Hours of 60 minutes. */
  readonly hours: number;
  /** Minutes; only in the ISO form. */
  readonly minutes: number;
  /** Seconds; only in the ISO form. */
  readonly seconds: number;
}

const SHORT =
  /^(?:(?<years>\d+)y)?(?:(?<months>\d+)m)?(?:(?<weeks>\d+)w)?(?:(?<days>\d+)d)?(?:(?<hours>\d+)h)?$/;
const ISO =
  /^P(?:(?<years>\d+)Y)?(?:(?<months>\d+)M)?(?:(?<weeks>\d+)W)?(?:(?<days>\d+)D)?(?:T(?:(?<hours>\d+)H)?(?:(?<minutes>\d+)M)?(?:(?<seconds>\d+)S)?)?$/;

/** Far beyond any archive, and below what `Temporal.Duration` refuses in every unit. */
const MOST = 999_999;

/**
 * Reads "14d", "36h", "1y6m" (years, months, weeks, days, hours, in this order, as restic writes them: `m` is a month),
 * or the ISO 8601 form "P14D", "PT36H", without fractions. Throws TypeError for anything else, RangeError for a duration
 * of nothing and for numbers above 999,999.
 */
export function parseDuration(text: string): CalendarDuration {
  const parts = typeof text === "string" && /\d[A-Za-z]$/.test(text)
    ? SHORT.exec(text) ?? ISO.exec(text)
    : null;
  if (!parts?.groups) {
    throw new TypeError(
      `Cannot read ${
        JSON.stringify(text)
      } as a duration: write "14d", "36h", "1y6m" (m is months) or ISO 8601 "P14D"`,
    );
  }
  const { years, months, weeks, days, hours, minutes, seconds } = parts.groups;
  const duration = {
    years: Number(years ?? 0),
    months: Number(months ?? 0),
    weeks: Number(weeks ?? 0),
    days: Number(days ?? 0),
    hours: Number(hours ?? 0),
    minutes: Number(minutes ?? 0),
    seconds: Number(seconds ?? 0),
  };
  const longest = Math.max(...Object.values(duration));
  if (longest === 0 || longest > MOST) {
    throw new RangeError(
      `Cannot use the duration "${text}": each number goes up to ${MOST}, and one is at least 1`,
    );
  }
  return duration;
}
