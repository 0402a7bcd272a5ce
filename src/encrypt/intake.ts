/**
 * Reads a byte source by amounts instead of by whatever chunks it comes in.
 *
 * @module
 */
import { giveBack } from "../blocks.ts";
import type { U8 } from "../stage.ts";

/** A source read by amounts. At the end of the source, `peek` and `take` give fewer bytes than asked for. */
export interface Intake {
  /** The next `size` bytes, which stay where they are. */
  readonly peek: (size: number) => Promise<U8>;
  /**
   * The next `size` bytes. A view of the source's chunk where one chunk holds them all: read it, do not write to it. Else a
   * copy, in `scratch` if that is given, which saves an allocation a step.
   */
  readonly take: (size: number, scratch?: U8) => Promise<U8>;
  /** The next `size` bytes as they lie in the source's chunks, uncopied. Read them before the next call, which may give the chunks back. */
  readonly views: (size: number) => Promise<Views>;
  /** Whether at least one more byte comes. */
  readonly more: () => Promise<boolean>;
  /** All that is left, chunk by chunk. */
  readonly rest: () => AsyncGenerator<U8, void, undefined>;
  /** Cancels the source. */
  readonly close: () => Promise<void>;
}

/** Some bytes, as they lie in a source's chunks. */
export interface Views {
  /** In their order; none is empty. */
  readonly views: readonly U8[];
  /** Bytes in all; fewer than asked for at the end. */
  readonly size: number;
  /** Whether at least one more byte comes. */
  readonly more: boolean;
}

/** Opens a source. Nothing is read before the first call, and no more than a call needs. */
export function intake(source: AsyncIterable<U8>): Intake {
  const iterator = source[Symbol.asyncIterator]();
  const chunks: U8[] = [];
  let have = 0;
  /** Chunks that were read to their end by `views`: nobody needs them at the next call. */
  let spent: U8[] = [];

  async function fill(size: number): Promise<void> {
    while (have < size) {
      const { done, value } = await iterator.next();
      if (done) return;
      if (value.length === 0) continue;
      chunks.push(value);
      have += value.length;
    }
  }

  function front(size: number, scratch?: U8): U8 {
    const first = chunks[0];
    if (first && first.length >= size) return first.subarray(0, size);
    const bytes = scratch?.subarray(0, size) ?? new Uint8Array(size);
    let at = 0;
    for (const chunk of chunks) {
      if (at >= size) break;
      const part = chunk.subarray(0, size - at);
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  async function views(needed: number): Promise<Views> {
    for (const chunk of spent) giveBack(chunk);
    spent = [];
    await fill(needed + 1);
    const size = Math.min(needed, have);
    const views: U8[] = [];
    for (let at = 0, left = size; left > 0; at++) {
      const view = chunks[at]!.subarray(0, left);
      if (view.length === chunks[at]!.length) spent.push(view);
      views.push(view);
      left -= view.length;
    }
    drop(size);
    return { views, size, more: have > 0 };
  }

  function drop(size: number): void {
    have -= size;
    let whole = 0;
    let left = size;
    while (left > 0 && chunks[whole]!.length <= left) left -= chunks[whole++]!.length;
    // At once: a shift for each is quadratic when the source comes byte by byte.
    chunks.splice(0, whole);
    if (left > 0) chunks[0] = chunks[0]!.subarray(left);
  }

  async function* rest(): AsyncGenerator<U8, void, undefined> {
    for (let chunk: U8 | undefined; (chunk = chunks.shift());) {
      have -= chunk.length;
      yield chunk;
    }
    for (;;) {
      const { done, value } = await iterator.next();
      if (done) return;
      yield value;
    }
  }

  return {
    rest,
    views,
    peek: async (size) => {
      await fill(size);
      return front(Math.min(size, have));
    },
    take: async (size, scratch) => {
      await fill(size);
      const bytes = front(Math.min(size, have), scratch);
      drop(bytes.length);
      return bytes;
    },
    more: async () => {
      await fill(1);
      return have > 0;
    },
    close: async () => {
      await iterator.return?.();
    },
  };
}
