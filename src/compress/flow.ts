/**
 * How both directions move bytes: one source, results in order, a bounded number under way, and a cancel that reaches everything.
 *
 * @module
 */
import type { Bytes, U8 } from "../stage.ts";

/** A source under way. */
export type SourceReader = ReadableStreamDefaultReader<U8>;

/** A result on its way, and the memory it stands for. */
export interface Unit {
  /** Bytes held while it waits. */
  readonly weight: number;
  /** The result. */
  readonly bytes: Promise<U8>;
}

/**
 * A stream made from another. Nothing is opened before the first pull. A failure or a cancel ends the generator, so that its
 * `finally` runs, and cancels the source, even while a read of it is pending.
 */
export function through(open: () => Bytes, make: (source: SourceReader) => AsyncGenerator<U8>): Bytes {
  let source: SourceReader | undefined;
  let output: AsyncGenerator<U8> | undefined;
  return new ReadableStream<U8>({
    async pull(controller): Promise<void> {
      try {
        source ??= open().getReader();
        output ??= make(source);
        const { done, value } = await output.next();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        // A source that failed itself rejects this with the same error.
        await source?.cancel(error).catch(() => {});
        throw error;
      }
    },
    async cancel(reason): Promise<void> {
      try {
        await source?.cancel(reason);
      } finally {
        await output?.return(undefined);
      }
    },
  }, { highWaterMark: 0 });
}

/** Yields results in order while up to `weight` bytes of later ones are worked on; `source` is what `units` reads. */
export async function* inOrder(
  units: AsyncGenerator<Unit>,
  weight: number,
  source: SourceReader,
): AsyncGenerator<U8> {
  // A stream of promises is a queue with credits: it asks for the next unit while there is room.
  const queue = new ReadableStream<Unit>({
    async pull(controller): Promise<void> {
      const { done, value } = await units.next();
      if (done) return controller.close();
      // Seen when its turn comes; until then it must not count as unhandled.
      value.bytes.catch(() => {});
      controller.enqueue(value);
    },
    cancel: async () => void await units.return(undefined),
  }, { highWaterMark: weight, size: (unit) => unit.weight });
  const reader = queue.getReader();
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      yield await value.bytes;
    }
  } catch (error) {
    // Before the queue: the next unit may be waiting for a read that only this ends.
    await source.cancel(error).catch(() => {});
    throw error;
  } finally {
    await reader.cancel().catch(() => {});
  }
}
