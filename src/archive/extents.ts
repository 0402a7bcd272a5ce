/**
 * A sparse file as GNU tar's PAX format 1.0 stores it: the map of its extents, then what lies in them (GNU tar manual, "Storing Sparse
 * Files"). GNU tar, bsdtar and Python's tarfile read it.
 *
 * @module
 */
import { utf8 } from "../bytes.ts";
import type { Entry, U8 } from "../stage.ts";
import { padded } from "./header.ts";

/** How a sparse file is stored. */
export interface SparsePlan {
  /** The member's own name; its path stands in the PAX records. */
  readonly path: string;
  /** The map, padded to whole blocks. */
  readonly map: U8;
  /** Length of the map and all extents. */
  readonly stored: number;
  /** What says so. */
  readonly records: readonly (readonly [string, string])[];
  /** Tells which parts of the next `length` bytes are stored: `take` is called for each, with where it starts and ends in them. */
  readonly cut: (length: number, take: (start: number, end: number) => void) => void;
}

/** How a file with holes is stored; undefined for one that has none, or saves nothing by it. */
export function sparsePlan({ path, bytes, body, extents }: Entry): SparsePlan | undefined {
  if (!extents || typeof body !== "function") return undefined;
  // A hole at the end has to be told of by an extent of no length.
  const ends = extents.length > 0 && extents.at(-2)! + extents.at(-1)! === bytes;
  const all = ends ? extents : [...extents, bytes, 0];
  const map = mapOf(all);
  let stored = map.length;
  for (let i = 1; i < all.length; i += 2) stored += all[i]!;
  if (padded(stored) >= padded(bytes)) return undefined;
  const slash = path.lastIndexOf("/");
  return {
    path: `${path.slice(0, slash + 1)}GNUSparseFile.0/${path.slice(slash + 1)}`,
    map,
    stored,
    records: [["GNU.sparse.major", "1"], ["GNU.sparse.minor", "0"], ["GNU.sparse.realsize", String(bytes)]],
    cut: cutter(all),
  };
}

function mapOf(extents: readonly number[]): U8 {
  const text = [extents.length / 2, ...extents].join("\n") + "\n";
  const map = new Uint8Array(padded(text.length));
  map.set(utf8(text));
  return map;
}

function cutter(extents: readonly number[]): SparsePlan["cut"] {
  let at = 0;
  let next = 0;
  return (length, take) => {
    const end = at + length;
    for (; next < extents.length; next += 2) {
      const from = Math.max(extents[next]!, at);
      const to = extents[next]! + extents[next + 1]!;
      if (from >= end) break;
      if (to > from) take(from - at, Math.min(to, end) - at);
      if (to > end) break;
    }
    at = end;
  };
}

/** Whether extents are what they should be: ascending, apart, none empty, within the file. */
export function areExtents(extents: readonly number[], bytes: number): boolean {
  let at = -1;
  for (let i = 0; i < extents.length; i += 2) {
    const [from, length] = [extents[i]!, extents[i + 1]];
    if (!Number.isSafeInteger(from) || length === undefined || !Number.isSafeInteger(length)) return false;
    if (from <= at || from < 0 || length <= 0 || from + length > bytes) return false;
    at = from + length - 1;
  }
  return true;
}
