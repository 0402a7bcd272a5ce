import { noise } from "../support.ts";
import type { U8 } from "../../src/stage.ts";

/** An object that shows whether it is whole: its number, its length, and bytes that follow from the number. */
export function object(number: number): U8 {
  const bytes = noise(1000 + (number * 7_919_317) % 3_000_000, number + 1);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, number);
  view.setUint32(4, bytes.length);
  return bytes;
}

/** The number of a whole object; undefined for anything else. */
export function numberOf(bytes: U8): number | undefined {
  if (bytes.length < 8) return undefined;
  const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  const whole = object(number);
  return whole.length === bytes.length && whole.every((byte, i) => byte === bytes[i]) ? number : undefined;
}
