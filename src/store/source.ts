/**
 * What is being stored: bytes or a stream, read chunk by chunk, given up when a signal fires.
 *
 * @module
 */
import type { Bytes, U8 } from "../stage.ts";

const CHUNK_BYTES = 1024 * 1024;

/** How long a cancelled source may take to let go before its store stops waiting for it, in milliseconds. */
const CANCEL_MS = 2000;

/** A body under way. */
export interface Source {
  /** The next chunk, undefined after the last. Throws the stream's error, or the signal's reason. */
  readonly next: () => Promise<U8 | undefined>;
  /** Tells the stream that nothing more will be read, and waits for it to let go. */
  readonly cancel: (reason: unknown) => Promise<void>;
  /** Forgets the signal. */
  readonly release: () => void;
}

/** Opens a body. A chunk of a stream belongs to the store once it has been read. */
export function sourceOf(body: Bytes | U8, signal: AbortSignal | undefined): Source {
  if (body instanceof Uint8Array) return pieces(body, signal);
  const reader = body.getReader();
  let cancelled: Promise<void> | undefined;
  const cancel = (reason: unknown): Promise<void> => cancelled ??= reader.cancel(reason).catch(() => {});
  // A read that waits for a stalled source ends here.
  const abort = (): void => void cancel(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  return {
    next: async () => {
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      return done ? undefined : value;
    },
    cancel: (reason) => atMost(cancel(reason), CANCEL_MS),
    release: () => signal?.removeEventListener("abort", abort),
  };
}

function pieces(bytes: U8, signal: AbortSignal | undefined): Source {
  let at = 0;
  return {
    next: () => {
      signal?.throwIfAborted();
      const chunk = bytes.subarray(at, at + CHUNK_BYTES);
      at += chunk.length;
      return Promise.resolve(chunk.length > 0 ? chunk : undefined);
    },
    cancel: () => Promise.resolve(),
    release: () => {},
  };
}

async function atMost(work: Promise<void>, ms: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
