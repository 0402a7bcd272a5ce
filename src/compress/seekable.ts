/**
 * The seek table of the zstd seekable format: a skippable frame at the end that lists every frame's two sizes, ignored by decoders
 * that do not know it.
 * Source: https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md
 *
 * @module
 */
import { IntegrityError } from "../errors.ts";
import type { Reader, U8 } from "../stage.ts";

/** Magic number of the skippable frame that holds a seek table. */
export const TABLE_MAGIC = 0x184d2a5e;
/** Magic number of the last four bytes of a seek table. */
export const FOOTER_MAGIC = 0x8f92eab1;
/** Frame count, descriptor, magic number. */
export const FOOTER_BYTES = 9;
const FRAME_HEADER_BYTES = 8;
/** Tables of more frames (8 TiB of content at 2 MiB each) are not held: 64 MiB. */
const MAX_HELD = 4 * 1024 * 1024;
/** The format's own limit on the number of frames. */
const MAX_FRAMES = 0x8000000;

/** Takes each frame's sizes as it is written; `end` gives the table. */
export interface TableBuilder {
  /** The next frame: its size as stored, and the size of its content, in bytes, each below 4 GiB. */
  readonly add: (stored: number, content: number) => void;
  /** The skippable frame. */
  readonly end: () => U8;
}

/** Where each frame of a seekable object lies. */
export interface SeekTable {
  /** Number of frames. */
  readonly frames: number;
  /** Offset of each frame in the object; one more than frames: the last is the end of the last frame. */
  readonly stored: Float64Array;
  /** Offset of each frame's content; one more than frames: the last is the length of the whole content. */
  readonly content: Float64Array;
  /** The frame that holds the byte at this offset of the content; throws RangeError outside. */
  readonly at: (offset: number) => number;
}

/** Starts a table. 8 bytes a frame are held. */
export function createTable(): TableBuilder {
  let sizes = new Uint32Array(64);
  let count = 0;
  return {
    add: (stored, content) => {
      if (2 * count === sizes.length) {
        const larger = new Uint32Array(2 * sizes.length);
        larger.set(sizes);
        sizes = larger;
      }
      sizes[2 * count] = stored;
      sizes[2 * count + 1] = content;
      count++;
    },
    end: () => encode(sizes.subarray(0, 2 * count)),
  };
}

function encode(sizes: Uint32Array): U8 {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + 4 * sizes.length + FOOTER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, TABLE_MAGIC, true);
  view.setUint32(4, bytes.length - FRAME_HEADER_BYTES, true);
  sizes.forEach((size, i) => view.setUint32(FRAME_HEADER_BYTES + 4 * i, size, true));
  const footer = bytes.length - FOOTER_BYTES;
  view.setUint32(footer, sizes.length / 2, true);
  view.setUint32(footer + 5, FOOTER_MAGIC, true);
  return bytes;
}

/** What a footer says. */
export interface Footer {
  /** Number of frames. */
  readonly frames: number;
  /** 8, or 12 where each entry carries a checksum. */
  readonly entryBytes: number;
}

/** Reads the last nine bytes of a seek table; undefined when they are not such. */
export function parseFooter(bytes: Uint8Array): Footer | undefined {
  if (bytes.length !== FOOTER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, FOOTER_BYTES);
  const frames = view.getUint32(0, true);
  const descriptor = view.getUint8(4);
  const reserved = (descriptor & 0x7c) !== 0;
  if (view.getUint32(5, true) !== FOOTER_MAGIC || reserved || frames > MAX_FRAMES) return undefined;
  return { frames, entryBytes: (descriptor & 0x80) !== 0 ? 12 : 8 };
}

/**
 * Reads the seek table at the end of an object with two ranged reads. Undefined when there is none (an object of another tool)
 * or it lists more than 4 Mi frames; throws {@linkcode IntegrityError} when there is one and it does not fit the object. `what` names the object in messages.
 */
export async function readSeekTable(reader: Reader, what = "the archive"): Promise<SeekTable | undefined> {
  if (reader.size < FRAME_HEADER_BYTES + FOOTER_BYTES) return undefined;
  const footer = parseFooter(await reader.at(reader.size - FOOTER_BYTES, reader.size));
  if (!footer) return undefined;
  const length = footer.frames * footer.entryBytes;
  const start = reader.size - FOOTER_BYTES - length - FRAME_HEADER_BYTES;
  if (start < 0) throw damaged(what);
  if (footer.frames > MAX_HELD) return undefined;
  const bytes = await reader.at(start, reader.size - FOOTER_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const magic = view.getUint32(0, true);
  if (magic !== TABLE_MAGIC || view.getUint32(4, true) !== length + FOOTER_BYTES) throw damaged(what);

  const stored = new Float64Array(footer.frames + 1);
  const content = new Float64Array(footer.frames + 1);
  for (let i = 0; i < footer.frames; i++) {
    const entry = FRAME_HEADER_BYTES + i * footer.entryBytes;
    stored[i + 1] = stored[i]! + view.getUint32(entry, true);
    content[i + 1] = content[i]! + view.getUint32(entry + 4, true);
  }
  if (stored[footer.frames] !== start) throw damaged(what);
  return { frames: footer.frames, stored, content, at: (offset) => find(content, offset) };
}

/** The last frame that starts at or before the offset: empty frames before it are passed over. */
function find(starts: Float64Array, offset: number): number {
  if (!(offset >= 0 && offset < starts[starts.length - 1]!)) {
    throw new RangeError(`Cannot find byte ${offset}: the content has ${starts[starts.length - 1]} bytes`);
  }
  let low = 0;
  let high = starts.length - 2;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (starts[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

function damaged(what: string): IntegrityError {
  return new IntegrityError(
    `Cannot read the seek table of ${what}: its sizes do not add up to the object. Read the whole object instead, or take another copy`,
  );
}
