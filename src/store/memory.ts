/**
 * A store in memory: for tests and first tries.
 *
 * @module
 */
import { concat } from "../bytes.ts";
import { ExistsError, NotFoundError } from "../errors.ts";
import type { ByteRange, Bytes, PutOptions, Store, StoreItem, U8 } from "../stage.ts";
import { checkKey, checkRange, compareKeys, isLease, resolveRange } from "./key.ts";
import { sourceOf } from "./source.ts";

const CHUNK_BYTES = 1024 * 1024;

interface Kept {
  readonly bytes: U8;
  readonly modified: Date;
}

/**
 * Keeps objects in this process, and nowhere else; each call gives a new, empty store. Writes, conditions and ranges are as in
 * every store. It has no locks, so leases are objects.
 */
export function memory(): Store {
  const objects = new Map<string, Kept>();
  return {
    url: "memory:",
    put: (key, body, options = {}) => put(objects, key, body, options),
    get: (key, range) => Promise.resolve().then(() => get(objects, key, range)),
    head: (key) => Promise.resolve().then(() => item(objects, checkKey(key))),
    list: (prefix = "") => list(objects, prefix),
    delete: (key) => Promise.resolve().then(() => void objects.delete(checkKey(key))),
  };
}

async function put(
  objects: Map<string, Kept>,
  key: string,
  body: Bytes | U8,
  options: PutOptions,
): Promise<void> {
  checkKey(key);
  const source = sourceOf(body, options.signal);
  try {
    options.signal?.throwIfAborted();
    const chunks: U8[] = [];
    // Copies: the caller may go on using its own, and a chunk may be a small part of its buffer.
    for (let chunk = await source.next(); chunk; chunk = await source.next()) chunks.push(chunk.slice());
    const bytes = concat(chunks);
    const there = objects.get(key);
    if (options.ifAbsent && there) {
      if (equal(there.bytes, bytes)) return;
      throw new ExistsError(
        `Cannot write "${key}": it exists in "memory:" with other content. Choose another name, or delete it first`,
      );
    }
    objects.set(key, { bytes, modified: new Date() });
  } catch (error) {
    await source.cancel(error);
    throw error;
  } finally {
    source.release();
  }
}

function equal(a: U8, b: U8): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function get(objects: Map<string, Kept>, key: string, range?: ByteRange): Bytes {
  checkKey(key);
  if (range) checkRange(range);
  const kept = objects.get(key);
  if (!kept) throw new NotFoundError(`Cannot read "${key}": it is not in "memory:"`);
  const part = resolveRange(key, kept.bytes.length, range);
  let at = part.start;
  return new ReadableStream<U8>({
    pull(controller): void {
      if (at === part.end) return controller.close();
      const chunk = kept.bytes.slice(at, Math.min(at + CHUNK_BYTES, part.end));
      at += chunk.length;
      controller.enqueue(chunk);
    },
  }, { highWaterMark: 0 });
}

function item(objects: Map<string, Kept>, key: string): StoreItem | undefined {
  const kept = objects.get(key);
  return kept && { key, bytes: kept.bytes.length, modified: kept.modified };
}

async function* list(objects: Map<string, Kept>, prefix: string): AsyncGenerator<StoreItem, void, undefined> {
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && !isLease(key));
  for (const key of keys.sort(compareKeys)) {
    const found = await Promise.resolve(item(objects, key));
    if (found) yield found;
  }
}
