/**
 * Entries that can be stopped while they wait.
 *
 * @module
 */
import { labelled } from "../bytes.ts";
import type { Entry } from "../stage.ts";

/** Entries whose `return` ends what `make` is waiting for: a generator alone would first wait for it. Errors carry `stage`. */
export function stoppable(
  stage: string,
  signal: AbortSignal,
  make: (signal: AbortSignal) => AsyncGenerator<Entry, void, undefined>,
): AsyncIterable<Entry> {
  const stop = new AbortController();
  const inner = make(AbortSignal.any([signal, stop.signal]));
  const iterator: AsyncIterator<Entry> = {
    next: async () => {
      try {
        return await inner.next();
      } catch (error) {
        throw labelled(stage, error);
      }
    },
    return: async () => {
      stop.abort();
      await inner.return().catch(() => {});
      return { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}
