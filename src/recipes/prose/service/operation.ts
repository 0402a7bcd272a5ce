/**
 * One operation at a time, which ends by itself whoever listens, and can be listened to.
 *
 * @module
 */
import type { Progress } from "../../../stage.ts";
import { busy } from "./trouble.ts";

/** What an operation does to a pod. */
export type Kind = "backup" | "restore";

/** What a listener is told. */
export interface Listener {
  /** Bytes so far, and of how many where that is known. */
  readonly progress: (progress: number, total: number | undefined) => void;
}

/** An operation under way. */
export interface Operation<T> {
  /** Settles when it has ended, whether or not anybody waits for it. */
  readonly done: Promise<T>;
  /** Tells of progress from now on; gives the way to stop that. */
  readonly listen: (listener: Listener) => () => void;
}

/** The one place in which operations run. */
export interface Place {
  /** What is under way. */
  readonly current: () => Kind | undefined;
  /** Takes the place for a request that is still coming in. Throws status 503 when it is taken, or is closing; so does `run` then. */
  readonly take: (kind: Kind) => Disposable & { readonly run: <T>(work: Work<T>) => Operation<T> };
  /** Fires with status 503 when the place closes: what is still coming in need not be waited for. */
  readonly ending: AbortSignal;
  /** Lets nothing new in, and waits for what is under way. */
  readonly close: () => Promise<void>;
}

/** Does it. */
type Work<T> = (progress: Progress) => Promise<T>;

function ending(): Error {
  return busy("The service is about to end. Ask again when it runs");
}

/** A place with nothing in it. */
export function onePlace(): Place {
  let current: Kind | undefined;
  let under: Promise<unknown> = Promise.resolve();
  const closing = new AbortController();

  function run<T>(work: Work<T>): Operation<T> {
    const listeners = new Set<Listener>();
    let total: number | undefined;
    const done = work(({ bytes, totalBytes }) => {
      total = totalBytes ?? total;
      for (const { progress } of listeners) progress(bytes, total);
    });
    const ended = done.then(() => {}, () => {}).finally(() => current = undefined);
    under = ended;
    return {
      done,
      listen: (listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    };
  }

  return {
    current: () => current,
    take: (kind) => {
      closing.signal.throwIfAborted();
      if (current) throw busy(`A ${current} is under way. Ask again when it has ended`);
      current = kind;
      let running = false;
      return {
        run: (work) => {
          closing.signal.throwIfAborted(); // its body came in meanwhile, and nobody would wait for its end
          running = true;
          return run(work);
        },
        [Symbol.dispose]: () => {
          if (!running) current = undefined;
        },
      };
    },
    ending: closing.signal,
    close: async () => {
      closing.abort(ending());
      await under;
    },
  };
}
