/**
 * Tar blocks to entries: ustar, PAX, GNU and V7 archives, to their proven end.
 *
 * @module
 */
import { withViews } from "../blocks.ts";
import { label, labelled, toBytes } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import type { Bytes, Entry, Limits, U8 } from "../stage.ts";
import { readHeader, UNIT } from "./header.ts";
import { type Extras, type Member, partial, resolve } from "./members.ts";
import { decodePax, EXTRA_LIMIT, type PaxRecords } from "./pax.ts";
import { quote } from "./path.ts";
import { type Source, sourceOf } from "./source.ts";

/** Files up to this length come as bytes, longer ones as a stream: 1 MiB. */
export const SMALL: number = 1024 * 1024;

const EXTRA_TYPES = "xgLK";
/** What of a global header is kept: the rest has no bearing on an entry, and its size no bound. */
const GLOBAL_KEYS: readonly string[] = ["mtime", "uid", "gid", "uname", "gname"];

/** A streamed file under way. */
interface Content {
  readonly path: string;
  left: number;
  /** The iteration has not moved on. */
  live: boolean;
  opened: boolean;
}

/**
 * The entries of a tar archive. Ends only after two zero blocks and the stream's end have been seen. Throws
 * {@linkcode IntegrityError} on anything damaged, cut, oversized or not supported. Paths are not checked: `../x` and `/x` come as
 * they are. Extended attributes are passed over.
 */
export async function* readTar(
  bytes: Bytes,
  limits: Pick<Limits, "entries" | "pathBytes">,
): AsyncGenerator<Entry, void, undefined> {
  const source = sourceOf(bytes);
  const extras: Extras = { global: new Map() };
  let count = 0;
  let begun = false;
  try {
    while (true) {
      const block = source.now(UNIT) ?? await source.exactly(UNIT);
      if (block.length < UNIT) throw endsEarly(count, begun || block.length > 0);
      begun = true;
      if (block[0] === 0 && isZero(block)) break;
      const header = readHeader(block, `the header of entry ${count + 1}`);
      if (EXTRA_TYPES.includes(header.type)) {
        await takeExtra(source, header, extras, count + 1);
        continue;
      }
      // A volume's label (GNU -V) is neither a file nor a loss.
      if (header.type === "V" && header.size === 0) continue;
      if (++count > limits.entries) {
        throw new IntegrityError(
          `Cannot read the archive: it holds more than ${limits.entries} entries. Raise --limit-entries if you trust it`,
        );
      }
      const member = resolve(header, extras, count, limits.pathBytes);
      extras.local = extras.longPath = extras.longTarget = undefined;
      if (member.kind === "directory" && member.path === ".") continue;
      if (member.kind !== "file") yield member;
      else if (member.bytes <= SMALL) {
        yield { ...member, body: atHand(source, member) ?? await small(source, member) };
      } else yield* large(source, member);
    }
    await readEnd(source, extras, count);
  } finally {
    await source.close();
  }
}

/** The content, when all of it has been read already: without a turn of the event loop. */
function atHand(source: Source, { bytes }: Member): U8 | undefined {
  return source.now(padded(bytes))?.slice(0, bytes);
}

async function small(source: Source, { path, bytes }: Member): Promise<U8> {
  const all = await source.exactly(padded(bytes));
  if (all.length < padded(bytes)) throw endsInside(path);
  return all.slice(0, bytes);
}

async function* large(source: Source, member: Member): AsyncGenerator<Entry, void, undefined> {
  const { path, bytes } = member;
  const content: Content = { path, left: bytes, live: true, opened: false };
  const next = async (): Promise<U8 | undefined> => {
    try {
      if (!content.opened) claim(content);
      return await take(content, source.view);
    } catch (error) {
      throw labelled("tar", error);
    }
  };
  yield { ...member, body: withViews(() => open(source, content), next) };
  content.live = false;
  if (await source.skip(content.left + padded(bytes) - bytes) > 0) throw endsInside(path);
}

function claim(content: Content): void {
  if (content.opened || !content.live) {
    throw new Error(
      `Cannot read ${quote(content.path)} ${
        content.opened ? "twice" : "any more"
      }: a stream gives each file once, in order`,
    );
  }
  content.opened = true;
}

function open(source: Source, content: Content): Bytes {
  claim(content);
  return label("tar", toBytes(() => readContent(source, content)));
}

async function* readContent(source: Source, content: Content): AsyncGenerator<U8, void, undefined> {
  for (let piece: U8 | undefined; (piece = await take(content, source.piece));) yield piece;
}

async function take(content: Content, how: Source["piece"]): Promise<U8 | undefined> {
  if (content.left === 0) return undefined;
  if (!content.live) {
    throw new Error(`Cannot read on in ${quote(content.path)}: the next entry has been asked for`);
  }
  const piece = await how(Math.min(content.left, SMALL));
  if (!piece) throw endsInside(content.path);
  content.left -= piece.length;
  return piece;
}

/** Keeps what an `x`, `g`, `L` or `K` member says. */
async function takeExtra(
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

/** The second zero block, then nothing but zeros; read to the end, so that digests further down are checked. */
async function readEnd(source: Source, extras: Extras, count: number): Promise<void> {
  if (extras.local || extras.longPath || extras.longTarget) {
    throw new IntegrityError(
      `Cannot read entry ${count + 1}: the archive ends after its extended header. It is cut`,
    );
  }
  const second = await source.exactly(UNIT);
  if (second.length < UNIT) throw endsEarly(count, true);
  for (let piece: U8 | undefined = second; piece; piece = await source.piece(SMALL)) {
    if (!isZero(piece)) {
      throw new IntegrityError(
        `Cannot read the archive to its end: something follows its ${count} entries. It was changed, or two archives were joined`,
      );
    }
  }
}

function isZero(bytes: U8): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}

function padded(size: number): number {
  return Math.ceil(size / UNIT) * UNIT;
}

function endsEarly(count: number, begun: boolean): IntegrityError {
  const why = begun ? `it ends after ${count} entries without its closing blocks` : "it is empty";
  return new IntegrityError(`Cannot read the archive to its end: ${why}. It is cut, or is no tar`);
}

function endsInside(path: string): IntegrityError {
  return new IntegrityError(`Cannot read ${quote(path)}: the archive ends inside it. It is cut`);
}
