/**
 * node:zlib's stream decoders, fed one small piece at a time: more output than one chunk per write makes Deno throw where nobody
 * can catch it.
 *
 * @module
 */
import { constants, createGunzip, createZstdDecompress } from "node:zlib";
import { concat } from "../bytes.ts";
import type { U8 } from "../stage.ts";

/** A decoder under way. */
export interface Engine {
  /** Takes a piece and gives what came out, in a buffer of its own. Rejects when the piece is damaged. */
  readonly write: (piece: U8) => Promise<U8>;
  /** Says that nothing follows and gives the rest. Rejects when the data is not complete. */
  readonly end: () => Promise<U8>;
  /** Bytes the decoder has used; fewer than were written once it has met the end of its data. */
  readonly used: () => number;
  /** Lets go of the decoder. */
  readonly close: () => void;
}

/** A decoder of one zstd frame; windows of up to 128 MiB. Pieces must unfold to 128 KiB at most: a block each. */
export function zstdEngine(): Engine {
  return engine(createZstdDecompress({
    chunkSize: 256 * 1024,
    params: { [constants.ZSTD_d_windowLogMax]: 27 },
  }));
}

/** A decoder of gzip members, one after another. */
export function gzipEngine(): Engine {
  return engine(createGunzip({ chunkSize: 256 * 1024 }));
}

function engine(stream: ReturnType<typeof createGunzip> | ReturnType<typeof createZstdDecompress>): Engine {
  let output: U8[] = [];
  const failed = Promise.withResolvers<never>();
  const finished = Promise.withResolvers<void>();
  // Raced below; a failure after the last race must not count as unhandled.
  failed.promise.catch(() => {});
  stream.on("data", (chunk: Uint8Array) => void output.push(new Uint8Array(chunk)));
  stream.on("error", (error: Error) => failed.reject(error));
  stream.on("end", () => finished.resolve());

  function drain(): U8 {
    const all = concat(output);
    output = [];
    return all;
  }

  async function write(piece: U8): Promise<U8> {
    const done = Promise.withResolvers<void>();
    stream.write(piece, (error) => error ? done.reject(error) : done.resolve());
    await Promise.race([done.promise, failed.promise, finished.promise]);
    return drain();
  }

  async function end(): Promise<U8> {
    stream.end();
    await Promise.race([finished.promise, failed.promise]);
    return drain();
  }

  return { write, end, used: () => stream.bytesWritten, close: () => void stream.destroy() };
}
