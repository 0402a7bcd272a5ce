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
  /** Says that nothing follows. Throws {@linkcode IntegrityError} unless the snapshot is whole. */
  readonly end: () => SnapshotShape;
}

const COMPRESSED = 0x00;
const STORED = 0x01;
const STREAM_ID = 0xff;
const HEADER = 4;
const FRAME_LIMIT = 2 * BLOCK_LIMIT;
const UNIT = 512;

/** Follows the frames. `thorough` unfolds every block and compares its checksum, instead of the first and the last two alone. */
export function frameCheck(thorough = false): FrameCheck {
  const header = new Uint8Array(HEADER);
  let headerFill = 0;
  let body: U8 | undefined;
  let fill = 0;
  let begun = false;
  let unpackedBytes = 0;
  let format: SnapshotShape["format"] = "tar";
  let first = true;
  let last: U8[] = [];
  let walk: Walk | undefined;

  function frame(type: number, content: U8): void {
    if (type === STREAM_ID) {
      const id = new TextDecoder("latin1").decode(content);
      if (id !== "S2sTwO" && id !== "sNaPpY") throw damaged("it does not start as S2");
      begun = true;
    } else if (type === COMPRESSED || type === STORED) data(type, content);
    else if (type < 0x80) throw damaged(`it holds a frame of the unknown type ${type}`);
  }

  function data(type: number, content: U8): void {
    if (content.length < HEADER) throw damaged("a frame is too short");
    const tagged = concat([new Uint8Array([type]), content]);
    unpackedBytes += type === STORED ? content.length - HEADER : unpackedLength(content.subarray(HEADER));
    if (thorough || first) {
      const bytes = unpackFrame(tagged);
      if (first && new TextDecoder("latin1").decode(bytes.subarray(0, MAGIC.length)) === MAGIC) {
        format = "natsarc1";
        if (thorough) walk = walkArchive();
      }
      first = false;
      walk?.add(bytes);
    }
    last = [...last.slice(-1), tagged];
  }

  function add(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      if (!body) {
        header[headerFill++] = chunk[at++]!;
        if (headerFill < HEADER) continue;
        if (!begun && header[0] !== STREAM_ID) throw damaged("it does not start as S2");
        const length = header[1]! | header[2]! << 8 | header[3]! << 16;
        if (length > FRAME_LIMIT) throw damaged(`a frame of ${length} bytes`);
        body = new Uint8Array(length);
        fill = 0;
      }
      const take = Math.min(body.length - fill, chunk.length - at);
      body.set(chunk.subarray(at, at + take), fill);
      at += take;
      fill += take;
      if (fill < body.length) continue;
      const whole = body;
      body = undefined;
      headerFill = 0;
      frame(header[0]!, whole);
    }
  }

  return {
    add,
    end: () => {
      if (body || headerFill > 0 || last.length === 0) throw cut();
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
