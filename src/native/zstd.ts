/**
 * Zstd frames unpacked by the system's libzstd, where it may be used: beside the calling thread, into buffers that are used again.
 *
 * @module
 */
import { giveBack, takeBlock } from "../blocks.ts";
import type { U8 } from "../stage.ts";
import { type Held, holding, sharedNative } from "./library.ts";

const NAMES = ["libzstd.so.1"];

const UNPACK = {
  name: "ZSTD_decompressDCtx",
  parameters: ["pointer", "buffer", "usize", "buffer", "usize"],
  result: "usize",
} as const;
const SYMBOLS = {
  ZSTD_createDCtx: { parameters: [], result: "pointer" },
  ZSTD_freeDCtx: { parameters: ["pointer"], result: "usize" },
  unpack: UNPACK,
  unpackBeside: { ...UNPACK, nonblocking: true },
} as const;

const libzstd = sharedNative(NAMES, SYMBOLS);

/** Unpacks frames. */
export interface Unpacker {
  /**
   * The content of a frame that declares `size` bytes, at least one; the frame must stay as it is until the promise has settled.
   * Undefined when the frame does not hold that: who wants to know why asks another decoder.
   */
  readonly unpack: (frame: U8, size: number) => Promise<U8 | undefined>;
  /** Resolves when no call is under way and the memory is free. Calls that wait for their turn give undefined. */
  readonly close: () => Promise<void>;
}

/**
 * An unpacker that does up to `width` frames at a time beside this thread, or with 0 each on this thread; undefined where the library may
 * not be used or is not there.
 */
export function unpacker(width: number): Unpacker | undefined {
  const held = libzstd();
  return held && unpackerOf(held, width);
}

function unpackerOf({ lib, release }: Held<typeof SYMBOLS>, width: number): Unpacker {
  const idle: Deno.PointerObject[] = [];
  const waiting: (() => void)[] = [];
  const running = new Set<Promise<unknown>>();
  let open = true;

  async function unpack(frame: U8, size: number): Promise<U8 | undefined> {
    while (open && running.size >= Math.max(width, 1)) await new Promise<void>((go) => waiting.push(go));
    const context = open ? idle.pop() ?? lib.ZSTD_createDCtx() : null;
    if (context === null) return undefined;
    const content = takeBlock(size);
    const arguments_ = [context, content, BigInt(size), frame, BigInt(frame.length)] as const;
    const work = width === 0
      ? Promise.resolve(lib.unpack(...arguments_))
      : holding([content, frame], () => lib.unpackBeside(...arguments_));
    running.add(work);
    const length = await work;
    running.delete(work);
    idle.push(context);
    waiting.shift()?.();
    if (Number(length) === size) return content;
    giveBack(content);
    return undefined;
  }

  async function close(): Promise<void> {
    open = false;
    for (const go of waiting.splice(0)) go();
    await Promise.all(running);
    for (const context of idle.splice(0)) lib.ZSTD_freeDCtx(context);
    release();
  }

  return { unpack, close };
}
