/**
 * Sparse files as GNU tar stores them: a map of extents, and only what lies in them (GNU tar manual, "Storing Sparse Files": old GNU
 * headers, and PAX 0.0, 0.1 and 1.0). They are read as what they are, holes as zeros.
 *
 * @module
 */
import { IntegrityError } from "../errors.ts";
import type { U8 } from "../stage.ts";
import { type RawHeader, readNumber, UNIT } from "./header.ts";
import { decodeNumber, type PaxRecords, REPEATED } from "./pax.ts";
import type { Source } from "./source.ts";

/** A sparse file's length, and what of it is stored: offset and length of each extent in turn, ascending and apart. */
export interface Sparse {
  readonly bytes: number;
  /** What is stored of it, in bytes. */
  readonly stored: number;
  readonly extents: readonly number[];
}

/** Most extents of one file: a map has no bound of its own. */
const MOST = 1_000_000;
const KEYS = ["major", "minor", "name", "size", "realsize", "numblocks", "map", "offset", "numbytes"]
  .map((key) => `GNU.sparse.${key}`);
const lossy = new TextDecoder();

/** Whether a PAX key says that the content is not simply the file's bytes. */
export function partial(key: string): boolean {
  return key.startsWith("GNU.sparse.") || key === "SCHILY.realsize" ||
    /^GNU\.volume\.(?:filename|size|offset)$/.test(key);
}

/** Whether a member is sparse. Throws {@linkcode IntegrityError} for one that is in parts, or sparse in some other way. */
export function isSparse(header: RawHeader, local: PaxRecords | undefined, shown: () => string): boolean {
  let sparse = false;
  for (const key of local?.keys() ?? []) {
    if (!partial(key)) continue;
    if (!KEYS.includes(key) || header.type === "S") {
      throw new IntegrityError(
        `Cannot read ${shown()}: it is sparse or in parts ("${key}"), which is not supported. Extract the archive with tar`,
      );
    }
    sparse = true;
  }
  return sparse || header.type === "S";
}

/**
 * The map of a sparse member. `block` is its header; what of the map lies behind it is read. Throws {@linkcode IntegrityError} for a
 * map that is not one, or does not fit what is stored.
 */
export async function readSparse(
  source: Source,
  block: U8,
  stored: number,
  local: PaxRecords | undefined,
  shown: string,
): Promise<Sparse> {
  if (block[156] === 0x53) return checked(await fromHeader(source, block.slice(), shown), stored, shown);
  const get = (key: string): string | undefined => {
    const value = local?.get(`GNU.sparse.${key}`);
    return value && lossy.decode(value);
  };
  const number = (key: string): number => wholeOf(get(key), shown);
  const [major, minor] = [get("major"), get("minor")];
  if (major === undefined && minor === undefined && get("realsize") === undefined) {
    const map = get("map");
    const [offsets, lengths] = [get("offset"), get("numbytes")];
    if ((map === undefined) === (offsets === undefined)) throw broken(shown, "has not one map");
    const extents = map === undefined
      ? paired(listOf(offsets, REPEATED, shown), listOf(lengths, REPEATED, shown), shown)
      : listOf(map, ",", shown);
    if (extents.length !== 2 * number("numblocks")) throw broken(shown, "has another length than it says");
    return checked({ bytes: number("size"), extents }, stored, shown);
  }
  if (major !== "1" || minor !== "0") throw broken(shown, `is of an unknown version (${major}.${minor})`);
  for (const key of ["size", "numblocks", "map", "offset", "numbytes"]) {
    if (get(key) !== undefined) throw broken(shown, "is there in two versions");
  }
  const { extents, used } = await fromContent(source, stored, shown);
  return checked({ bytes: number("realsize"), extents }, stored - used, shown);
}

/** Four extents in the header, 21 in each block that follows while the one before says so. */
async function fromHeader(source: Source, block: U8, shown: string): Promise<Omit<Sparse, "stored">> {
  if (lossy.decode(block.subarray(257, 265)) !== "ustar  \0") throw broken(shown, "is not GNU tar's");
  const bytes = readNumber(block, 483, 12, "real size", shown);
  const extents: number[] = [];
  let more = slots(block, 386, 4, extents, shown) && block[482] !== 0;
  if (!more && block[482] !== 0) throw broken(shown, "has a gap");
  while (more) {
    const next = await source.exactly(UNIT);
    if (next.length < UNIT) throw cut(shown);
    const full = slots(next, 0, 21, extents, shown);
    more = next[504] !== 0;
    if (more && !full) throw broken(shown, "has a gap");
    refuseLong(extents.length / 2, shown);
  }
  return { bytes, extents };
}

/** Adds what is in `count` slots; whether all are used. After an unused one programs go on in different ways. */
function slots(block: U8, from: number, count: number, extents: number[], shown: string): boolean {
  let full = true;
  for (let at = from; at < from + count * 24; at += 24) {
    const used = block[at] !== 0;
    if (used !== (block[at + 12] !== 0) || used && !full) throw broken(shown, "has a gap");
    full = used;
    if (!used) continue;
    extents.push(
      readNumber(block, at, 12, "map", shown),
      readNumber(block, at + 12, 12, "map", shown),
    );
  }
  return full;
}

/** Version 1.0: a count and as many pairs, a number a line, padded to whole blocks, before the content. */
async function fromContent(
  source: Source,
  stored: number,
  shown: string,
): Promise<{ readonly extents: readonly number[]; readonly used: number }> {
  const numbers: number[] = [];
  let used = 0;
  let line = "";
  while (numbers.length === 0 || numbers.length < 1 + 2 * numbers[0]!) {
    if (used + UNIT > stored) throw broken(shown, "goes past what is stored of the file");
    const block = await source.exactly(UNIT);
    if (block.length < UNIT) throw cut(shown);
    used += UNIT;
    const lines = (line + lossy.decode(block)).split("\n");
    line = lines.pop()!;
    for (const one of lines) {
      if (numbers.length > 0 && numbers.length === 1 + 2 * numbers[0]!) break;
      numbers.push(wholeOf(one, shown));
      refuseLong(numbers[0]!, shown);
    }
    if (line.length > UNIT) throw broken(shown, "holds no number");
  }
  return { extents: numbers.slice(1), used };
}

function listOf(text: string | undefined, between: string, shown: string): number[] {
  return text ? text.split(between).map((one) => wholeOf(one, shown)) : [];
}

function paired(offsets: readonly number[], lengths: readonly number[], shown: string): number[] {
  if (offsets.length !== lengths.length) throw broken(shown, "has offsets without lengths");
  return offsets.flatMap((offset, i) => [offset, lengths[i]!]);
}

function wholeOf(text: string | undefined, shown: string): number {
  const number = text === undefined ? undefined : decodeNumber(text);
  if (number === undefined) throw broken(shown, "holds no number where one belongs");
  return number;
}

function checked({ bytes, extents }: Omit<Sparse, "stored">, stored: number, shown: string): Sparse {
  refuseLong(extents.length / 2, shown);
  if (bytes < 0) throw broken(shown, "gives the file a negative length");
  let end = 0;
  let sum = 0;
  for (let i = 0; i < extents.length; i += 2) {
    const [offset, length] = [extents[i]!, extents[i + 1]!];
    if (offset < 0 || length < 0) throw broken(shown, "holds a negative number");
    if (offset < end) throw broken(shown, "overlaps or descends");
    // Below the end, which is a safe integer: the next line and the sum are exact.
    if (offset > bytes || length > bytes - offset) throw broken(shown, "goes past the file's end");
    // GNU tar reads each extent from the start of a block, others go on within the last.
    if (length > 0 && sum % UNIT !== 0) throw broken(shown, "does not consist of whole blocks");
    end = offset + length;
    sum += length;
  }
  // Where a hole is last, an empty extent says so: GNU tar would cut the file there.
  if (end !== bytes) throw broken(shown, "stops before the file's end");
  if (sum !== stored) throw broken(shown, `takes ${sum} bytes, and ${stored} are stored`);
  return { bytes, stored, extents };
}

function refuseLong(extents: number, shown: string): void {
  if (extents > MOST) throw broken(shown, `has more than ${MOST} extents`);
}

function broken(shown: string, why: string): IntegrityError {
  return new IntegrityError(
    `Cannot read ${shown}: the map of what is stored of it (it is a sparse file) ${why}. The archive is damaged or hostile; take another copy`,
  );
}

function cut(shown: string): IntegrityError {
  return new IntegrityError(`Cannot read ${shown}: the archive ends inside it. It is cut`);
}
