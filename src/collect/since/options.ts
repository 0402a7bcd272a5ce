/**
 * The options of increments, checked when the stage is made.
 *
 * @module
 */
import { resolve } from "node:path";
import type { FilesOptions } from "../files.ts";
import type { SinceSettings } from "./session.ts";

/** The settings; undefined for full backups. Throws TypeError or RangeError for options that cannot be. */
export function checkSince(options: FilesOptions): SinceSettings | undefined {
  const { since, rehash = false, fullEvery = 30, fullShare = 0.5, indexDir } = options;
  if (since === undefined) {
    for (const name of ["rehash", "fullEvery", "fullShare", "indexDir"] as const) {
      if (options[name] === undefined || options[name] === false) continue;
      throw new TypeError(
        `Cannot use "${name}" without "since": it is for backups of what has changed. Add since: "latest"`,
      );
    }
    return undefined;
  }
  if (since !== "latest") {
    throw new TypeError(`Cannot collect files since ${JSON.stringify(since)}: the only choice is "latest"`);
  }
  if (!(Number.isSafeInteger(fullEvery) && fullEvery > 0)) {
    throw new RangeError(
      `Cannot collect files: "fullEvery" must be a whole number above 0, not ${fullEvery}`,
    );
  }
  if (!(fullShare > 0)) {
    throw new RangeError(`Cannot collect files: "fullShare" must be a number above 0, not ${fullShare}`);
  }
  return { rehash, fullEvery, fullShare, indexDir: indexDir === undefined ? undefined : resolve(indexDir) };
}
