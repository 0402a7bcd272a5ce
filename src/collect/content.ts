/**
 * Writes a file's content.
 *
 * @module
 */
import * as fs from "node:fs";
import { setImmediate } from "node:timers";
import { type Views, viewsOf } from "../blocks.ts";
import { IntegrityError } from "../errors.ts";
import type { Bytes, Entry, U8 } from "../stage.ts";
import { quote } from "./select.ts";

/**
 * Bytes of a write(2). Of longer ones Linux makes large folios of fresh memory: where a host takes back what is free, as under virtual
 * machines, copying into those takes three times as long.
 */
const PIECE = 128 * 1024;

/** The file, just made, still empty. */
export interface Target {
  /** Open for writing. */
  readonly fd: number;
  /** The error for what the system said while writing; the source's own errors pass as they are. */
  readonly fault: (cause: unknown) => Error;
}

/** Writes the entry's content. `tick` is awaited between chunks. Throws {@linkcode IntegrityError} unless it has the promised length. */
export async function writeContent(
  target: Target,
  entry: Entry,
  tick: (bytes: number) => Promise<void>,
): Promise<void> {
  const { body } = entry;
  let size = 0;
  if (entry.extents && body) size = await writeExtents(target, entry, entry.extents, tick);
  else if (body instanceof Uint8Array) {
    size = body.length;
    write(target, body);
  } else if (body) size = await writeStream(target, body, entry.bytes, tick);
  if (size !== entry.bytes) {
    throw new IntegrityError(
      `Cannot restore ${quote(entry.path)}: its content is ${
        size > entry.bytes ? "longer" : "shorter"
      } than the ${entry.bytes} bytes its header says`,
    );
  }
}

/** Gives the length that was read: at most one chunk more than `most` bytes, which is not written. */
async function writeStream(
  target: Target,
  body: () => Bytes,
  most: number,
  tick: (bytes: number) => Promise<void>,
): Promise<number> {
  const next = viewsOf(body);
  let size = 0;
  for await (const chunk of next ? each(next) : body()) {
    size += chunk.length;
    if (size > most) break;
    write(target, chunk);
    await turn();
    await tick(chunk.length);
  }
  return size;
}

/** Writes what is no hole where it belongs; the rest stays a hole. Gives the length that was read. */
async function writeExtents(
  { fd, fault }: Target,
  { body, bytes }: Entry,
  extents: readonly number[],
  tick: (bytes: number) => Promise<void>,
): Promise<number> {
  let size = 0;
  let next = 0;
  for await (const chunk of body instanceof Uint8Array ? [body] : body!()) {
    const end = size + chunk.length;
    try {
      for (; next < extents.length && extents[next]! < end; next += 2) {
        const to = extents[next]! + extents[next + 1]!;
        const from = Math.max(extents[next]!, size);
        for (let at = from; at < Math.min(to, end);) {
          at += fs.writeSync(fd, chunk, at - size, Math.min(PIECE, Math.min(to, end) - at), at);
        }
        if (to > end) break;
      }
    } catch (cause) {
      throw fault(cause);
    }
    size = end;
    await tick(chunk.length);
    if (size > bytes) return size;
  }
  try {
    fs.ftruncateSync(fd, size);
  } catch (cause) {
    throw fault(cause);
  }
  return size;
}

/** Lets what others have finished meanwhile be taken, and their next work be given out. */
function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

async function* each(next: Views): AsyncGenerator<U8, void, undefined> {
  for (let part: U8 | undefined; (part = await next());) yield part;
}

function write({ fd, fault }: Target, bytes: U8): void {
  try {
    for (let at = 0; at < bytes.length;) {
      at += fs.writeSync(fd, bytes, at, Math.min(PIECE, bytes.length - at));
    }
  } catch (cause) {
    throw fault(cause);
  }
}
