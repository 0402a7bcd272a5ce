/**
 * What the sentences are made of.
 *
 * @module
 */
import { readAll, toBytes } from "../../bytes.ts";
import type { Bytes, Store, U8 } from "../../stage.ts";

/** 1 MiB. */
export const MIB: number = 1024 * 1024;

/** A store to try. */
export interface Place {
  /** Empty, and nobody else's. */
  readonly store: Store;
  /** Takes the place away, so that every call must fail: a folder removed, a server stopped. */
  readonly vanish?: (() => Promise<void>) | undefined;
  /** What lies there that a listing does not show, lock files aside: parts, temporary files. */
  readonly debris: () => Promise<readonly string[]>;
}

/** Takes a sentence and what proves it. */
export type Check = (sentence: string, run: (place: Place) => Promise<void>) => void;

/** The same bytes cut into chunks of `size`. */
export function inChunks(bytes: Uint8Array, size: number): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for (let at = 0; at < bytes.length; at += size) yield new Uint8Array(bytes.subarray(at, at + size));
  });
}

/** Pseudo-random bytes from a seed (xorshift32): the same on every machine. */
export function noise(size: number, seed = 1): U8 {
  const bytes = new Uint8Array(size);
  let x = seed | 0 || 1;
  for (let i = 0; i < size; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[i] = x;
  }
  return bytes;
}

/** All bytes of an object. */
export async function bytesOf(store: Store, key: string): Promise<U8> {
  return await readAll(await store.get(key), 2 ** 30);
}

/** All keys of a listing. */
export async function keysOf(store: Store, prefix?: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const item of store.list(prefix)) keys.push(item.key);
  return keys;
}

/** Order of the bytes of two keys. */
export function compareBytes(a: string, b: string): number {
  const [x, y] = [new TextEncoder().encode(a), new TextEncoder().encode(b)];
  const at = x.findIndex((byte, i) => byte !== y[i]);
  return at === -1 ? x.length - y.length : x[at]! - (y[at] ?? -1);
}

/** Gives `size` bytes and fails. */
export function failing(size: number, failure: Error): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for await (const chunk of inChunks(noise(size), 64_000)) yield chunk;
    throw failure;
  });
}

/** Gives at least `size` of the bytes, and waits for `open` before it gives the rest. */
export function gated(bytes: U8, size: number): {
  body: Bytes;
  reached: Promise<void>;
  open: () => void;
  cancelled: () => boolean;
} {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  let at = 0;
  let cancelled = false;
  const body = new ReadableStream<U8>({
    async pull(controller): Promise<void> {
      if (at >= size) {
        reached.resolve();
        await opened.promise;
      }
      if (cancelled) return;
      const chunk = bytes.slice(at, at + 64_000);
      at += chunk.length;
      if (chunk.length > 0) controller.enqueue(chunk);
      else controller.close();
    },
    cancel(): void {
      cancelled = true;
      opened.resolve();
    },
  }, { highWaterMark: 0 });
  return { body, reached: reached.promise, open: opened.resolve, cancelled: () => cancelled };
}
