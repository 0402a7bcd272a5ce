/**
 * The way back: entries become files, all or none.
 *
 * @module
 */
import type { Context, Files } from "../stage.ts";

/** A collected root: where it lies in the archive, and where it came from. */
export interface Root {
  /** Stored path, as in {@linkcode Entry}. */
  readonly path: string;
  /** The absolute path it was read from. */
  readonly source: string;
}

/** Writes the wanted entries into `want.into`, or with `want.inPlace` each root to where it came from. All or none. */
export function extract(_files: Files, _context: Context, _roots: readonly Root[] = []): Promise<void> {
  return Promise.reject(new Error("Cannot extract: not built yet"));
}
