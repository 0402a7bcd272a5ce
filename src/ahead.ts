/**
 * Work done ahead, a bounded number at a time, given in order.
 *
 * @module
 */

/** What became of one piece of work. */
export type Outcome<T, R> =
  | { readonly item: T; readonly value: R }
  | { readonly item: T; readonly error: Error };

/**
 * Does `work` for each item, up to `width` at once, and yields what became of each, in order. When the iteration ends early, the
 * work under way is told to stop, and values that nobody took go to `drop`.
 */
export async function* ahead<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T, signal: AbortSignal) => Promise<R>,
  drop: (value: R) => void = () => {},
): AsyncGenerator<Outcome<T, R>, void, undefined> {
  const waiting: Promise<Outcome<T, R>>[] = [];
  const stop = new AbortController();
  let next = 0;
  const start = async (item: T): Promise<Outcome<T, R>> => {
    try {
      return { item, value: await work(item, stop.signal) };
    } catch (error) {
      return { item, error: error as Error };
    }
  };
  try {
    while (next < items.length || waiting.length > 0) {
      while (next < items.length && waiting.length < width) waiting.push(start(items[next++]!));
      const outcome = await waiting[0]!;
      waiting.shift();
      yield outcome;
    }
  } finally {
    stop.abort(new DOMException("Stopped", "AbortError"));
    for (const outcome of await Promise.all(waiting)) if ("value" in outcome) drop(outcome.value);
  }
}
