/**
 * Members that say something about those after them: PAX headers, for one and for all, and GNU's long names.
 *
 * @module
 */
import { IntegrityError } from "../errors.ts";
import type { U8 } from "../stage.ts";
import { padded } from "./header.ts";
import type { Extras } from "./members.ts";
import { decodePax, EXTRA_LIMIT, type PaxRecords } from "./pax.ts";
import { quote } from "./path.ts";
import type { Source } from "./source.ts";
import { partial } from "./sparse.ts";

/** Type flags of members that say something about other members. */
export const EXTRA_TYPES = "xgLK";
/** What of a global header is kept: the rest has no bearing on an entry, and its size no bound. */
const GLOBAL_KEYS: readonly string[] = ["mtime", "uid", "gid", "uname", "gname"];

/** Keeps what an `x`, `g`, `L` or `K` member says. */
export async function takeExtra(
  source: Source,
  { type, size }: { readonly type: string; readonly size: number },
  extras: Extras,
  number: number,
): Promise<void> {
  const where = `the extended header (${type}) of entry ${number}`;
  if (size < 0 || size > EXTRA_LIMIT) {
    throw new IntegrityError(`Cannot read ${where}: it has ${size} bytes, the limit is ${EXTRA_LIMIT}`);
  }
  const all = source.now(padded(size)) ?? await source.exactly(padded(size));
  if (all.length < padded(size)) {
    throw new IntegrityError(`Cannot read ${where}: the archive ends inside it. It is cut`);
  }
  const data = all.slice(0, size);
  if (type === "g") setGlobal(extras.global, decodePax(data, where), where);
  else if (type === "x") extras.local = once(extras.local, charset(decodePax(data, where), where), where);
  else if (type === "L") extras.longPath = once(extras.longPath, cstring(data), where);
  else extras.longTarget = once(extras.longTarget, cstring(data), where);
}

function once<T>(before: T | undefined, value: T, where: string): T {
  if (before !== undefined) {
    throw new IntegrityError(
      `Cannot read ${where}: there are two of them, which tar programs read in different ways`,
    );
  }
  return value;
}

/** Names, lengths and sparse maps for every later member: programs read them in different ways. */
function setGlobal(global: PaxRecords, records: PaxRecords, where: string): void {
  for (const [key, value] of charset(records, where)) {
    if (key === "path" || key === "linkpath" || key === "size" || partial(key)) {
      throw new IntegrityError(
        `Cannot read ${where}: it sets "${key}" for all entries, which is not supported`,
      );
    }
    if (GLOBAL_KEYS.includes(key)) global.set(key, value);
  }
}

/** Names are UTF-8, or raw bytes that are checked to be UTF-8 later. */
function charset(records: PaxRecords, where: string): PaxRecords {
  const value = records.get("hdrcharset");
  const named = value && new TextDecoder().decode(value);
  if (named && named !== "BINARY" && named !== "ISO-IR 10646 2000 UTF-8") {
    throw new IntegrityError(`Cannot read ${where}: its names are in ${quote(named)}, not in UTF-8`);
  }
  return records;
}

/** GNU long names end in a NUL. */
function cstring(data: U8): U8 {
  const end = data.indexOf(0);
  return end < 0 ? data : data.subarray(0, end);
}
