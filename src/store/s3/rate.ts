/**
 * Keeps to so many bytes a second.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";

/** Waits until `bytes` more may pass; rejects with the signal's reason. */
export type Limiter = (bytes: number, signal: AbortSignal) => Promise<void>;

/** Each taker waits for the bytes that others took before it; an idle time is not made up for. */
export function limiter(bytesPerSecond: number | undefined): Limiter {
  if (bytesPerSecond === undefined) return () => Promise.resolve();
  let free = 0;
  return async (bytes, signal) => {
    const now = performance.now();
    const start = Math.max(now, free);
    free = start + (bytes / bytesPerSecond) * 1000;
    if (start > now) await sleep(start - now, undefined, { signal }).catch(() => signal.throwIfAborted());
  };
}
