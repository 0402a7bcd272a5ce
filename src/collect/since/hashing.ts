/**
 * Entries whose content is hashed on its way to the archive, once for the index and for the host's copy of it.
 *
 * @module
 */
import { createHash, hash } from "node:crypto";
import { fillOf, withFill } from "../../blocks.ts";
import { watch } from "../../bytes.ts";
import type { Bytes, Entry, U8 } from "../../stage.ts";

/** An entry, and the digest of its content once that has been read: lower-case hexadecimal; "" when there is none. */
export interface Hashing {
  /** The entry. */
  readonly entry: Entry;
  /** The digest. */
  readonly digest: () => string;
}

/** Hashes an entry's content while it is read. */
export function hashing(entry: Entry): Hashing {
  const { body, kind } = entry;
  if (kind !== "file") return { entry, digest: () => "" };
  if (typeof body !== "function") {
    const digest = hash("sha256", body ?? new Uint8Array(0), "hex");
    return { entry: { ...entry, sha256: () => Uint8Array.fromHex(digest) }, digest: () => digest };
  }
  const state = createHash("sha256");
  let size = 0;
  let done: string | undefined;
  const see = (chunk: Uint8Array): void => {
    state.update(chunk);
    size += chunk.length;
  };
  const digest = (): string => size === entry.bytes ? done ??= state.digest("hex") : "";
  const fill = fillOf(body);
  const read = (): Bytes => watch(body(), see);
  const filled = fill && (async (target: U8): Promise<number> => {
    const got = await fill(target);
    see(target.subarray(0, got));
    return got;
  });
  return {
    entry: {
      ...entry,
      body: filled ? withFill(read, filled) : read,
      sha256: () => Uint8Array.fromHex(digest()),
    },
    digest,
  };
}
