/**
 * A body over parts held in memory.
 *
 * @module
 */
import { toBytes } from "../bytes.ts";
import type { Body, U8 } from "../stage.ts";

/** A body over `parts` without joining them. Gives copies: what it hands out may be transferred. */
export function bodyOfParts(parts: readonly U8[]): Body {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  return {
    read: () =>
      toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        for (const part of parts) {
          for (let at = 0; at < part.length; at += 1 << 20) yield part.slice(at, at + (1 << 20));
        }
      }),
    open: () =>
      Promise.resolve({
        size,
        at: (start, end) => new Promise((resolve) => resolve(cut(parts, start, end))),
      }),
  };
}

function cut(parts: readonly U8[], start: number, end: number): U8 {
  const out = new Uint8Array(end - start);
  let from = 0;
  for (const part of parts) {
    const to = from + part.length;
    if (to > start && from < end) {
      out.set(part.subarray(Math.max(0, start - from), end - from), Math.max(0, from - start));
    }
    from = to;
  }
  if (end < start || end > from) throw new RangeError(`Cannot read bytes ${start} to ${end} of ${from}`);
  return out;
}
