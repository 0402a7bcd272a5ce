/**
 * Feeds one restorer entry by entry, from a reader that feeds several.
 *
 * @module
 */
import type { Entry } from "../stage.ts";

/** A restorer that is fed entry by entry. */
export interface Lane {
  /** Starts it, if it has not been. */
  readonly open: () => void;
  /** Hands over an entry, and waits until it has been dealt with. `chosen`: the request asks for it. Throws what the restorer threw. */
  readonly offer: (entry: Entry, chosen: boolean) => Promise<void>;
  /** Lets it see the end, and waits until it has finished. One that nothing was chosen for goes without a trace. */
  readonly end: () => Promise<void>;
  /** Makes it fail, if it has not finished, and waits until it has cleaned up. */
  readonly fail: (error: unknown) => Promise<void>;
}

/** Makes a lane of a restorer, which is started by the first entry or by `open`. */
export function lane(restore: (entries: () => AsyncIterable<Entry>) => Promise<void>): Lane {
  let work: Promise<void> | undefined;
  let any = false;
  const gate = handover();
  const finished = (): Promise<void> => work ?? Promise.resolve();

  function open(): void {
    any = true;
    begin();
  }
  function begin(): void {
    // Whatever happens to it, nobody waits for the next entry any longer.
    work ??= restore(gate.take).finally(gate.close);
    work.catch(() => {});
  }
  return {
    open,
    offer: async (entry, chosen) => {
      any ||= chosen;
      begin();
      if (!await gate.give(entry)) await finished();
    },
    end: async () => {
      if (any) gate.finish();
      else gate.fail(LEFT_OUT);
      await finished().catch((error: unknown) => {
        if (any || !leftOut(error)) throw error;
      });
    },
    fail: async (error) => {
      gate.fail(error);
      await finished().catch(() => {});
    },
  };
}

const LEFT_OUT = new Error("Nothing of this was asked for");

function leftOut(error: unknown): boolean {
  return error === LEFT_OUT || (error instanceof Error && error.cause === LEFT_OUT);
}

/** A hand-over from one reader to one taker, one entry at a time. */
interface Handover {
  /** True once the entry has been taken and the taker has come back for more; false when it takes no more. */
  readonly give: (entry: Entry) => Promise<boolean>;
  /** The taker's side; once. */
  readonly take: () => AsyncIterable<Entry>;
  /** No more entries. */
  readonly finish: () => void;
  /** The taker's next step throws. */
  readonly fail: (error: unknown) => void;
  /** The taker has gone. */
  readonly close: () => void;
}

function handover(): Handover {
  type Asked = PromiseWithResolvers<IteratorResult<Entry, undefined>>;
  let asked: Asked | undefined;
  let last: (() => Promise<IteratorResult<Entry, undefined>>) | undefined;
  let closed = false;
  let wake = (): void => {};

  /** Waits until the taker asks, or has gone. */
  async function taker(): Promise<Asked | undefined> {
    while (!asked && !closed) await new Promise<void>((resolve) => wake = resolve);
    return closed ? undefined : asked;
  }
  function close(): void {
    closed = true;
    wake();
  }
  function settle(with_: () => Promise<IteratorResult<Entry, undefined>>): void {
    last ??= with_;
    const waiting = asked;
    asked = undefined;
    if (waiting) last().then(waiting.resolve, waiting.reject);
  }
  const iterator: AsyncIterator<Entry, undefined> = {
    next: () => {
      if (last) return last();
      asked = Promise.withResolvers();
      const { promise } = asked;
      wake();
      return promise;
    },
    return: () => {
      close();
      return Promise.resolve({ done: true, value: undefined });
    },
  };
  return {
    give: async (entry) => {
      const waiting = await taker();
      if (!waiting) return false;
      asked = undefined;
      waiting.resolve({ done: false, value: entry });
      return await taker() !== undefined;
    },
    take: () => ({ [Symbol.asyncIterator]: () => iterator }),
    finish: () => settle(() => Promise.resolve({ done: true, value: undefined })),
    fail: (error) => settle(() => Promise.reject(error)),
    close,
  };
}
