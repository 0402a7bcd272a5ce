/**
 * Reading files of the directory store.
 *
 * @module
 */
import { takeBlock } from "../blocks.ts";
import type { ByteRange, Bytes, U8 } from "../stage.ts";

const CHUNK_BYTES = 1024 * 1024;
/** A long file is read in larger chunks: each costs a turn of two threads. */
const LONG_BYTES = 16 * 1024 * 1024;

/** Fills `buffer` from the file's position; gives fewer bytes only at the end of the file. */
export async function readFull(file: Deno.FsFile, buffer: Uint8Array): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const count = await file.read(buffer.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return filled;
}

/**
 * Streams a part of an open file in chunks of 1 MiB, a long one in chunks of 2 MiB, and closes it: after the last byte, on an error, on cancel. Not
 * `toBytes`: a stream that is cancelled before its first read never starts its generator, and the file would stay open.
 */
export function streamFile(
  file: Deno.FsFile,
  range: ByteRange,
  explained: (error: unknown) => Promise<Error>,
): Bytes {
  const step = range.end - range.start < LONG_BYTES ? CHUNK_BYTES : 2 * CHUNK_BYTES;
  let at = range.start;
  let open = true;
  function close(): void {
    if (open) file.close();
    open = false;
  }
  if (at === range.end) close();
  return new ReadableStream<U8>({
    async pull(controller): Promise<void> {
      if (at === range.end) return controller.close();
      try {
        const left = range.end - at;
        const chunk = left < step ? new Uint8Array(left) : takeBlock(step);
        const count = await readFull(file, chunk);
        if (count < chunk.length) {
          throw new Error(`the file was cut while it was read: it ends at byte ${at + count}`);
        }
        at += count;
        if (at === range.end) close();
        controller.enqueue(chunk);
        if (at === range.end) controller.close();
      } catch (error) {
        const wasOpen = open;
        close();
        if (wasOpen) throw await explained(error); // else: cancelled while reading
      }
    },
    cancel: close,
  }, { highWaterMark: 0 });
}
