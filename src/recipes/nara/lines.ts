/**
 * Lines of a log, whatever has happened to it.
 *
 * @module
 */
import type { Bytes, U8 } from "../../stage.ts";

/** Hands on each line without its end, with its number; `whole` is false for a last one without a line end. */
export async function eachLine(
  bytes: Bytes,
  take: (line: U8, number: number, whole: boolean) => void,
): Promise<void> {
  let rest: U8 = new Uint8Array(0);
  let number = 0;
  for await (const chunk of bytes) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      const tail = chunk.subarray(start, end);
      take(withoutReturn(rest.length > 0 ? join(rest, tail) : tail), ++number, true);
      rest = new Uint8Array(0);
      start = end + 1;
    }
    if (start < chunk.length) rest = join(rest, chunk.subarray(start));
  }
  if (rest.length > 0) take(withoutReturn(rest), ++number, false);
}

function withoutReturn(line: U8): U8 {
  return line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
}

function join(a: U8, b: U8): U8 {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** Whether a line holds nothing but blanks. */
export function isBlank(line: U8): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
