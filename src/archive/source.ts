/**
 * A byte stream read in pieces of wanted lengths, without copying where it can be helped.
 *
 * @module
 */
import { giveBack, isPassing } from "../blocks.ts";
import type { Bytes, U8 } from "../stage.ts";

/** A stream with a position. */
export interface Source {
  /** A view of the next `size` bytes when they are at hand, else undefined. It is gone with the next call that waits. */
  readonly now: (size: number) => U8 | undefined;
  /** The next bytes, at most `most`, undefined at the end. They share their buffer and are gone with the next call. */
  readonly view: (most: number) => Promise<U8 | undefined>;
  /** The next `size` bytes in a buffer of their own; fewer when the stream ends. */
  readonly exactly: (size: number) => Promise<U8>;
  /** The next bytes, at most `most`, in a buffer of their own; undefined at the end. */
  readonly piece: (most: number) => Promise<U8 | undefined>;
  /** Moves on; gives how many bytes were missing when the stream ended. */
  readonly skip: (size: number) => Promise<number>;
  /** Gives the stream up. */
  readonly close: () => Promise<void>;
}

const NOTHING: U8 = new Uint8Array(0);

/** Wraps a stream. Nothing is read before the first call. */
export function sourceOf(bytes: Bytes): Source {
  const reader = bytes.getReader();
  let chunk: U8 = NOTHING;
  let at = 0;

  async function refill(): Promise<boolean> {
    while (at === chunk.length) {
      const { done, value } = await reader.read();
      giveBack(chunk);
      chunk = done ? NOTHING : value;
      at = 0;
      if (done) return false;
    }
    return true;
  }

  function now(size: number): U8 | undefined {
    if (chunk.length - at < size) return undefined;
    at += size;
    return chunk.subarray(at - size, at);
  }

  async function exactly(size: number): Promise<U8> {
    const out = new Uint8Array(size);
    let fill = 0;
    while (fill < size && await refill()) {
      const take = Math.min(size - fill, chunk.length - at);
      out.set(now(take)!, fill);
      fill += take;
    }
    return fill === size ? out : out.slice(0, fill);
  }

  async function piece(most: number): Promise<U8 | undefined> {
    if (!await refill()) return undefined;
    // A whole chunk is handed on as it is: nothing of it is left to be read here.
    if (at === 0 && chunk.length <= most && (isPassing(chunk) || chunk.length === chunk.buffer.byteLength)) {
      const all = chunk;
      chunk = NOTHING;
      return all;
    }
    return now(Math.min(most, chunk.length - at))!.slice();
  }

  async function view(most: number): Promise<U8 | undefined> {
    if (!await refill()) return undefined;
    return now(Math.min(most, chunk.length - at));
  }

  async function skip(size: number): Promise<number> {
    let left = size;
    while (left > 0 && await refill()) {
      const take = Math.min(left, chunk.length - at);
      at += take;
      left -= take;
    }
    return left;
  }

  /** What goes wrong while giving up must not hide why. */
  async function close(): Promise<void> {
    await reader.cancel().catch(() => {});
  }

  return { now, view, exactly, piece, skip, close };
}
