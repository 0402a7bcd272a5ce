/**
 * Holes of sparse files, unfolded to zeros within bounds.
 *
 * @module
 */
import { formatBytes } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import type { Limits, U8 } from "../stage.ts";
import { UNIT } from "./header.ts";
import type { Sparse } from "./sparse.ts";

/** Bounds on what holes may unfold to; without them sparse files are refused. */
export type HoleLimits = Partial<Pick<Limits, "bytes" | "ratio">>;

/** Below this much output no ratio is looked at, as where something is decompressed. */
const RATIO_FREE_BYTES = 64 * 1024 * 1024;
/** Zeros handed on at once. */
const STEP = 1024 * 1024;

/** Counts what an archive unfolds to. */
export interface HoleGuard {
  /** Counts an entry, of which so many bytes are stored; of a sparse one none, it is counted as it is unfolded. */
  readonly read: (bytes: number) => void;
  /** Counts a sparse file; throws {@linkcode IntegrityError} past a limit, before anything is unfolded. */
  readonly unfold: (sparse: Sparse, shown: string) => void;
}

/** A guard for one archive. */
export function holeGuard({ bytes: most, ratio }: HoleLimits): HoleGuard {
  let entries = 0;
  let stored = 0;
  let holes = 0;
  const refuse = (shown: string, why: string): never => {
    throw new IntegrityError(`Cannot read ${shown}: ${why}`);
  };
  return {
    read: (bytes) => {
      entries++;
      stored += bytes;
    },
    unfold: (sparse, shown) => {
      if (most === undefined || ratio === undefined) {
        return refuse(
          shown,
          "it is a sparse file, which is not taken here. Store it whole: tar without --sparse",
        );
      }
      // Not its map: a backup's receipt tells how much its files come to, and not a byte more is unfolded.
      stored += sparse.stored;
      holes += sparse.bytes - sparse.stored;
      const all = stored + holes;
      if (all > most) {
        refuse(
          shown,
          `with the holes of sparse files the archive unfolds to more than ${formatBytes(most)}. ` +
            `Raise --limit-bytes (now ${most}) if you trust it`,
        );
      }
      if (all > RATIO_FREE_BYTES && all > ratio * (stored + entries * UNIT)) {
        refuse(
          shown,
          `with the holes of sparse files the archive unfolds to more than ${ratio} times its size, as a bomb does. ` +
            `Raise --limit-ratio (now ${ratio}) if you trust it, or extract it with tar`,
        );
      }
    },
  };
}

/** Where a sparse file is no hole, as entries say it: without the empty extents that maps end with. */
export function extentsOf({ extents }: Sparse): readonly number[] {
  return extents.filter((_, i) => extents[i | 1]! > 0);
}

/** A small sparse file as it reads, from all that is stored of it. */
export function unfolded({ bytes, extents }: Sparse, stored: U8): U8 {
  const out = new Uint8Array(bytes);
  let from = 0;
  for (let i = 0; i < extents.length; i += 2) {
    const to = from + extents[i + 1]!;
    out.set(stored.subarray(from, to), extents[i]);
    from = to;
  }
  return out;
}

/** A sparse file as it reads; `next` gives what is stored of it, at most so many bytes at once, and never nothing before the end. */
export async function* unfold(
  { bytes, extents }: Sparse,
  next: (most: number) => Promise<U8 | undefined>,
): AsyncGenerator<U8, void, undefined> {
  let at = 0;
  for (let i = 0; i < extents.length; i += 2) {
    yield* zeros(extents[i]! - at);
    at = extents[i]! + extents[i + 1]!;
    for (let left = extents[i + 1]!; left > 0;) {
      const piece = await next(left);
      if (!piece) return;
      left -= piece.length;
      yield piece;
    }
  }
  yield* zeros(bytes - at);
}

function* zeros(count: number): Generator<U8, void, undefined> {
  for (let left = count; left > 0; left -= STEP) yield new Uint8Array(Math.min(left, STEP));
}
