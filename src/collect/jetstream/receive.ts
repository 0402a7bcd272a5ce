/**
 * The pieces of a snapshot as they come, until the server ends it or is gone.
 *
 * @module
 */
import type { Msg } from "@nats-io/transport-node";
import type { Link } from "../../nats/link.ts";

/** A snapshot under way. */
export interface Transfer {
  /** Resolves when the server has ended the snapshot well. */
  readonly ended: Promise<void>;
  /** Rejects when it has not. */
  readonly failed: Promise<never>;
  /** From now on silence is a failure. */
  readonly watch: () => void;
  /** Lets go. */
  readonly stop: () => void;
}

/**
 * Listens on `inbox` for a snapshot. `take` gets each piece, and calls `acknowledge` as soon as it can be: the server gives up after
 * five seconds without.
 */
export function receive(
  { nc, onLost }: Link,
  inbox: string,
  { signal, idleMs }: { readonly signal: AbortSignal; readonly idleMs: number },
  take: (piece: Uint8Array, acknowledge: () => void) => void,
): Transfer {
  const done = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  let heard = performance.now();
  let timer: ReturnType<typeof setInterval> | undefined;
  const fail = (error: unknown): void => failed.reject(error);

  function onMessage(error: Error | null, message: Msg): void {
    try {
      if (error) throw error;
      heard = performance.now();
      const acknowledge = (): void => {
        if (message.reply && !nc.isClosed()) nc.publish(message.reply);
      };
      if (message.data.length > 0) return take(message.data, acknowledge);
      acknowledge();
      finish(message, done.resolve);
    } catch (failure) {
      fail(failure);
    }
  }

  const subscription = nc.subscribe(inbox, { callback: onMessage });
  const forget = onLost(fail);
  const abort = (): void => fail(signal.reason);
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  const ended = Promise.race([done.promise, failed.promise]);
  ended.catch(() => {});
  return {
    ended,
    failed: failed.promise,
    watch: () => {
      heard = performance.now();
      timer = setInterval(() => {
        const silent = performance.now() - heard;
        if (silent > idleMs) {
          fail(new Error(`the server has been silent for ${(silent / 1000).toFixed(1)} s`));
        }
      }, Math.min(1000, idleMs / 4));
    },
    stop: () => {
      clearInterval(timer);
      forget();
      signal.removeEventListener("abort", abort);
      if (!nc.isClosed()) subscription.unsubscribe();
    },
  };
}

/**
 * No status, or 204, ends a snapshot well, and so may 500 without a reason, where the length is a multiple of the chunk: the frames
 * then say whether that is true.
 */
function finish({ headers }: Msg, resolve: () => void): void {
  if (!headers || headers.code === 0 || headers.code === 204) return resolve();
  const why = headers.description.trim();
  if (headers.code === 500 && why === "") return resolve();
  throw new Error(`the server gave up: ${headers.code} ${why}`.trim());
}
