/**
 * Who unpacks a frame: the system's libzstd where it may be used, else Deno's own decoder, in workers when there is much to do.
 *
 * @module
 */
import { giveBack } from "../blocks.ts";
import { type Unpacker, unpacker } from "../native/zstd.ts";
import type { U8 } from "../stage.ts";
import { createPool, type PoolOptions } from "./pool.ts";

/** Less is unpacked before a library is loaded: less than starts a worker. */
const NATIVE_FROM_BYTES = 1024 * 1024;
/** A shorter frame is unpacked before another thread would have begun. */
const BESIDE_BYTES = 64 * 1024;
/** Frames at a time: more cores than that wait for the thread that reads. */
const MOST_BESIDE = 4;

/** Unpacks frames until it is closed. */
export interface Unpack {
  /** The content of a frame that declares `size` bytes; rejects when it does not hold that. The frame's buffer is given away. */
  readonly unpack: (frame: U8, size: number) => Promise<U8>;
  /** Ends what is under way, and waits for its end. */
  readonly close: () => Promise<void>;
}

/** Nothing is loaded and no thread started before there is work for it. `options` that choose workers get workers. */
export function createUnpack(options: PoolOptions = {}): Unpack {
  const pool = createPool(options);
  const cores = navigator.hardwareConcurrency;
  let native: Unpacker | undefined;
  let seen = 0;
  let tried = options.workers !== undefined;

  async function unpack(frame: U8, size: number): Promise<U8> {
    seen += size;
    if (!tried && seen > NATIVE_FROM_BYTES) {
      // One more than there are cores: a thread finds its next frame without waiting for this one to hand it out.
      native = unpacker(cores === 1 ? 0 : Math.min(cores, MOST_BESIDE) + 1);
      tried = true;
    }
    const content = size < BESIDE_BYTES ? undefined : await native?.unpack(frame, size);
    // What it does not take is said by Deno's decoder, as where there is no other.
    if (!content) return await pool.run({ op: "unzstd", bytes: frame, value: size });
    giveBack(frame);
    return content;
  }

  async function close(): Promise<void> {
    pool.close();
    await native?.close();
  }

  return { unpack, close };
}
