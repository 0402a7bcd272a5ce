/**
 * Tar blocks to entries: ustar, PAX, GNU and V7 archives, to their proven end.
 *
 * @module
 */
import { withViews } from "../blocks.ts";
import { label, labelled, toBytes } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import type { Bytes, Entry, Limits, U8 } from "../stage.ts";
import { EXTRA_TYPES, takeExtra } from "./extras.ts";
import { padded, readHeader, UNIT } from "./header.ts";
import { extentsOf, holeGuard, type HoleLimits, unfold, unfolded } from "./holes.ts";
import { type Extras, type Member, resolve } from "./members.ts";
import { quote } from "./path.ts";
import { type Source, sourceOf } from "./source.ts";
import { readSparse, type Sparse } from "./sparse.ts";

/** Files up to this length come as bytes, longer ones as a stream: 1 MiB. */
export const SMALL: number = 1024 * 1024;
/** Most bytes of a view of a longer one: all that a block holds. */
const VIEW = 4 * 1024 * 1024;

/** A streamed file under way. */
interface Content {
  readonly path: string;
  /** Stored bytes that have not been read. */
  left: number;
  /** The iteration has not moved on. */
  live: boolean;
  opened: boolean;
}

/**
 * The entries of a tar archive, sparse files as they read. Ends only after two zero blocks and the stream's end have been seen. Throws
 * {@linkcode IntegrityError} on anything damaged, cut, oversized or not supported. Paths are not checked: `../x` and `/x` come as
 * they are. Names that are not UTF-8 come as `raw_name.ts` has it.
 */
export async function* readTar(
  bytes: Bytes,
  limits: Pick<Limits, "entries" | "pathBytes"> & HoleLimits,
): AsyncGenerator<Entry, void, undefined> {
  const source = sourceOf(bytes);
  const extras: Extras = { global: new Map() };
  const guard = holeGuard(limits);
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
      const { local } = extras;
      extras.local = extras.longPath = extras.longTarget = undefined;
      guard.read(member.sparse ? 0 : member.bytes);
      if (member.kind === "directory" && member.path === ".") continue;
      if (member.sparse) {
        const shown = `entry ${count} (${quote(member.path)})`;
        const sparse = await readSparse(source, block, member.bytes, local, shown);
        guard.unfold(sparse, shown);
        yield* hollow(source, member, sparse);
      } else if (member.kind !== "file") yield member;
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

async function small(source: Source, { path, bytes }: Pick<Member, "path" | "bytes">): Promise<U8> {
  const all = await source.exactly(padded(bytes));
  if (all.length < padded(bytes)) throw endsInside(path);
  return all.slice(0, bytes);
}

/** A sparse file, of which only a part is stored. */
async function* hollow(
  source: Source,
  { sparse: _, ...member }: Member,
  sparse: Sparse,
): AsyncGenerator<Entry, void, undefined> {
  const { path } = member;
  const { bytes, stored } = sparse;
  const extents = extentsOf(sparse);
  if (bytes <= SMALL) {
    yield { ...member, bytes, extents, body: unfolded(sparse, await small(source, { path, bytes: stored })) };
    return;
  }
  const content: Content = { path, left: stored, live: true, opened: false };
  const next = (most: number): Promise<U8 | undefined> => take(content, source.piece, most);
  const body = (): Bytes => {
    claim(content);
    return label("tar", toBytes(() => unfold(sparse, next)));
  };
  yield { ...member, bytes, extents, body };
  await close(source, content, stored);
}

async function* large(source: Source, member: Member): AsyncGenerator<Entry, void, undefined> {
  const { path, bytes } = member;
  const content: Content = { path, left: bytes, live: true, opened: false };
  const next = async (): Promise<U8 | undefined> => {
    try {
      if (!content.opened) claim(content);
      return await take(content, source.view, VIEW);
    } catch (error) {
      throw labelled("tar", error);
    }
  };
  yield { ...member, body: withViews(() => open(source, content), next) };
  await close(source, content, bytes);
}

/** Moves on to the next header. */
async function close(source: Source, content: Content, bytes: number): Promise<void> {
  content.live = false;
  if (await source.skip(content.left + padded(bytes) - bytes) > 0) throw endsInside(content.path);
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

async function take(content: Content, how: Source["piece"], most = SMALL): Promise<U8 | undefined> {
  if (content.left === 0) return undefined;
  if (!content.live) {
    throw new Error(`Cannot read on in ${quote(content.path)}: the next entry has been asked for`);
  }
  const piece = await how(Math.min(content.left, most));
  if (!piece) throw endsInside(content.path);
  content.left -= piece.length;
  return piece;
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

function endsEarly(count: number, begun: boolean): IntegrityError {
  const why = begun ? `it ends after ${count} entries without its closing blocks` : "it is empty";
  return new IntegrityError(`Cannot read the archive to its end: ${why}. It is cut, or is no tar`);
}

function endsInside(path: string): IntegrityError {
  return new IntegrityError(`Cannot read ${quote(path)}: the archive ends inside it. It is cut`);
}
