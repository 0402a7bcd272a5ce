/**
 * Reading what a client sends: not more than is allowed, and not slower.
 *
 * @module
 */
import { toBytes } from "../../../bytes.ts";
import type { Bytes, U8 } from "../../../stage.ts";
import { Trouble } from "./trouble.ts";

/** Bounds on a body. */
export interface BodyLimits {
  /** Most bytes. */
  readonly maxBytes: number;
  /** Longest time without a byte, in milliseconds. */
  readonly idleMs: number;
  /** Longest time in all, in milliseconds. */
  readonly totalMs: number;
}

/** A request's body. Ends in an error with status 413, 408 or 400 when it is too long, too slow, or cut, and in what `ending` is aborted with. */
export function limited(request: Request, limits: BodyLimits, ending?: AbortSignal): Bytes {
  const { maxBytes } = limits;
  const tooLong = (): Trouble =>
    new Trouble(
      413,
      "BODY_TOO_LARGE",
      `Cannot take the body: it is longer than ${maxBytes} bytes. Nothing was stopped or stored`,
    );
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLong();
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    if (!request.body) return;
    const reader = (request.body as Bytes).getReader();
    const end = performance.now() + limits.totalMs;
    let size = 0;
    try {
      for (;;) {
        const { done, value } = await timely(
          () => reader.read(),
          Math.min(limits.idleMs, end - performance.now()),
          ending,
        );
        if (done) return;
        size += value.length;
        if (size > maxBytes) throw tooLong();
        yield value;
      }
    } finally {
      reader.cancel().catch(() => {}); // not awaited: a client that hangs would hold us
    }
  });
}

async function timely<T>(read: () => Promise<T>, ms: number, ending?: AbortSignal): Promise<T> {
  ending?.throwIfAborted();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop = (): void => {};
  const late = new Promise<never>((_, reject) => {
    stop = () => reject(ending?.reason);
    ending?.addEventListener("abort", stop);
    timer = setTimeout(
      () =>
        reject(
          new Trouble(
            408,
            "BODY_TOO_SLOW",
            "Cannot take the body: it comes too slowly. Nothing was stopped or stored",
          ),
        ),
      Math.max(0, ms),
    );
  });
  const reading = read().catch((cause) => {
    throw new Trouble(
      400,
      "BAD_REQUEST",
      `Cannot take the body: it was cut (${String(cause)}). Nothing was stopped or stored`,
    );
  });
  reading.catch(() => {}); // it may end after its time
  try {
    return await Promise.race([reading, late]);
  } finally {
    clearTimeout(timer);
    ending?.removeEventListener("abort", stop);
  }
}
