/**
 * The writing half of a store made of programs.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { ExistsError, StoreError } from "../../errors.ts";
import type { Bytes, PutOptions, StoreItem, U8 } from "../../stage.ts";
import { type Source, sourceOf } from "../source.ts";
import { look, read } from "./get.ts";
import { fill } from "./options.ts";
import type { Programs } from "./program.ts";

/** Writes an object; what is written is looked up before it counts. */
export async function write(
  programs: Programs,
  key: string,
  body: Bytes | U8,
  { ifAbsent = false, signal }: PutOptions,
): Promise<void> {
  const action = `Cannot write "${key}"`;
  const source = sourceOf(body, signal);
  try {
    signal?.throwIfAborted();
    // Also where it does not matter what is there: many a program makes the folder of a disk that is not mounted.
    const there = await look(programs, key, action);
    if (there && ifAbsent) {
      if (await isSame(programs, there, source)) return;
      throw new ExistsError(
        `${action}: it exists in ${programs.url} with other content. Choose another name, or delete it first`,
      );
    }
    await send(programs, key, action, source, signal);
  } catch (error) {
    await source.cancel(error);
    throw error;
  } finally {
    source.release();
  }
}

async function send(
  programs: Programs,
  key: string,
  action: string,
  source: Source,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { options, url, feed, output } = programs;
  const target = options.move ? tempKey(key) : key;
  try {
    const bytes = await feed(action, fill(options.put, { key: target }), source, signal);
    const found = await look(programs, target, action);
    if (found?.bytes !== bytes) {
      throw new StoreError(
        `${action} in ${url}: "${options.put[0]}" said that all is well, and ${
          found ? `${found.bytes} of ${bytes} bytes are` : "nothing is"
        } there. Run it by hand`,
      );
    }
    signal?.throwIfAborted();
    if (options.move) await output(action, fill(options.move, { from: target, to: key }));
  } catch (error) {
    // Not the key itself: it may by now be another's.
    if (options.move) await output(action, fill(options.delete, { key: target })).catch(() => {});
    throw error;
  }
}

function tempKey(key: string): string {
  const at = key.lastIndexOf("/") + 1;
  const base = Array.from(key.slice(at)).slice(0, 48).join("");
  return `${key.slice(0, at)}.${base}.tmp-${randomBytes(8).toString("hex")}`;
}

/** Whether what would be written is there already: the answer to the first attempt may have got lost. */
async function isSame(programs: Programs, there: StoreItem, source: Source): Promise<boolean> {
  const reader = (await read(programs, there.key, undefined, there)).getReader();
  let stored: U8 = new Uint8Array();
  try {
    for (let chunk = await source.next(); chunk; chunk = await source.next()) {
      for (let at = 0; at < chunk.length;) {
        if (stored.length === 0) {
          const { done, value } = await reader.read();
          if (done) return false;
          stored = value;
        }
        const take = Math.min(stored.length, chunk.length - at);
        if (Buffer.compare(stored.subarray(0, take), chunk.subarray(at, at + take)) !== 0) return false;
        stored = stored.subarray(take);
        at += take;
      }
    }
    return stored.length === 0 && (await reader.read()).done;
  } finally {
    await reader.cancel();
  }
}
