/**
 * Keeps a stream whole until its length is known: in memory while it is small, then in a file that has no name and is encrypted
 * under a key that lives in memory only.
 *
 * @module
 */
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { toBytes } from "../bytes.ts";
import type { Bytes, U8 } from "../stage.ts";
import { BLOCK, checkFolder, type SealedFile, sealedFile } from "./sealed_file.ts";

/** Bytes kept in memory before a file is made: 4 MiB. */
export const SPOOL_MEMORY: number = 4 * 1024 * 1024;

/** Blocks that are read and opened before they are asked for. */
const READ_AHEAD = 1;

/** A place for bytes of unknown number. Written first, then read any number of times, then closed. */
export interface Spool {
  /** Bytes so far. */
  readonly size: () => number;
  /** Takes the next bytes; keeps no reference. Throws when the disk is about to be full. */
  readonly write: (chunk: Uint8Array) => void;
  /** Ends the writing and reads from the start, in chunks of 1 MiB. */
  readonly read: () => Bytes;
  /** Ends the writing and gives the bytes from `start` to `end`; all of them are held in memory. */
  readonly slice: (start: number, end: number) => Promise<U8>;
  /** Frees memory, disk and key. May be called twice. */
  readonly close: () => void;
}

/**
 * Opens a spool. `folder`: where a file would lie; default: the system's folder for temporary files. `what` names the content in
 * messages; `memory`: bytes kept without a file; `ahead`: blocks sealed beside this thread, for who writes from an event. The file has no name from the start, so nothing is left even after `kill -9`, and
 * each block of it is sealed with ChaCha20-Poly1305 (RFC 8439) under a throw-away key. At least 64 MiB, or 5 % of a small disk, are left free.
 */
export function spool(
  what: string,
  folder: string | undefined,
  memory: number = SPOOL_MEMORY,
  ahead: number = 0,
): Spool {
  const dir = resolve(folder ?? tmpdir());
  const head: U8[] = [];
  let block = new Uint8Array(BLOCK);
  let fill = 0;
  let size = 0;
  let file: SealedFile | undefined;
  let ended = false;
  let closed = false;

  function flush(): void {
    if (!file && head.length * BLOCK < memory) {
      head.push(block.subarray(0, fill));
      block = new Uint8Array(BLOCK);
    } else {
      file ??= sealedFile(what, dir, ahead);
      file.append(block.subarray(0, fill));
    }
    fill = 0;
  }

  function write(chunk: Uint8Array): void {
    if (ended || closed) throw new Error(`Cannot spool ${what}: the writing has ended`);
    for (let at = 0; at < chunk.length;) {
      const take = Math.min(BLOCK - fill, chunk.length - at);
      block.set(chunk.subarray(at, at + take), fill);
      at += take;
      fill += take;
      size += take;
      if (fill === BLOCK) flush();
    }
  }

  function end(): void {
    ended = true;
    if (fill > 0) flush();
  }

  /** A copy of what lies in memory, because whoever takes a chunk may transfer its buffer. */
  function blockAt(i: number): U8 | Promise<U8> {
    return head[i]?.slice() ?? file!.at(i - head.length, Math.min(BLOCK, size - i * BLOCK));
  }

  async function* blocks(): AsyncGenerator<U8, void, undefined> {
    await file?.settled();
    const count = Math.ceil(size / BLOCK);
    const coming: Promise<U8>[] = [];
    try {
      for (let i = 0, next = 0; i < count; i++) {
        if (closed) throw new Error(`Cannot read ${what} from its spool: the spool is closed`);
        for (; next < count && next <= i + READ_AHEAD; next++) {
          const one = Promise.resolve(blockAt(next));
          one.catch(() => {}); // seen when its turn comes
          coming.push(one);
        }
        yield await coming.shift()!;
      }
    } finally {
      await Promise.allSettled(coming);
    }
  }

  async function slice(from: number, to: number): Promise<U8> {
    end();
    await file?.settled();
    const part = new Uint8Array(to - from);
    for (let at = from; at < to;) {
      if (closed) throw new Error(`Cannot read ${what} from its spool: the spool is closed`);
      const i = Math.floor(at / BLOCK);
      const taken = (await blockAt(i)).subarray(at - i * BLOCK, to - i * BLOCK);
      part.set(taken, at - from);
      at += taken.length;
    }
    return part;
  }

  return {
    size: () => size,
    write,
    read: () => {
      end();
      return toBytes(blocks);
    },
    slice,
    close: () => {
      closed = true;
      head.length = 0;
      file?.close();
      file = undefined;
    },
  };
}

/** A spool that is closed with its scope. */
export function spooled(what: string, folder: string | undefined): Spool & Disposable {
  const kept = spool(what, folder);
  return { ...kept, [Symbol.dispose]: kept.close };
}

/** Throws unless a spool for `bytes` bytes can be opened in `folder` now: writable, and room enough. Leaves nothing. */
export function checkSpool(what: string, folder: string | undefined, bytes: number): void {
  checkFolder(what, resolve(folder ?? tmpdir()), bytes > SPOOL_MEMORY ? bytes : 0);
}
