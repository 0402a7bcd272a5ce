/**
 * One zstd frame (RFC 8878, section 3.1.1). The decoder at hand ignores what follows the first frame and takes a cut frame for a
 * whole one, so the frame's length is computed from its headers first.
 *
 * @module
 */
import { zstdDecompressSync } from "node:zlib";
import { text } from "../bytes.ts";
import { IntegrityError, messageOf } from "../errors.ts";

const MAGIC = 0xfd2fb528;

/** Length of the frame that `bytes` begins with; undefined when there is none or it is cut. */
export function frameLength(bytes: Uint8Array): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 9 || view.getUint32(0, true) !== MAGIC) return undefined;
  const descriptor = bytes[4]!;
  const single = (descriptor >> 5) & 1;
  const dictionary = [0, 1, 2, 4][descriptor & 3]!;
  const content = [single, 2, 4, 8][descriptor >> 6]!;
  let at = 5 + (1 - single) + dictionary + content;
  for (let last = 0; last === 0;) {
    if (at + 3 > bytes.length) return undefined;
    const header = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
    last = header & 1;
    // An RLE block (type 1) stores one byte, whatever its size says.
    at += 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3);
  }
  if (descriptor & 4) at += 4;
  return at <= bytes.length ? at : undefined;
}

/** The text of `bytes`, which must be exactly one frame of at most `limit` bytes of UTF-8. Throws {@linkcode IntegrityError}. */
export function unpackFrame(bytes: Uint8Array, limit: number, what: string): string {
  if (frameLength(bytes) !== bytes.length) {
    throw new IntegrityError(
      `Cannot read ${what}: it does not consist of whole zstd frames. It is cut or damaged`,
    );
  }
  try {
    return text(zstdDecompressSync(bytes, { maxOutputLength: limit }));
  } catch (cause) {
    throw new IntegrityError(`Cannot read ${what}: a frame is damaged or too large (${messageOf(cause)})`, {
      cause,
    });
  }
}
