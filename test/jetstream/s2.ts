/** Snapshots made by hand: frames of S2 that are stored as they are. */
import { maskedCrc } from "../../src/collect/jetstream/s2.ts";
import type { U8 } from "../../src/stage.ts";

/** What each begins with. */
export const ID: U8 = new Uint8Array([0xff, 6, 0, 0, ...new TextEncoder().encode("S2sTwO")]);

/** A stored S2 frame. */
export function stored(bytes: Uint8Array): U8 {
  const out = new Uint8Array(8 + bytes.length);
  new DataView(out.buffer).setUint32(0, ((bytes.length + 4) << 8 | 1) >>> 0, true);
  new DataView(out.buffer).setUint32(4, maskedCrc(bytes), true);
  out.set(bytes, 8);
  return out;
}

/** What each ends with: the end of a tar archive. */
export const END: U8 = stored(new Uint8Array(2048));
