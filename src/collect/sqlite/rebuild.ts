/**
 * Databases put together again: the last full backup is staged, then the pages of each increment are written over it, oldest first.
 *
 * @module
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  statSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { bodyOf, readAll, text } from "../../bytes.ts";
import { IntegrityError } from "../../errors.ts";
import type { Context, Entry, Files, U8 } from "../../stage.ts";
import type { Placed } from "../extract.ts";
import { bytesIn, DELTA, MAP_LIMIT, type PageMap, readMap } from "./delta.ts";

/** More increments than this are not put together: no rule of ours lets so many stand on one full backup. */
const MOST = 100_000;

/** A full backup and what stands on it. */
export interface Chain {
  /** The full one. */
  readonly full: Files;
  /** Oldest first. */
  readonly increments: readonly Files[];
}

/** Walks down to the full backup; every archive is opened, none is read yet. */
export async function chainOf(files: Files): Promise<Chain> {
  const increments: Files[] = [];
  let at = files;
  while (at.below) {
    increments.unshift(at);
    if (increments.length > MOST) {
      throw new IntegrityError(`Cannot restore: more than ${MOST} backups build on each other`);
    }
    at = await at.below();
  }
  return { full: at, increments };
}

/** Writes what has changed into the staged databases. Every increment is read to its end, and so is proven. */
export async function rebuild(
  increments: readonly Files[],
  placed: Placed,
  context: Context,
): Promise<void> {
  const ends = new Map<string, End>();
  for (const files of increments) {
    ends.clear();
    let map: PageMap | undefined;
    for await (const entry of files.entries()) {
      context.signal.throwIfAborted();
      const [path, part] = partOf(entry);
      const staged = placed(path)?.staged;
      if (part === "map") map = readMap(await wholeOf(entry, MAP_LIMIT), path);
      else if (part === "pages") {
        if (!map || bytesIn(map) !== entry.bytes) throw strange(entry.path);
        if (staged !== undefined) await writePages(staged, path, map, entry);
        ends.set(path, { entry, sha256: "" });
      } else ends.set(path, { ...ends.get(path)!, sha256: text(await wholeOf(entry, 8192)) });
    }
  }
  for (const [path, { entry, sha256 }] of ends) {
    const staged = placed(path)?.staged;
    if (staged === undefined) continue;
    await prove(staged, path, /^\\?([0-9a-f]{64}) {2}/.exec(sha256)?.[1], context);
    utimesSync(staged, entry.mtimeMs / 1000, entry.mtimeMs / 1000);
  }
}

/** What the newest increment says of a database. */
interface End {
  readonly entry: Entry;
  readonly sha256: string;
}

function partOf({ path, kind }: Entry): readonly [path: string, part: string] {
  const [, database, part] = /^(.+)\.delta\/(map|pages|sha256)$/s.exec(path) ?? [];
  if (kind === "file" && database !== undefined && part !== undefined) return [database, part];
  throw strange(path);
}

function strange(path: string): IntegrityError {
  return new IntegrityError(
    `Cannot put databases together: an increment holds "${path}", which is not ${DELTA}/map, ${DELTA}/pages or ${DELTA}/sha256 as Holdfast writes it`,
  );
}

async function wholeOf({ body, path }: Entry, limit: number): Promise<U8> {
  if (typeof body === "function") return await readAll(body(), limit, `"${path}"`);
  return body ?? new Uint8Array();
}

async function writePages(staged: string, path: string, map: PageMap, { body }: Entry): Promise<void> {
  const stat = statSync(staged, { throwIfNoEntry: false });
  if (!stat) {
    throw new IntegrityError(`Cannot put "${path}" together: the backup below has no database of that name`);
  }
  chmodSync(staged, 0o600); // its own mode may not let us write
  const fd = openSync(staged, "r+");
  try {
    // All that is new behind the old end is among the pages: a larger size is a lie.
    if (map.bytes > fstatSync(fd).size + bytesIn(map)) throw strange(`${path}${DELTA}/map`);
    const places = placesOf(map);
    let place = places.next();
    let at = 0;
    const bytes = typeof body === "function" ? body() : bodyOf(body ?? new Uint8Array()).read();
    for await (const chunk of bytes) {
      for (let from = 0; from < chunk.length;) {
        if (place.done) throw strange(`${path}${DELTA}/pages`);
        const { start, end } = place.value;
        const take = Math.min(end - start - at, chunk.length - from);
        writeSync(fd, chunk, from, take, start + at);
        from += take;
        at += take;
        if (start + at === end) [place, at] = [places.next(), 0];
      }
    }
    ftruncateSync(fd, map.bytes);
  } finally {
    closeSync(fd);
    chmodSync(staged, stat.mode & 0o7777);
  }
}

function* placesOf({ pageSize, runs }: PageMap): Generator<{ start: number; end: number }, void, undefined> {
  for (const { page, count } of runs) yield { start: page * pageSize, end: (page + count) * pageSize };
}

/** The whole must be what it was: a base that is another one's, or a digest that met another page's, shows here. */
async function prove(
  staged: string,
  path: string,
  expected: string | undefined,
  context: Context,
): Promise<void> {
  const hash = createHash("sha256");
  const fd = openSync(staged, "r");
  try {
    const chunk = new Uint8Array(1024 * 1024);
    for (let at = 0, read = 1; read > 0; at += read) {
      context.signal.throwIfAborted();
      read = readSync(fd, chunk, 0, chunk.length, at);
      hash.update(chunk.subarray(0, read));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  } finally {
    closeSync(fd);
  }
  if (hash.digest("hex") === expected) return;
  throw new IntegrityError(
    `Cannot restore "${path}": put together from its increments it is not what it was when it was stored. Restore an older backup`,
  );
}
