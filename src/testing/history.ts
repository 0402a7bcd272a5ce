/**
 * What a store looked like a few changes ago: listings of some stores come late.
 *
 * @module
 */
import type { Store, StoreItem } from "../stage.ts";

/** The last changes of a store. */
export interface History {
  /** The same work on `key`, noted as a change. */
  readonly noting: <Args extends readonly unknown[]>(
    key: string,
    work: (...args: Args) => Promise<void>,
  ) => (...args: Args) => Promise<void>;
  /** A listing as it was before the last `changes`. */
  readonly before: (
    items: AsyncIterable<StoreItem>,
    prefix: string,
    changes: number,
  ) => AsyncGenerator<StoreItem>;
}

interface Change {
  readonly key: string;
  /** What stood there before. */
  readonly item: StoreItem | undefined;
}

/** Remembers up to `most` changes; with 0 it costs nothing. */
export function history(store: Store, most: number): History {
  const changes: Change[] = [];
  return {
    noting: (key, work) => {
      if (most === 0) return work;
      return async (...args) => {
        const item = await store.head(key);
        await work(...args);
        changes.push({ key, item });
        if (changes.length > most) changes.shift();
      };
    },
    before: async function* (items, prefix, count): AsyncGenerator<StoreItem> {
      const old = new Map<string, StoreItem | undefined>();
      for (const { key, item } of changes.slice(Math.max(0, changes.length - count)).toReversed()) {
        if (key.startsWith(prefix) && !key.endsWith(".lease")) old.set(key, item);
      }
      const all = new Map<string, StoreItem>();
      for await (const item of items) all.set(item.key, item);
      for (const [key, item] of old) item ? all.set(key, item) : all.delete(key);
      yield* [...all.values()].sort((a, b) => a.key < b.key ? -1 : 1);
    },
  };
}
