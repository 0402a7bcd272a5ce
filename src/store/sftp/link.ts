/**
 * The store's connection: made when it is needed, shared by all requests, made anew when it broke, closed when idle.
 *
 * @module
 */
import { pause } from "../s3/client.ts";
import { connect, type Connection } from "./connect.ts";
import { type Action, explain, isPassing, type Place } from "./explain.ts";
import type { Settings } from "./options.ts";
import type { Wire } from "./wire.ts";

/** Attempts at a server that has never answered: it is more often a wrong address than a passing trouble. */
const FIRST_CONTACT = 3;

/** What works on one server shares. */
export interface Link {
  /** The options. */
  readonly settings: Settings;
  /** For sentences. */
  readonly place: Place;
  /**
   * Does work that may be repeated, on a connection; again on a new one when that broke. Throws what `explain` makes of a
   * failure, or the signal's reason.
   */
  readonly run: <T>(action: Action, work: (wire: Wire) => Promise<T>, signal?: AbortSignal) => Promise<T>;
}

/** Makes a link; nothing is loaded or sent yet. */
export function linkOf(settings: Settings, place: Place): Link {
  const { borrow, reached } = shared(settings, place);
  const none = new AbortController().signal;
  return {
    settings,
    place,
    run: async (action, work, signal = none) => {
      for (let attempt = 1;; attempt++) {
        try {
          signal.throwIfAborted();
          return await unlessAborted(borrow(work), signal);
        } catch (error) {
          signal.throwIfAborted();
          const most = settings.retries + 1;
          if (attempt >= (reached() ? most : Math.min(FIRST_CONTACT, most)) || !isPassing(error)) {
            throw explain(error, action, place);
          }
          await pause(attempt, undefined, signal);
        }
      }
    },
  };
}

/** One connection for all who work at the same time. */
function shared(settings: Settings, place: Place): {
  readonly borrow: <T>(work: (wire: Wire) => Promise<T>) => Promise<T>;
  readonly reached: () => boolean;
} {
  let connecting: Promise<Connection> | undefined;
  let working = 0;
  let contact = false;

  async function current(): Promise<Connection> {
    const before = connecting;
    const usable = (await before?.catch(() => undefined))?.alive() ?? false;
    if (!usable && connecting === before) connecting = undefined; // else: another has made a new one meanwhile
    const connection = await (connecting ??= connect(settings, place));
    contact = true;
    return connection;
  }

  return {
    reached: () => contact,
    borrow: async (work) => {
      working++;
      let connection: Connection | undefined;
      try {
        connection = await current();
        connection.hold(true);
        return await work(connection);
      } finally {
        if (--working === 0) connection?.hold(false);
      }
    },
  };
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    work.catch(() => {}); // told to nobody, when it was given up
  }
}
