/**
 * The reading half of a store made of programs.
 *
 * @module
 */
import { messageOf, NotFoundError, StoreError } from "../../errors.ts";
import type { ByteRange, Bytes, StoreItem, U8 } from "../../stage.ts";
import { checkKey, checkRange, compareKeys, isLease, resolveRange } from "../key.ts";
import { fill } from "./options.ts";
import type { Programs, Running } from "./program.ts";
import { parseRecords } from "./records.ts";

/** Every object, temporary ones included. */
export async function all(programs: Programs, action: string): Promise<StoreItem[]> {
  const { list } = programs.options;
  const text = await programs.output(action, list);
  try {
    return parseRecords(text);
  } catch (cause) {
    throw new StoreError(
      `${action} in ${programs.url}: cannot understand what "${list[0]}" lists: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** An object, or undefined when it is proven absent: by `stat` that printed nothing, or by a whole listing. */
export async function look(
  programs: Programs,
  key: string,
  action: string,
): Promise<StoreItem | undefined> {
  const { stat } = programs.options;
  if (stat) {
    try {
      const [found] = parseRecords(await programs.output(action, fill(stat, { key })));
      return found && { ...found, key };
    } catch (error) {
      if (error instanceof TypeError) throw error;
      // Programs fail for what is absent, too: the listing tells.
    }
  }
  return (await all(programs, action)).find((item) => item.key === key);
}

/** The objects that a listing shows. */
export async function* list(
  programs: Programs,
  prefix: string,
): AsyncGenerator<StoreItem, void, undefined> {
  const items = await all(programs, "Cannot list");
  const shown = items.filter(({ key }) => key.startsWith(prefix) && !isLease(key) && isKey(key));
  yield* shown.sort((a, b) => compareKeys(a.key, b.key));
}

/** Whether it is an object. A temporary file has no valid key, nor has what no put can have made. */
function isKey(key: string): boolean {
  try {
    return checkKey(key) === key;
  } catch {
    return false;
  }
}

/** Opens an object or a part of it. */
export async function read(
  programs: Programs,
  key: string,
  range: ByteRange | undefined,
  known?: StoreItem,
): Promise<Bytes> {
  if (range) checkRange(range);
  const action = `Cannot read "${key}"`;
  const { options, url, begin } = programs;
  const item = known ?? await look(programs, key, action);
  if (!item) throw new NotFoundError(`${action}: it is not in ${url}`);
  const { start, end } = resolveRange(key, item.bytes, range);
  const count = end - start;
  if (count === 0) return new ReadableStream({ start: (controller) => controller.close() });
  if (count === item.bytes) {
    return streamOf(await begin(action, fill(options.get, { key })), 0, count, true, cut);
  }
  const { getRange } = options;
  if (!getRange) return streamOf(await begin(action, fill(options.get, { key })), start, count, false, cut);
  const words = { key, start: String(start), count: String(count) };
  return streamOf(await begin(action, fill(getRange, words)), 0, count, true, cut);

  function cut(bytes: number): StoreError {
    return new StoreError(
      `${action} in ${url}: "${options.get[0]}" printed ${
        bytes > count ? "more than" : `${bytes} of`
      } ${count} bytes. It was replaced while it was read, or the program is wrong`,
    );
  }
}

/** The bytes of a program without the first `skip`; `count` of them, and when it is `whole` no more. */
function streamOf(
  running: Running,
  skip: number,
  count: number,
  whole: boolean,
  cut: (bytes: number) => StoreError,
): Bytes {
  let left = skip;
  let given = 0;
  let cancelled = false;

  async function next(): Promise<U8 | undefined> {
    while (given < count) {
      const piece = await running.next();
      if (!piece) throw cut(given);
      const kept = piece.subarray(Math.min(left, piece.length));
      left -= piece.length - kept.length;
      if (whole && given + kept.length > count) throw cut(given + kept.length);
      const chunk = kept.subarray(0, count - given);
      given += chunk.length;
      if (chunk.length > 0) return chunk;
    }
    // How it ends counts as well; of a part that was cut out, not.
    if (whole && await running.next()) throw cut(count + 1);
    return undefined;
  }

  return new ReadableStream<U8>({
    async pull(controller): Promise<void> {
      try {
        const chunk = await next();
        if (cancelled) return;
        if (chunk) return controller.enqueue(chunk);
        await running.stop();
        controller.close();
      } catch (error) {
        await running.stop();
        if (!cancelled) throw error;
      }
    },
    async cancel(): Promise<void> {
      cancelled = true;
      await running.stop();
    },
  }, { highWaterMark: 0 });
}
