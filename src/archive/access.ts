/**
 * Reaching the parts of an index: by ranges, from memory, or by passes over the stream.
 *
 * @module
 */
import { concat } from "../bytes.ts";
import { IndexError } from "../errors.ts";
import type { Body, Reader, U8 } from "../stage.ts";
import type { IndexFrame } from "./listing.ts";

/** An index without ranged reads is kept in memory up to this length, and read again where it is longer. */
const KEEP = 32 * 1024 * 1024;

/** How the parts of an index are reached. */
export interface Access {
  /** Length of the index. */
  readonly size: number;
  /** The bytes from `start` to the end; called for the last two frames only. */
  readonly from: (start: number) => Promise<U8>;
  /** Frames in ascending order. */
  readonly frames: (frames: readonly IndexFrame[]) => AsyncIterable<U8>;
}

/** Opens an index for reading; without ranged reads this is a pass over all of it. */
export async function openAccess(body: Body): Promise<Access> {
  const reader = await body.open?.();
  return reader ? ranged(reader) : await streamed(body);
}

function ranged(reader: Reader): Access {
  return {
    size: reader.size,
    from: (start) => reader.at(start, reader.size),
    frames: async function* (frames): AsyncGenerator<U8, void, undefined> {
      for (const { offset, size } of frames) yield await reader.at(offset, offset + size);
    },
  };
}

async function streamed(body: Body): Promise<Access> {
  const kept: U8[] = [];
  let size = 0;
  for await (const chunk of body.read()) {
    size += chunk.length;
    if (size <= KEEP) kept.push(chunk);
    else kept.length = 0;
  }
  if (size <= KEEP) {
    const all = concat(kept);
    return ranged({ size, at: (start, end) => Promise.resolve(all.slice(start, end)) });
  }
  return {
    size,
    from: async (start) => {
      for await (const part of cutOut(body, [{ offset: start, size: size - start }])) return part;
      throw damaged("it ends early");
    },
    frames: (frames) => cutOut(body, frames),
  };
}

/** Parts of a stream, in ascending order. */
async function* cutOut(
  body: Body,
  parts: readonly { readonly offset: number; readonly size: number }[],
): AsyncGenerator<U8, void, undefined> {
  let at = 0;
  let next = 0;
  let got: U8[] = [];
  for await (const chunk of body.read()) {
    const end = at + chunk.length;
    for (let part = parts[next]; part && part.offset < end; part = parts[next]) {
      const from = Math.max(part.offset, at);
      const to = Math.min(part.offset + part.size, end);
      got.push(chunk.slice(from - at, to - at));
      if (part.offset + part.size > end) break;
      yield concat(got);
      got = [];
      next++;
    }
    at = end;
    if (next === parts.length) return;
  }
  throw damaged("it ends early");
}

/** An index that is not what it should be. */
export function damaged(why: string): IndexError {
  return new IndexError(
    `Cannot read the index: ${why}. It is cut or damaged; the archive itself may be whole`,
  );
}
