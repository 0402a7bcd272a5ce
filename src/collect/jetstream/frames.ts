/**
 * Is a stream's snapshot whole? The server may end one early and call it a success (nats-server pull request 5873), so its frames
 * are followed to the end, and the end must be the end of an archive.
 *
 * @module
 */
import { concat } from "../../bytes.ts";
import { IntegrityError } from "../../errors.ts";
import type { U8 } from "../../stage.ts";
import { endsLikeArchive, MAGIC, type Walk, walkArchive } from "./natsarc.ts";
import { BLOCK_LIMIT, maskedCrc, unpackBlock, unpackedLength } from "./s2.ts";

/** What a whole snapshot has shown. */
export interface SnapshotShape {
  /** "tar" up to nats-server 2.14, "natsarc1" from 2.15; "messages": no snapshot but lines of JSON. */
  readonly format: "tar" | "natsarc1" | "messages";
  /** Bytes it unfolds to. */
  readonly unpackedBytes: number;
}

/** A check under way. */
export interface FrameCheck {
  /** Takes the next bytes; keeps no reference. Throws {@linkcode IntegrityError}. */
  readonly add: (chunk: Uint8Array) => void;
  /** Where the last data frame so far begins, in bytes from the start. */
  readonly lastStart: () => number;
  /** Bytes that what has come so far unfolds to. */
  readonly unpackedBytes: () => number;
  /** Says that nothing follows. Throws {@linkcode IntegrityError} unless the snapshot is whole. */
  readonly end: () => SnapshotShape;
}

/** How frames are followed. */
export interface FrameOptions {
  /** Unfolds every block and compares its checksum, instead of the first and the last two alone. */
  readonly thorough?: boolean | undefined;
  /** Is handed everything but padding, in order. */
  readonly keep?: ((bytes: Uint8Array) => void) | undefined;
}

const COMPRESSED = 0x00;
const STORED = 0x01;
const PADDING = 0xfe;
const STREAM_ID = 0xff;
const HEADER = 4;
const FRAME_LIMIT = 2 * BLOCK_LIMIT;
const UNIT = 512;

/** Follows the frames. */
export function frameCheck({ thorough = false, keep }: FrameOptions = {}): FrameCheck {
  const header = new Uint8Array(HEADER);
  let headerFill = 0;
  let body: U8 | undefined;
  let padding = 0;
  let fill = 0;
  let begun = false;
  let offset = 0;
  let lastStart = 0;
  let unpackedBytes = 0;
  let format: SnapshotShape["format"] = "tar";
  let first = true;
  let last: U8[] = [];
  /** The buffer that is free: three take turns, two of them hold the last data frames. */
  let spare = new Uint8Array(0);
  let walk: Walk | undefined;

  function frame(tagged: U8): void {
    const type = tagged[0]!;
    if (type === STREAM_ID) {
      const id = new TextDecoder("latin1").decode(tagged.subarray(1));
      if (id !== "S2sTwO" && id !== "sNaPpY") throw damaged("it does not start as S2");
      begun = true;
    } else if (type === COMPRESSED || type === STORED) data(tagged);
    else if (type < 0x80) throw damaged(`it holds a frame of the unknown type ${type}`);
  }

  function data(tagged: U8): void {
    const content = tagged.subarray(1);
    if (content.length < HEADER) throw damaged("a frame is too short");
    unpackedBytes += tagged[0] === STORED
      ? content.length - HEADER
      : unpackedLength(content.subarray(HEADER));
    if (thorough || first) {
      const bytes = unpackFrame(tagged);
      if (first && new TextDecoder("latin1").decode(bytes.subarray(0, MAGIC.length)) === MAGIC) {
        format = "natsarc1";
        if (thorough) walk = walkArchive();
      }
      first = false;
      walk?.add(bytes);
    }
    spare = last.length === 2 ? new Uint8Array(last[0]!.buffer) : new Uint8Array(0);
    last = [...last.slice(-1), tagged];
  }

  function begin(): void {
    const type = header[0]!;
    if (!begun && type !== STREAM_ID) throw damaged("it does not start as S2");
    const length = header[1]! | header[2]! << 8 | header[3]! << 16;
    if (type <= STORED) lastStart = offset - HEADER;
    if (type === PADDING) return void (padding = length);
    if (length > FRAME_LIMIT) throw damaged(`a frame of ${length} bytes`);
    if (spare.length <= length) spare = new Uint8Array(length + (length >> 3) + 1);
    body = spare.subarray(0, length + 1);
    body[0] = type;
    fill = 1;
    keep?.(header.slice());
  }

  function add(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      const left = chunk.length - at;
      let take = 1;
      if (padding > 0) {
        take = Math.min(padding, left);
        padding -= take;
      } else if (body) {
        take = Math.min(body.length - fill, left);
        const part = chunk.subarray(at, at + take);
        body.set(part, fill);
        keep?.(part);
        fill += take;
      } else header[headerFill++] = chunk[at]!;
      at += take;
      offset += take;
      if (headerFill === HEADER) {
        headerFill = 0;
        begin();
      }
      if (!body || fill < body.length) continue;
      const whole = body;
      body = undefined;
      frame(whole);
    }
  }

  return {
    add,
    lastStart: () => lastStart,
    unpackedBytes: () => unpackedBytes,
    end: () => {
      if (body || headerFill > 0 || padding > 0 || last.length === 0) throw cut();
      const tail = concat(last.map(unpackFrame));
      if (format === "tar") checkTarEnd(tail, unpackedBytes);
      else if (!endsLikeArchive(tail)) throw cut();
      walk?.end();
      return { format, unpackedBytes };
    },
  };
}

function unpackFrame(tagged: U8): U8 {
  const content = tagged.subarray(1);
  const expected = new DataView(content.buffer, content.byteOffset).getUint32(0, true);
  const bytes = tagged[0] === STORED ? content.slice(HEADER) : unpackBlock(content.subarray(HEADER));
  if (maskedCrc(bytes) !== expected) throw damaged("a block's checksum does not agree");
  return bytes;
}

/** A tar ends with two blocks of zeros; one that the server gave up on has a last entry that says why. */
function checkTarEnd(tail: U8, total: number): void {
  if (total % UNIT !== 0 || tail.length < 2 * UNIT || tail.subarray(-2 * UNIT).some((byte) => byte !== 0)) {
    throw cut();
  }
  for (let at = tail.length - 3 * UNIT; at >= 0; at -= UNIT) {
    if (!isErrorEntry(tail.subarray(at, at + UNIT))) continue;
    const why = new TextDecoder().decode(tail.subarray(at + UNIT, -2 * UNIT)).replaceAll("\0", "").trim();
    throw new IntegrityError(`the server could not read all of it: ${why}`);
  }
}

function isErrorEntry(block: U8): boolean {
  const ascii = (from: number, to: number): string =>
    new TextDecoder("latin1").decode(block.subarray(from, to));
  return ascii(0, 11) === "errors.txt\0" && ascii(257, 262) === "ustar";
}

function cut(): IntegrityError {
  return new IntegrityError("it is cut: it does not end as a snapshot ends");
}

function damaged(what: string): IntegrityError {
  return new IntegrityError(`it is damaged: ${what}`);
}
