/**
 * The end of an RDB file: the mark, and the checksum over all that stands before it.
 *
 * @module
 */
import type { Spool } from "../../collect/spool.ts";

/** Opcode of the end; the 8 bytes of the checksum follow it. */
const END = 0xff;
const SUM_BYTES = 8;

/** A server that sends without a file of its own marks the end of the stream; the client leaves that behind the file on a pipe. */
const STREAM_MARK = 40;
const CUT = "it ends before its end mark";

/** The length of the RDB file at the beginning of the output; otherwise why there is none. */
export async function lengthOfRdb(output: Spool): Promise<number | string> {
  const size = output.size();
  const fault = await faultOf(output, size);
  if (fault === undefined) return size;
  if (fault !== CUT) return fault;
  return await faultOf(output, size - STREAM_MARK) ?? size - STREAM_MARK;
}

async function faultOf(output: Spool, size: number): Promise<string | undefined> {
  const covered = size - SUM_BYTES;
  const sum = crc64();
  const tail = new Uint8Array(SUM_BYTES);
  let at = 0;
  let last = 0;
  for await (const chunk of output.read()) {
    if (at === 0 && !/^(?:REDIS|VALKEY)\d/.test(new TextDecoder("latin1").decode(chunk.subarray(0, 8)))) {
      return "it does not begin as an RDB file";
    }
    const here = Math.max(0, Math.min(chunk.length, covered - at));
    sum.add(chunk.subarray(0, here));
    if (here > 0) last = chunk[here - 1]!;
    const rest = chunk.subarray(here, Math.max(here, Math.min(chunk.length, size - at)));
    if (rest.length > 0 && at + here >= covered) tail.set(rest, at + here - covered);
    at += chunk.length;
  }
  if (last !== END) return CUT;
  // A server with "rdbchecksum no" writes zeros.
  if (tail.every((byte) => byte === 0)) return undefined;
  const view = new DataView(tail.buffer);
  const [low, high] = sum.end();
  const agrees = view.getUint32(0, true) === low && view.getUint32(4, true) === high;
  return agrees ? undefined : "its checksum does not agree with its content";
}

/** CRC-64/Redis (Jones' polynomial, reflected), in two halves of 32 bits. */
function crc64(): {
  readonly add: (bytes: Uint8Array) => void;
  readonly end: () => readonly [number, number];
} {
  const lows = new Uint32Array(256);
  const highs = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    let value = BigInt(i);
    for (let bit = 0; bit < 8; bit++) value = value & 1n ? (value >> 1n) ^ 0x95ac9329ac4bc9b5n : value >> 1n;
    lows[i] = Number(value & 0xffffffffn);
    highs[i] = Number(value >> 32n);
  }
  let low = 0;
  let high = 0;
  return {
    add: (bytes) => {
      for (let i = 0; i < bytes.length; i++) {
        const at = (low ^ bytes[i]!) & 0xff;
        low = ((low >>> 8) | (high << 24)) ^ lows[at]!;
        high = (high >>> 8) ^ highs[at]!;
      }
    },
    end: () => [low >>> 0, high >>> 0],
  };
}
