/**
 * Limits on what compressed bytes may unfold to: checked before memory is taken.
 *
 * @module
 */
import { formatBytes } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import type { Limits } from "../stage.ts";

/** Below this much output no ratio is looked at: small files of zeros are harmless. */
const RATIO_FREE_BYTES = 64 * 1024 * 1024;

/** Counts what comes out. */
export interface Guard {
  /** Counts `bytes` of output, made or about to be made, after `input` bytes were read; throws IntegrityError past a limit. */
  readonly count: (bytes: number, input: number) => void;
  /** Output so far, in bytes. */
  readonly total: () => number;
}

/** A guard for one object; `what` names it in messages. */
export function createGuard(limits: Limits, what: string): Guard {
  // Tar adds at most this much to each entry: two headers, a PAX record with two paths, and padding.
  const most = limits.bytes + limits.entries * (3 * 512 + 512 + 2 * limits.pathBytes);
  let total = 0;
  return {
    count: (bytes, input) => {
      total += bytes;
      if (total > most) {
        throw new IntegrityError(
          `Cannot unpack ${what}: it holds more than ${formatBytes(limits.bytes)}. ` +
            `Raise --limit-bytes (now ${limits.bytes}) if you trust it`,
        );
      }
      if (total > RATIO_FREE_BYTES && total > limits.ratio * input) {
        throw new IntegrityError(
          `Cannot unpack ${what}: it unfolds to more than ${limits.ratio} times its size, as a decompression bomb does. ` +
            `Raise --limit-ratio (now ${limits.ratio}) if you trust it`,
        );
      }
    },
    total: () => total,
  };
}
