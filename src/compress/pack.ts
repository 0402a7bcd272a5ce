/**
 * Who packs a block: the system's libzstd where it may be used, else Deno's own encoders, in workers when there is much to do.
 *
 * @module
 */
import { giveBack } from "../blocks.ts";
import { type Packer, packer } from "../native/zstd.ts";
import type { U8 } from "../stage.ts";
import { FAST_LEVEL, levelFor } from "./dense.ts";
import { createPool, type PoolOptions } from "./pool.ts";
import { createPressure, JOBS_PER_HAND } from "./pressure.ts";

/** A shorter block is packed by Deno: less than this does not repay a library. By length alone, so that equal input gives equal output. */
const NATIVE_BYTES = 64 * 1024;
/** Cores that pack: more than that wait for the thread that reads. */
const MOST_BESIDE = 4;

/** Blocks more than hands: while this thread makes a block, takes a frame and hands over the next ones, no hand waits. */
const AHEAD = 2;

/** Packs blocks until it is closed. */
export interface Pack {
  /** Blocks at a time; 0: each on the calling thread. */
  readonly width: number;
  /** One frame or member. The block's buffer is given away. `madeMs`: how long the calling thread took to make the block. */
  readonly pack: (block: U8, madeMs: number) => Promise<U8>;
  /** No block comes any more: the calling thread leaves its core to those under way. */
  readonly hurry: () => void;
  /** Ends what is under way, and waits for its end. */
  readonly close: () => Promise<void>;
}

/** Nothing is loaded and no thread started before there is work for it. `options` that choose workers get workers. */
export function createPack(tool: "zstd" | "gzip", level: number, options: PoolOptions): Pack {
  const pool = createPool(options);
  const cores = navigator.hardwareConcurrency;
  const pressed = createPressure(cores);
  const most = Math.min(cores, MOST_BESIDE);
  let hands = 1;
  let native: Packer | undefined;
  let tried = tool !== "zstd" || options.workers !== undefined;

  async function pack(block: U8, madeMs: number): Promise<U8> {
    if (!tried && block.length >= NATIVE_BYTES) {
      native = packer(cores === 1 ? 0 : hands + AHEAD);
      tried = true;
    }
    const frame = native && block.length >= NATIVE_BYTES ? await packBy(native, block, madeMs) : undefined;
    if (!frame) return await pool.run({ op: tool, bytes: block, value: level }, madeMs);
    giveBack(block);
    return frame;
  }

  async function packBy(native: Packer, block: U8, madeMs: number): Promise<U8 | undefined> {
    const isPressed = pressed(hands, native.load() >= JOBS_PER_HAND * hands, madeMs);
    if (isPressed && hands < most) native.widen(++hands + AHEAD);
    return await native.pack(block, levelFor(block, level, (sample) => native.measure(sample, FAST_LEVEL)));
  }

  function hurry(): void {
    if (cores > 1) native?.widen(most);
  }

  async function close(): Promise<void> {
    pool.close();
    await native?.close();
  }

  return { width: pool.size, pack, hurry, close };
}
