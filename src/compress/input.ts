/**
 * A stream read by count instead of by chunk: what a walker over headers needs.
 *
 * @module
 */
import { giveBack, isWholeBlock, takeBlock } from "../blocks.ts";
import type { U8 } from "../stage.ts";
import type { SourceReader } from "./flow.ts";

/** Bytes of a stream, in order. */
export interface Input {
  /** Bytes taken so far. */
  readonly taken: () => number;
  /** The next `count` bytes, still to be taken; fewer only at the end of the stream. */
  readonly peek: (count: number) => Promise<U8>;
  /** Copies the next bytes into `target` until it is full; gives how many there were. */
  readonly fill: (target: U8) => Promise<number>;
  /** The next `size` bytes in a buffer that nobody else has, fewer only at the end: the source's own where it fits. */
  readonly block: (size: number) => Promise<U8>;
  /** Takes what is at hand, at most `most` bytes; undefined at the end of the stream. The buffer is shared: copy to keep. */
  readonly some: (most: number) => Promise<U8 | undefined>;
}

const NOTHING: U8 = new Uint8Array(0);

/** Reads a source by count. Holds one chunk, or what was last peeked at. */
export function createInput(source: SourceReader): Input {
  let chunk = NOTHING;
  /** The chunk with what of it has been taken. */
  let whole = NOTHING;
  let taken = 0;

  async function more(): Promise<U8 | undefined> {
    while (true) {
      const { done, value } = await source.read();
      if (done) return undefined;
      if (value.length > 0) return value;
    }
  }

  function take(count: number): U8 {
    const head = chunk.subarray(0, count);
    chunk = chunk.subarray(head.length);
    taken += head.length;
    return head;
  }

  async function peek(count: number): Promise<U8> {
    while (chunk.length < count) {
      const next = await more();
      if (!next) break;
      const joined = new Uint8Array(chunk.length + next.length);
      joined.set(chunk);
      joined.set(next, chunk.length);
      chunk = whole = joined;
    }
    return chunk.subarray(0, count);
  }

  async function some(most: number): Promise<U8 | undefined> {
    if (chunk.length === 0) {
      const next = await more();
      if (!next) return undefined;
      chunk = whole = next;
    }
    return take(most);
  }

  async function fill(target: U8): Promise<number> {
    let at = 0;
    while (at < target.length) {
      const piece = await some(target.length - at);
      if (!piece) break;
      target.set(piece, at);
      at += piece.length;
      if (chunk.length === 0) {
        giveBack(whole);
        chunk = whole = NOTHING;
      }
    }
    return at;
  }

  async function block(size: number): Promise<U8> {
    if (chunk.length === 0) {
      chunk = whole = await more() ?? chunk;
      if (chunk.length === size && isWholeBlock(chunk)) {
        taken += size;
        chunk = NOTHING;
        return whole;
      }
    }
    const copy = takeBlock(size);
    return copy.subarray(0, await fill(copy));
  }

  return { taken: () => taken, peek, fill, block, some };
}
