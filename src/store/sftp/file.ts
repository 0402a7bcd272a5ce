/**
 * A file on the server that stays open over broken connections: on a new one it is opened again, checked, and work goes on.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { U8 } from "../../stage.ts";
import type { Action } from "./explain.ts";
import type { Link } from "./link.ts";
import type { Wire } from "./wire.ts";

/** An open file. */
export interface RemoteFile {
  /** Does something with it; again when the connection broke. */
  readonly use: <T>(work: (wire: Wire, handle: Buffer) => Promise<T>) => Promise<T>;
  /** Reads exactly these bytes; fewer only at the end of the file. All its requests are under way at once. */
  readonly read: (start: number, length: number) => Promise<U8>;
  /** Writes a chunk there. All its requests are under way at once. */
  readonly write: (chunk: U8, start: number) => Promise<void>;
  /** How often it had to be opened again. */
  readonly reopened: () => number;
  /** Closes it; rejects with what the server has to say at the end. */
  readonly close: () => Promise<void>;
  /** Closes it where that is still possible, and waits for nothing. */
  readonly drop: () => void;
}

/** Opens it by `open` when it is first used, and after each broken connection; `again` counts from 0. */
export function remoteFile(
  link: Link,
  action: Action,
  open: (wire: Wire, again: number) => Promise<Buffer>,
  signal?: AbortSignal,
): RemoteFile {
  let there: { readonly wire: Wire; readonly handle: Promise<Buffer> } | undefined;
  let opened = 0;
  // What is dropped is not tried again.
  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;

  function handleOn(wire: Wire): Promise<Buffer> {
    if (there?.wire === wire) return there.handle;
    const mine = { wire, handle: open(wire, opened).then((handle) => (opened++, handle)) };
    mine.handle.catch(() => there === mine && (there = undefined));
    there = mine;
    return mine.handle;
  }

  const use = <T>(work: (wire: Wire, handle: Buffer) => Promise<T>): Promise<T> =>
    link.run(action, async (wire) => await work(wire, await handleOn(wire)), either);

  function drop(): void {
    stop.abort();
    const { wire, handle } = there ?? {};
    there = undefined;
    handle?.then((open) => wire?.close(open)).catch(() => {});
  }

  return {
    use,
    read: (start, length) => use((wire, handle) => readPieces(wire, handle, start, length)),
    write: (chunk, start) => use((wire, handle) => writePieces(wire, handle, chunk, start)),
    reopened: () => Math.max(0, opened - 1),
    close: async () => {
      if (there?.wire.alive()) await use((wire, handle) => wire.close(handle));
      there = undefined;
    },
    drop,
  };
}

async function readPieces(wire: Wire, handle: Buffer, start: number, length: number): Promise<U8> {
  const bytes = new Uint8Array(length);
  const to = Buffer.from(bytes.buffer);
  const filled = await Promise.all(
    pieces(length, wire.piece).map(async ({ at, size }) => {
      let done = 0; // a server may give less than it was asked for
      while (done < size) {
        const count = await wire.read(handle, to, at + done, size - done, start + at + done);
        if (count === 0) break;
        done += count;
      }
      return done;
    }),
  );
  return bytes.subarray(0, filled.reduce((sum, count) => sum + count, 0));
}

async function writePieces(wire: Wire, handle: Buffer, chunk: U8, start: number): Promise<void> {
  const from = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
  await Promise.all(
    pieces(chunk.length, wire.piece).map(({ at, size }) => wire.write(handle, from, at, size, start + at)),
  );
}

/** Requests of about the same length, none longer than `most`. */
function pieces(length: number, most: number): { readonly at: number; readonly size: number }[] {
  const count = Math.ceil(length / most);
  const each = Math.ceil(length / Math.max(1, count));
  return Array.from(
    { length: count },
    (_, i) => ({ at: i * each, size: Math.min(each, length - i * each) }),
  );
}
