/**
 * Pieces on their way from the server to the archive: a bounded number waits in memory, and each is acknowledged when it has its place
 * there. Where the target is slow, those that have waited a moment go to a sealed file, so that the server is never kept waiting.
 *
 * @module
 */
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import type { U8 } from "../../stage.ts";
import { SPOOL_MEMORY } from "../spool.ts";
import { BLOCK, type SealedFile, sealedFile } from "../sealed_file.ts";

/** Bytes that wait in memory while somebody reads. */
const ROOM = 16 * 1024 * 1024;
/** How long a piece may wait for room: the server gives up after five seconds without an acknowledgement. */
const HOLD_MS = 1000;
/** Blocks of the file that are sealed beside this thread, which has acknowledgements to send. */
const SEALED_BESIDE = 2;

/** Pieces in order. Written and read at the same time, once. */
export interface Window {
  /** Takes a piece of at most 1 MiB, with its buffer; `acknowledge` is called once it has a place. Throws when the disk is about to be full. */
  readonly write: (piece: U8, acknowledge: () => void) => void;
  /** Nothing follows, or no more can come because of an error. */
  readonly end: (error?: { readonly cause: unknown }) => void;
  /** The next piece; undefined at the end. Rejects with the error. */
  readonly next: () => Promise<U8 | undefined>;
  /** Nobody reads: what is there and what comes is let go. */
  readonly discard: () => void;
  /** Frees memory, disk and key. May be called twice. */
  readonly close: () => void;
}

interface Piece {
  readonly length: number;
  bytes: U8 | undefined;
  /** Its block of the file. */
  block: number;
  acknowledge: (() => void) | undefined;
  /** When it came. */
  readonly since: number;
}

/** Opens a window. `folder`: where a file would lie; `what` names the content in messages. */
export function openWindow(what: string, folder: string | undefined): Window {
  const pieces: Piece[] = [];
  const dir = resolve(folder ?? tmpdir());
  let file: SealedFile | undefined;
  let blocks = 0;
  /** Bytes in memory that are acknowledged. */
  let held = 0;
  /** Whether it is worth waiting for room: somebody reads, and not too slowly. */
  let quick = false;
  let begun = false;
  let taken = 0;
  let mark = performance.now();
  let unwanted = false;
  let ended: { readonly error?: { readonly cause: unknown } | undefined } | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let changed = Promise.withResolvers<void>();

  function tell(): void {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  }

  function admit(piece: Piece): void {
    held += piece.length;
    piece.acknowledge?.();
    piece.acknowledge = undefined;
  }

  function spill(piece: Piece): void {
    file ??= sealedFile(what, dir, SEALED_BESIDE);
    file.append(piece.bytes!);
    piece.bytes = undefined;
    piece.block = blocks++;
    piece.acknowledge?.();
    piece.acknowledge = undefined;
  }

  function spillWaiting(): void {
    timer = undefined;
    const waiting = pieces.filter(({ acknowledge }) => acknowledge);
    if (waiting.length === 0) return;
    const left = waiting[0]!.since + HOLD_MS - performance.now();
    if (left > 0) return void (timer = setTimeout(spillWaiting, left));
    quick = false;
    try {
      waiting.forEach(spill);
    } catch (cause) {
      end({ cause });
    }
  }

  function write(bytes: U8, acknowledge: () => void): void {
    if (bytes.length > BLOCK) throw new RangeError(`Cannot hold a piece of ${bytes.length} bytes`);
    if (unwanted) return acknowledge();
    const piece: Piece = { length: bytes.length, bytes, block: -1, acknowledge, since: performance.now() };
    pieces.push(piece);
    if (held + bytes.length <= (quick ? ROOM : SPOOL_MEMORY)) admit(piece);
    else if (quick) timer ??= setTimeout(spillWaiting, HOLD_MS);
    else spill(piece);
    tell();
  }

  function end(error?: { readonly cause: unknown }): void {
    ended ??= { error };
    tell();
  }

  /** A reader that takes as much as there is room for in the time that a piece may wait is worth waiting for. */
  function pace(bytes: number): void {
    taken += bytes;
    if (taken < ROOM) return;
    const now = performance.now();
    quick = now - mark < HOLD_MS;
    mark = now;
    taken = 0;
  }

  /** Until it shows to be slow, a reader gets the time to begin: while pieces are sealed he does not get on. */
  function begin(): void {
    begun = true;
    quick = true;
    mark = performance.now();
  }

  async function next(): Promise<U8 | undefined> {
    if (!begun) begin();
    while (pieces.length === 0 && !ended) {
      quick = true; // everything has been read
      await changed.promise;
    }
    if (ended?.error) throw ended.error.cause;
    const piece = pieces.shift();
    if (!piece) return undefined;
    pace(piece.length);
    if (!piece.bytes) {
      await file!.settled();
      return await file!.at(piece.block, piece.length);
    }
    if (piece.acknowledge) admit(piece);
    held -= piece.length;
    for (const waiting of pieces) {
      if (waiting.acknowledge && held + waiting.length <= ROOM) admit(waiting);
    }
    return piece.bytes;
  }

  function discard(): void {
    unwanted = true;
    clearTimeout(timer);
    for (const { acknowledge } of pieces.splice(0)) acknowledge?.();
    file?.close();
    file = undefined;
  }

  return {
    write,
    end,
    next,
    discard,
    close: () => {
      end({ cause: new Error(`Cannot read ${what}: it is closed`) });
      discard();
    },
  };
}
