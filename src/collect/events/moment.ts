/**
 * The time of an event, exactly: two numbers of up to 53 bits instead of one of 64.
 *
 * @module
 */
import type { U8 } from "../../stage.ts";

/** A time as `high * 1e9 + low`: for nanoseconds, seconds and the rest. */
export interface Moment {
  /** Billions. */
  high: number;
  /** The rest, 0 to 999,999,999. */
  low: number;
}

const BILLION = 1_000_000_000;

/**
 * Reads a JSON token that is a whole number, exactly, or a text in RFC 3339 (as nanoseconds since 1970). Gives false, and leaves 0,
 * for anything else.
 */
export function readMoment(bytes: U8, start: number, end: number, into: Moment): boolean {
  into.high = into.low = 0;
  const quoted = bytes[start] === 0x22;
  const from = quoted ? start + 1 : start;
  const to = quoted ? end - 1 : end;
  const negative = bytes[from] === 0x2d;
  const first = negative ? from + 1 : from;
  if (to <= first || to - first > 24) return quoted && readDate(bytes, from, to, into);
  const split = Math.max(first, to - 9);
  let high = 0;
  let low = 0;
  for (let at = first; at < to; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return quoted && readDate(bytes, from, to, into);
    if (at < split) high = high * 10 + digit;
    else low = low * 10 + digit;
  }
  into.high = negative ? (low > 0 ? -high - 1 : -high) : high;
  into.low = negative && low > 0 ? BILLION - low : low;
  return true;
}

/** The whole number that a moment is. */
export function momentToBigInt({ high, low }: Readonly<Moment>): bigint {
  return BigInt(high) * 1_000_000_000n + BigInt(low);
}

function readDate(bytes: U8, start: number, end: number, into: Moment): boolean {
  const text = new TextDecoder().decode(bytes.subarray(start, end));
  const match = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d{2}:\d{2})$/.exec(
    text,
  );
  if (!match) return false;
  const seconds = Date.parse(`${match[1]}T${match[2]}${match[4]!.toUpperCase()}`) / 1000;
  if (Number.isNaN(seconds)) return false;
  into.high = seconds;
  into.low = Number((match[3] ?? "").padEnd(9, "0"));
  return true;
}
