/**
 * One block of S2, the extension of Snappy that NATS snapshots are written in (the "S2 block format" of klauspost/compress).
 *
 * @module
 */
import { IntegrityError } from "../../errors.ts";
import type { U8 } from "../../stage.ts";

/** No block of the framing format unfolds to more: 4 MiB. */
export const BLOCK_LIMIT: number = 4 * 1024 * 1024;

/** The length a block says it unfolds to. */
export function unpackedLength(block: Uint8Array): number {
  return varint(block).value;
}

/** Unfolds a block. Throws {@linkcode IntegrityError} on damage. */
export function unpackBlock(block: Uint8Array): U8 {
  const { value: length, size } = varint(block);
  if (length > BLOCK_LIMIT) throw damaged(`a block claims ${length} bytes`);
  const out = new Uint8Array(length);
  const at = { from: size, to: 0, offset: 0 };
  while (at.from < block.length) step(block, out, at);
  if (at.to !== length) throw damaged(`a block gave ${at.to} of ${length} bytes`);
  return out;
}

interface Place {
  from: number;
  to: number;
  offset: number;
}

function step(block: Uint8Array, out: U8, at: Place): void {
  const tag = block[at.from++]!;
  const high = tag >> 2;
  if ((tag & 3) === 0) {
    const extra = Math.max(0, high - 59);
    const length = (extra === 0 ? high : little(block, at, extra)) + 1;
    if (at.from + length > block.length || at.to + length > out.length) throw damaged("a literal is cut");
    out.set(block.subarray(at.from, at.from + length), at.to);
    at.from += length;
    at.to += length;
    return;
  }
  copy(out, at, copyLength(block, at, tag));
}

/** Reads a copy's offset into `at`, and gives its length. Offset 0 in the short form repeats the last one. */
function copyLength(block: Uint8Array, at: Place, tag: number): number {
  const high = tag >> 2;
  if ((tag & 3) === 2) {
    at.offset = little(block, at, 2);
    return high + 1;
  }
  if ((tag & 3) === 3) {
    at.offset = little(block, at, 4);
    return high + 1;
  }
  const offset = ((tag & 0xe0) << 3) | little(block, at, 1);
  const length = high & 7;
  if (offset !== 0) {
    at.offset = offset;
    return length + 4;
  }
  if (length < 5) return length + 4;
  const base = length === 5 ? 4 : length === 6 ? 256 : 65_536;
  return little(block, at, length - 4) + base + 4;
}

function copy(out: U8, at: Place, length: number): void {
  if (at.offset === 0 || at.offset > at.to || at.to + length > out.length) throw damaged("a copy leaves it");
  // One byte after the other: source and target may overlap.
  for (let i = 0; i < length; i++) out[at.to + i] = out[at.to + i - at.offset]!;
  at.to += length;
}

function little(block: Uint8Array, at: Place, bytes: number): number {
  if (at.from + bytes > block.length) throw damaged("it ends early");
  let value = 0;
  for (let i = 0; i < bytes; i++) value += block[at.from + i]! * 2 ** (8 * i);
  at.from += bytes;
  return value;
}

function varint(block: Uint8Array): { value: number; size: number } {
  let value = 0;
  for (let size = 0; size < 5 && size < block.length; size++) {
    value += (block[size]! & 0x7f) * 2 ** (7 * size);
    if (block[size]! < 0x80) return { value, size: size + 1 };
  }
  throw damaged("a block has no length");
}

function damaged(what: string): IntegrityError {
  return new IntegrityError(`it is damaged: ${what}`);
}

const TABLE = new Uint32Array(256).map((_, i) => {
  let value = i;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});

/** CRC-32C, masked as the framing format has it. */
export function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = TABLE[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  crc = (crc ^ 0xffffffff) >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
