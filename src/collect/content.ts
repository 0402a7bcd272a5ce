/**
 * Writes a file's content: small ones at once, long ones on another thread while what comes next is read, decrypted and unpacked.
 *
 * @module
 */
import * as fs from "node:fs";
import { setImmediate } from "node:timers";
import { type Views, viewsOf } from "../blocks.ts";
import { IntegrityError } from "../errors.ts";
import type { Bytes, Entry, U8 } from "../stage.ts";
import { quote } from "./select.ts";

/** What came sooner had been made before it was asked for: whoever makes it is ahead. */
const AT_HAND_MS = 0.2;

/** The file, just made, still empty. */
export interface Target {
  /** Open for writing. */
  readonly fd: number;
  /** Where it is. Nothing on the way is a link. */
  readonly path: string;
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
  using file = openBeside(target.path);
  const next = viewsOf(body);
  let size = 0;
  let from = performance.now();
  for await (const chunk of next ? each(next) : body()) {
    const waited = performance.now() - from;
    size += chunk.length;
    if (size > most) break;
    if (file && waited > AT_HAND_MS) await writeBeside(file, target, chunk);
    else {
      writeHere(file, target, chunk);
      await turn();
    }
    await tick(chunk.length);
    from = performance.now();
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
          at += fs.writeSync(fd, chunk, at - size, Math.min(to, end) - at, at);
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

function writeHere(file: Deno.FsFile | undefined, target: Target, bytes: U8): void {
  if (!file) return write(target, bytes);
  try {
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
  } catch (cause) {
    throw target.fault(cause);
  }
}

async function* each(next: Views): AsyncGenerator<U8, void, undefined> {
  for (let part: U8 | undefined; (part = await next());) yield part;
}

/** A second handle, because those of node:fs write on this thread. Undefined for a mode that does not allow it. */
function openBeside(path: string): Deno.FsFile | undefined {
  try {
    return Deno.openSync(path, { write: true });
  } catch {
    return undefined;
  }
}

async function writeBeside(file: Deno.FsFile, { fault }: Target, bytes: U8): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  } catch (cause) {
    throw fault(cause);
  }
}

function write({ fd, fault }: Target, bytes: U8): void {
  try {
    for (let at = 0; at < bytes.length;) at += fs.writeSync(fd, bytes, at, bytes.length - at);
  } catch (cause) {
    throw fault(cause);
  }
}
