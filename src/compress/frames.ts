/**
 * Headers of zstd frames and blocks (RFC 8878, section 3.1): where a frame ends, without decoding it. Deno's stream decoder loses
 * what follows the first frame and takes a cut for the end, so the edges are found here.
 *
 * @module
 */

/** Magic number of a zstd frame. */
export const FRAME_MAGIC = 0xfd2fb528;
/** The longest frame header, magic number included. */
export const MAX_HEADER_BYTES = 18;
/** The longest block of any frame. */
export const MAX_BLOCK_BYTES: number = 128 * 1024;

/** What a frame's header says. */
export interface FrameHeader {
  /** Length of the header, magic number included, in bytes. */
  readonly headerBytes: number;
  /** How far back matches may reach, in bytes: what a decoder must hold. */
  readonly windowBytes: number;
  /** Length of the content in bytes, where it is declared. */
  readonly contentBytes: number | undefined;
  /** Length of the checksum after the last block: 4 or 0. */
  readonly checksumBytes: number;
  /** The dictionary that is needed; 0 for none. */
  readonly dictionary: number;
}

/** What a block's header says. */
export interface BlockHeader {
  /** Whether the frame ends after it. */
  readonly last: boolean;
  /** Length of what follows the three header bytes. */
  readonly bytes: number;
}

/** Whether a number is one of the 16 magic numbers of skippable frames. */
export function isSkippable(magic: number): boolean {
  return (magic & 0xfffffff0) >>> 0 === 0x184d2a50;
}

/** Reads a 32-bit number, least byte first. */
export function uint32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(at, true);
}

/** Reads a frame header; undefined when `bytes` ends before it does. Throws RangeError on the reserved bit. */
export function parseFrameHeader(bytes: Uint8Array): FrameHeader | undefined {
  if (bytes.length < 5) return undefined;
  const descriptor = bytes[4]!;
  if ((descriptor & 0x08) !== 0) throw new RangeError("a reserved bit of a frame header is set");
  const singleSegment = (descriptor & 0x20) !== 0;
  const windowLength = singleSegment ? 0 : 1;
  const dictionaryLength = [0, 1, 2, 4][descriptor & 3]!;
  const sizeLength = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  const headerBytes = 5 + windowLength + dictionaryLength + sizeLength;
  if (bytes.length < headerBytes) return undefined;
  const size = number(bytes, headerBytes - sizeLength, sizeLength) + (sizeLength === 2 ? 256 : 0);
  return {
    headerBytes,
    windowBytes: singleSegment ? size : windowOf(bytes[5]!),
    contentBytes: sizeLength === 0 ? undefined : size,
    checksumBytes: (descriptor & 0x04) !== 0 ? 4 : 0,
    dictionary: number(bytes, 5 + windowLength, dictionaryLength),
  };
}

/** Reads the three bytes before a block. Throws RangeError on the reserved type and on a block longer than any may be. */
export function parseBlockHeader(bytes: Uint8Array): BlockHeader {
  const header = bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16);
  const type = (header >> 1) & 3;
  const size = header >>> 3;
  if (type === 3) throw new RangeError("a block has the reserved type");
  if (size > MAX_BLOCK_BYTES) throw new RangeError(`a block claims ${size} bytes, more than 128 KiB`);
  // A run-length block stores one byte, whatever it unfolds to.
  return { last: (header & 1) === 1, bytes: type === 1 ? 1 : size };
}

/** Length of the frame that `bytes` starts with, or undefined when it does not end there. Throws RangeError on damage. */
export function frameLength(bytes: Uint8Array): number | undefined {
  const header = uint32(bytes, 0) === FRAME_MAGIC ? parseFrameHeader(bytes) : undefined;
  if (!header) return undefined;
  let at = header.headerBytes;
  for (let last = false; !last;) {
    if (at + 3 > bytes.length) return undefined;
    const block = parseBlockHeader(bytes.subarray(at, at + 3));
    last = block.last;
    at += 3 + block.bytes;
  }
  at += header.checksumBytes;
  return at <= bytes.length ? at : undefined;
}

/** Section 3.1.1.1.2. */
function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** Up to eight bytes, least first. Past 2^53 the value is rounded: it is over every limit then. */
function number(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let i = length - 1; i >= 0; i--) value = value * 256 + bytes[at + i]!;
  return value;
}
