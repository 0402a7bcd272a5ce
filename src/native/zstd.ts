/**
 * Zstd frames made and unpacked by the system's libzstd, where it may be used: beside the calling thread, into buffers that are used again.
 *
 * @module
 */
import { giveBack, takeAtLeast, takeBlock } from "../blocks.ts";
import type { U8 } from "../stage.ts";
import { type Held, holding, sharedNative } from "./library.ts";

const NAMES = ["libzstd.so.1"];

const CALL = { parameters: ["pointer", "buffer", "usize", "buffer", "usize"], result: "usize" } as const;
const MAKE = { parameters: [], result: "pointer" } as const;
const FREE = { parameters: ["pointer"], result: "usize" } as const;
const SYMBOLS = {
  ZSTD_createCCtx: MAKE,
  ZSTD_freeCCtx: FREE,
  ZSTD_CCtx_setParameter: { parameters: ["pointer", "i32", "i32"], result: "usize" },
  pack: { ...CALL, name: "ZSTD_compress2" },
  packBeside: { ...CALL, name: "ZSTD_compress2", nonblocking: true },
  ZSTD_createDCtx: MAKE,
  ZSTD_freeDCtx: FREE,
  unpack: { ...CALL, name: "ZSTD_decompressDCtx" },
  unpackBeside: { ...CALL, name: "ZSTD_decompressDCtx", nonblocking: true },
} as const;

/** ZSTD_c_compressionLevel and ZSTD_c_checksumFlag of zstd.h. */
const LEVEL = 100;
const CHECKSUM = 201;

/** Frames that wait to be unpacked beside this thread before it unpacks one itself. */
const MOST_WAITING = 2;

const libzstd = sharedNative(NAMES, SYMBOLS);

/** Makes frames. */
export interface Packer {
  /** Lets it work on that many blocks at a time. */
  readonly widen: (width: number) => void;
  /** Calls under way and waiting. */
  readonly load: () => number;
  /**
   * One frame with content size and checksum (RFC 8878); the block, of at least one byte, must stay as it is until the promise has
   * settled. Undefined when there is no memory, or it is closed.
   */
  readonly pack: (block: U8, level: number) => Promise<U8 | undefined>;
  /** How many bytes a frame of a short block takes, at once. */
  readonly measure: (block: U8, level: number) => number;
  /** Resolves when no call is under way and the memory is free. Calls that wait for their turn give undefined. */
  readonly close: () => Promise<void>;
}

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
 * A packer that works on up to `width` blocks at a time beside this thread, or with 0 on each on this thread; undefined where the library
 * may not be used or is not there.
 */
export function packer(width: number): Packer | undefined {
  const held = libzstd();
  return held && packerOf(held, width);
}

/** An unpacker, in the same way. */
export function unpacker(width: number): Unpacker | undefined {
  const held = libzstd();
  return held && unpackerOf(held, width);
}

function packerOf({ lib, release }: Held<typeof SYMBOLS>, first: number): Packer {
  const { turn, wake, close, load } = crew(
    { make: lib.ZSTD_createCCtx, free: lib.ZSTD_freeCCtx, release },
    () => width,
  );
  const own = lib.ZSTD_createCCtx();
  let width = first;
  let scratch: U8 | undefined;

  async function pack(block: U8, level: number): Promise<U8 | undefined> {
    const most = bound(block);
    const frame = takeAtLeast(most);
    const length = await turn(async (context) => {
      const arguments_ = [
        prepared(context, level),
        frame,
        BigInt(most),
        block,
        BigInt(block.length),
      ] as const;
      if (width === 0) return lib.pack(...arguments_);
      return await holding([frame, block], () => lib.packBeside(...arguments_));
    });
    // An error is a number near the largest. Not cut to its length: new memory for each frame costs more than to hold the rest of
    // the buffer until it is written.
    if (length !== undefined && length <= most) return frame.subarray(0, length);
    giveBack(frame);
    return undefined;
  }

  function prepared(context: Deno.PointerObject, level: number): Deno.PointerObject {
    lib.ZSTD_CCtx_setParameter(context, LEVEL, level);
    lib.ZSTD_CCtx_setParameter(context, CHECKSUM, 1);
    return context;
  }

  function measure(block: U8, level: number): number {
    const most = bound(block);
    if (own === null) return most;
    if (!scratch || scratch.length < most) scratch = new Uint8Array(most);
    return Number(lib.pack(prepared(own, level), scratch, BigInt(most), block, BigInt(block.length)));
  }

  return {
    widen: (to) => {
      width = to;
      wake();
    },
    load,
    pack,
    measure,
    close: async () => {
      await close(() => own !== null && lib.ZSTD_freeCCtx(own));
    },
  };
}

/** What a frame takes at most: ZSTD_COMPRESSBOUND of zstd.h, and a little more. */
function bound({ length }: U8): number {
  return length + (length >> 8) + 1024;
}

function unpackerOf({ lib, release }: Held<typeof SYMBOLS>, width: number): Unpacker {
  const { turn, close, load } = crew(
    { make: lib.ZSTD_createDCtx, free: lib.ZSTD_freeDCtx, release },
    () => width,
  );
  let own: Deno.PointerValue = null;

  async function unpack(frame: U8, size: number): Promise<U8 | undefined> {
    const content = takeBlock(size);
    const arguments_ = [content, BigInt(size), frame, BigInt(frame.length)] as const;
    const here = ownWhereBusy();
    const length = here ? Number(lib.unpack(here, ...arguments_)) : await turn(async (context) => {
      if (width === 0) return lib.unpack(context, ...arguments_);
      return await holding([content, frame], () => lib.unpackBeside(context, ...arguments_));
    });
    if (length === size) return content;
    giveBack(content);
    return undefined;
  }

  /** What this thread unpacks with, where so many frames wait that it is ahead of those beside it, and had better help. */
  function ownWhereBusy(): Deno.PointerValue {
    if (width === 0 || load() < width + MOST_WAITING) return null;
    return own ??= lib.ZSTD_createDCtx();
  }

  return { unpack, close: () => close(() => own !== null && lib.ZSTD_freeDCtx(own)) };
}

/** What a crew works with. */
interface Tools {
  readonly make: () => Deno.PointerValue;
  readonly free: (context: Deno.PointerObject) => unknown;
  /** Lets go of the library. */
  readonly release: () => void;
}

/** Calls that take turns at contexts: as many at a time as the width says, at least one. */
interface Crew {
  /** What a call gives, as a number; undefined when it got no context, or its turn did not come before the end. */
  readonly turn: (
    call: (context: Deno.PointerObject) => Promise<bigint | number>,
  ) => Promise<number | undefined>;
  /** Lets those that wait look at the width again. */
  readonly wake: () => void;
  /** Waits for what is under way, then frees everything; `also`: what is to be freed besides. May be called twice. */
  readonly close: (also?: () => unknown) => Promise<void>;
  /** Calls under way and waiting. */
  readonly load: () => number;
}

function crew({ make, free, release }: Tools, width: () => number): Crew {
  const idle: Deno.PointerObject[] = [];
  const waiting: (() => void)[] = [];
  const running = new Set<Promise<unknown>>();
  let open = true;
  let freed = false;

  async function turn(
    call: (context: Deno.PointerObject) => Promise<bigint | number>,
  ): Promise<number | undefined> {
    while (open && running.size >= Math.max(width(), 1)) await new Promise<void>((go) => waiting.push(go));
    const context = open ? idle.pop() ?? make() : null;
    if (context === null) return undefined;
    const work = call(context);
    running.add(work);
    try {
      return Number(await work);
    } finally {
      running.delete(work);
      idle.push(context);
      waiting.shift()?.();
    }
  }

  function wake(): void {
    for (const go of waiting.splice(0)) go();
  }

  async function close(also?: () => unknown): Promise<void> {
    open = false;
    wake();
    await Promise.allSettled(running);
    for (const context of idle.splice(0)) free(context);
    if (!freed) also?.();
    freed = true;
    release();
  }

  return { turn, wake, close, load: () => running.size + waiting.length };
}
