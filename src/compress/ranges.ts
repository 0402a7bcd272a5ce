/**
 * Ranges of the content of a zstd object with a seek table, and of a tar that is not packed. The table is believed in nothing but
 * where to look: a frame that is not what the table says is an error.
 *
 * @module
 */
import { labelled } from "../bytes.ts";
import { IntegrityError, messageOf } from "../errors.ts";
import type { Reader, U8 } from "../stage.ts";
import { work } from "./codec.ts";
import { detect } from "./expand.ts";
import { FRAME_MAGIC, frameLength, MAX_BLOCK_BYTES, parseFrameHeader, uint32 } from "./frames.ts";
import { readSeekTable, type SeekTable } from "./seekable.ts";

/** The longest content of a frame that is unpacked for a range. Other writers make longer ones: those objects are read whole. */
const FRAME_LIMIT = 8 * 1024 * 1024;
/** Packed bytes that are asked for at a time, unless one frame is longer. */
const STEP_BYTES = 4 * 1024 * 1024;

/**
 * Opens for ranged reads; undefined where only a full read is possible: gzip, zstd without a seek table, frames above 8 MiB.
 * Throws {@linkcode IntegrityError} when the table does not fit the object.
 */
export async function openRanges(
  open: () => Promise<Reader | undefined>,
  tool: string,
  what: string,
): Promise<Reader | undefined> {
  try {
    const packed = await open();
    if (!packed) return undefined;
    const kind = detect(await packed.at(0, Math.min(1024, packed.size)));
    if (kind === "tar") return packed;
    const table = kind === "zstd" ? await readSeekTable(packed, what) : undefined;
    return table && fits(table) ? unpacking(packed, table, { tool, what }) : undefined;
  } catch (error) {
    throw labelled(tool, error);
  }
}

/** Whether no frame is longer than what is unpacked at once. Skippable frames have no content and are never read. */
function fits({ frames, stored, content }: SeekTable): boolean {
  for (let i = 0; i < frames; i++) {
    const size = content[i + 1]! - content[i]!;
    if (size > FRAME_LIMIT) return false;
    if (size > 0 && stored[i + 1]! - stored[i]! > size + (size >> 1) + MAX_BLOCK_BYTES) return false;
  }
  return true;
}

function unpacking(
  packed: Reader,
  table: SeekTable,
  { tool, what }: { readonly tool: string; readonly what: string },
): Reader {
  const size = table.content[table.frames]!;
  let last: { readonly frame: number; readonly bytes: U8 } | undefined;

  /** The content of one frame; the last one stays at hand, for neighbours. */
  function unpack(frame: number, bytes: U8): U8 {
    last = { frame, bytes: unpacked(bytes, table.content[frame + 1]! - table.content[frame]!, frame, what) };
    return last.bytes;
  }

  async function at(start: number, end: number): Promise<U8> {
    if (!(start >= 0 && start <= end && end <= size)) {
      throw new RangeError(`Cannot read bytes ${start} to ${end} of ${size}`);
    }
    const out = new Uint8Array(end - start);
    const put = (frame: number, bytes: U8): void => {
      const offset = table.content[frame]!;
      const part = bytes.subarray(Math.max(0, start - offset), end - offset);
      out.set(part, Math.max(0, offset - start));
    };
    for (let frame = start < end ? table.at(start) : table.frames; frame < table.frames;) {
      if (table.content[frame]! >= end) break;
      const next = last?.frame === frame ? frame + 1 : group(table, frame, end);
      if (last?.frame === frame) put(frame, last.bytes);
      else if (table.content[next]! > table.content[frame]!) {
        const bytes = await packed.at(table.stored[frame]!, table.stored[next]!);
        for (let i = frame; i < next; i++) {
          const from = table.stored[i]! - table.stored[frame]!;
          put(i, unpack(i, bytes.subarray(from, from + table.stored[i + 1]! - table.stored[i]!)));
        }
      }
      frame = next;
    }
    return out;
  }

  return {
    size,
    at: async (start, end) => {
      try {
        return await at(start, end);
      } catch (error) {
        throw labelled(tool, error);
      }
    },
  };
}

/** The end of a run of frames with content that are worth one request; an empty frame is a run of its own. */
function group({ frames, stored, content }: SeekTable, first: number, end: number): number {
  let next = first + 1;
  if (content[next]! === content[first]!) return next;
  while (
    next < frames && content[next]! < end && content[next + 1]! > content[next]! &&
    stored[next + 1]! - stored[first]! <= STEP_BYTES
  ) next++;
  return next;
}

/** The content of exactly one frame of exactly `size` bytes. */
function unpacked(bytes: U8, size: number, frame: number, what: string): U8 {
  const fault = (why: string, cause?: unknown): IntegrityError =>
    new IntegrityError(
      `Cannot unpack a part of ${what}: frame ${frame} ${why}. Its seek table is wrong or it is damaged; take another copy`,
      { cause },
    );
  let why: unknown;
  try {
    const whole = bytes.length >= 8 && uint32(bytes, 0) === FRAME_MAGIC &&
      parseFrameHeader(bytes)?.contentBytes === size && frameLength(bytes) === bytes.length;
    if (whole) return work({ op: "unzstd", bytes, value: size });
  } catch (cause) {
    why = cause;
  }
  throw fault(why === undefined ? "is not what the table lists" : `is damaged (${messageOf(why)})`, why);
}
