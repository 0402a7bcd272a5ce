/**
 * Local dates of many instants. Between two changes of a zone's offset they are arithmetic, twenty times as fast as asking for each.
 *
 * @module
 */

/** An instant in a zone. */
export interface Local {
  /** "2026-11-20". */
  readonly date: string;
  /** 0 to 23. */
  readonly hour: number;
  /** "+01:00", as Temporal writes it. */
  readonly offset: string;
}

/** A zone's calendar. */
export interface Calendar {
  /** The local date of an instant, in milliseconds since 1970. */
  readonly at: (time: number) => Local;
  /** The ISO week of a date: "2026-W47". */
  readonly week: (date: string) => string;
}

/** A time in which the offset does not change. */
interface Span {
  readonly from: number;
  readonly to: number;
  readonly offsetMs: number;
  readonly offset: string;
}

/** Instants beyond this, in milliseconds, may have local dates that a Date cannot hold. */
const FAR = 8.6e15;

/** The calendar of a zone that is known. It remembers the last span and the last week it was asked for. */
export function calendarOf(zone: string): Calendar {
  let span: Span | undefined;
  let last: { readonly date: string; readonly week: string } | undefined;
  return {
    at: (time) => {
      if (Math.abs(time) > FAR) return plainly(time, zone);
      if (!span || time < span.from || time >= span.to) span = spanOf(time, zone);
      const text = new Date(time + span.offsetMs).toISOString();
      const split = text.indexOf("T");
      return {
        date: text.slice(0, split),
        hour: Number(text.slice(split + 1, split + 3)),
        offset: span.offset,
      };
    },
    week: (date) => {
      if (last?.date !== date) {
        const { yearOfWeek, weekOfYear } = Temporal.PlainDate.from(date);
        last = { date, week: `${yearOfWeek}-W${pad(weekOfYear ?? 0)}` };
      }
      return last.week;
    },
  };
}

function zoned(time: number, zone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(time).toZonedDateTimeISO(zone);
}

function plainly(time: number, zone: string): Local {
  const there = zoned(time, zone);
  return { date: there.toPlainDate().toString(), hour: there.hour, offset: there.offset };
}

function spanOf(time: number, zone: string): Span {
  const there = zoned(time, zone);
  // "previous" is before the instant: one that is a change itself begins the span.
  const next = there.getTimeZoneTransition("next");
  const before = there.add({ milliseconds: 1 }).getTimeZoneTransition("previous");
  return {
    from: before?.epochMilliseconds ?? -Infinity,
    to: next?.epochMilliseconds ?? Infinity,
    offsetMs: there.offsetNanoseconds / 1e6,
    offset: there.offset,
  };
}

/** Two digits. */
export function pad(number: number): string {
  return String(number).padStart(2, "0");
}
