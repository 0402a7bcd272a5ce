/**
 * SHA-256 of a stream, beside the thread that reads it where that can be had: the digest of what is stored costs as much as all the rest
 * of a restore.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type Sha256, sha256Beside } from "./native/crypto.ts";
import type { Bytes, U8 } from "./stage.ts";

/** A shorter stream is hashed before a library is loaded. */
const BESIDE_BYTES = 8 * 1024 * 1024;

/**
 * Passes on a stream of about `bytes` bytes. `end` is told its digest (lower-case hexadecimal) and its length before the last chunk is
 * handed on, and may throw. No chunk is handed on before it has been hashed, since it may be changed then.
 */
export async function* hashed(
  stream: Bytes,
  bytes: number,
  end: (sha256: string, size: number) => void,
): AsyncGenerator<U8, void, undefined> {
  const hash = (bytes < BESIDE_BYTES ? undefined : sha256Beside()) ?? sha256Here();
  let pending = Promise.resolve();
  let held: U8 | undefined;
  let size = 0;
  try {
    for await (const chunk of stream) {
      await pending;
      pending = hash.add(chunk);
      pending.catch(() => {}); // seen with the next chunk
      size += chunk.length;
      if (held) yield held;
      held = chunk;
    }
    await pending;
    end(hash.hex(), size);
  } finally {
    await pending.catch(() => {});
    hash.close();
  }
  if (held) yield held;
}

function sha256Here(): Sha256 {
  const hash = createHash("sha256");
  const done = Promise.resolve();
  return {
    add: (chunk) => {
      hash.update(chunk);
      return done;
    },
    hex: () => hash.digest("hex"),
    close: () => {},
  };
}
