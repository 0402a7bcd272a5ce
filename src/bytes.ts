/**
 * The only stream helpers: make, read, regroup, count, label.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { IntegrityError, StageError } from "./errors.ts";
import type { Body, Bytes, Reader, U8 } from "./stage.ts";

/**
 * Makes a stream from a generator; nothing is read ahead, cancel runs the generator's `finally`, or
 * cancels `upstream`, which the generator would have read, if it has not begun.
 */
export function toBytes(
  source: () => AsyncGenerator<U8, void, undefined>,
  upstream?: Pick<Bytes, "cancel">,
): Bytes {
  let iterator: AsyncGenerator<U8, void, undefined> | undefined;
  return new ReadableStream<U8>({
    async pull(controller): Promise<void> {
      iterator ??= source();
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel(reason): Promise<void> {
      if (iterator) await iterator.return(reason as void);
      else await upstream?.cancel(reason);
    },
  }, { highWaterMark: 0 });
}

/** A body over bytes in memory. */
export function bodyOf(bytes: U8): Body {
  return {
    read: () =>
      toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
        if (bytes.length > 0) yield bytes;
      }),
    open: () =>
      Promise.resolve({
        size: bytes.length,
        at: (start, end) => Promise.resolve(bytes.slice(start, end)),
      }),
  };
}

/** Reads a stream whole. Throws {@linkcode IntegrityError} past `limit` bytes. */
export async function readAll(bytes: Bytes, limit: number, what = "data"): Promise<U8> {
  const chunks: U8[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.length;
    if (size > limit) {
      throw new IntegrityError(`Cannot read ${what}: it is larger than ${limit} bytes`);
    }
    chunks.push(chunk);
  }
  return concat(chunks);
}

/** Joins chunks; a single one is handed on as it is. */
export function concat(chunks: readonly U8[]): U8 {
  if (chunks.length === 1) return chunks[0]!;
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** What a reader holds, as a stream in steps of `step` bytes. */
export function stepping(reader: Reader, step: number): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for (let at = 0; at < reader.size; at += step) {
      yield await reader.at(at, Math.min(at + step, reader.size));
    }
  });
}

/**
 * Regroups bytes into chunks of exactly `size` bytes; only the last may be shorter, none is empty. `take` gives a chunk's memory, `cut` is
 * handed the last one with its length.
 */
export async function* rechunk(
  bytes: AsyncIterable<U8>,
  size: number,
  take: (size: number) => U8 = (size) => new Uint8Array(size),
  cut: (block: U8, size: number) => U8 = (block, size) => block.subarray(0, size),
): AsyncGenerator<U8, void, undefined> {
  let block: U8 | undefined;
  let fill = 0;
  for await (const chunk of bytes) {
    for (let at = 0; at < chunk.length;) {
      block ??= take(size); // not before it is filled: what is taken must be handed on
      const count = Math.min(size - fill, chunk.length - at);
      block.set(chunk.subarray(at, at + count), fill);
      at += count;
      fill += count;
      if (fill < size) continue;
      yield block;
      block = undefined;
      fill = 0;
    }
  }
  if (block) yield cut(block, fill);
}

/** Passes a stream on and shows each chunk to `see` first; `end` runs after the last and may throw. */
export function watch(bytes: Bytes, see: (chunk: U8) => void, end?: () => void | Promise<void>): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for await (const chunk of bytes) {
      see(chunk);
      yield chunk;
    }
    await end?.();
  }, bytes);
}

/** Labels the errors of a stream with the stage it comes from; an inner label stands. */
export function label(stage: string, bytes: Bytes): Bytes {
  const reader = bytes.getReader();
  return new ReadableStream<U8>({
    async pull(controller): Promise<void> {
      try {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        throw labelled(stage, error);
      }
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}

/** An error with the stage it came from; an inner label, and a cancellation, stand as they are. */
export function labelled(stage: string, error: unknown): unknown {
  if (error instanceof StageError) return error;
  if (error instanceof DOMException && error.name === "AbortError") return error;
  return new StageError(stage, error);
}

/** Lower-case hexadecimal SHA-256. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** UTF-8 bytes of a text. */
export function utf8(text: string): U8 {
  return new TextEncoder().encode(text);
}

/** The text of UTF-8 bytes; throws TypeError on anything else. */
export function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** "1 backup", "2 backups". */
export function several(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A number of bytes for people: "9.2 MiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit]}`;
}
