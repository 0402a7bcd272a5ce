/**
 * The connection of a store: made when it is needed, ended when nothing needs it, made again when it breaks.
 *
 * @module
 */
import { clearTimeout, setTimeout } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";
import { connectTo, type Link } from "../../nats/link.ts";
import { explain, isPassing } from "./explain.ts";
import type { Settings } from "./options.ts";

/** How long an unused connection is kept, in milliseconds: it would keep the process alive. */
const IDLE_MS = 250;

/** The first pause before trying again, and the longest, in milliseconds. */
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 5_000;

/** Attempts at a server that has never answered: it is more often a wrong address than a passing trouble. */
const FIRST_CONTACT = 3;

/** What works on one bucket share. */
export interface Session {
  /** The options. */
  readonly settings: Settings;
  /**
   * Runs a request until it succeeds or can no longer; throws what `explain` makes of it, or the signal's reason. `action` is the
   * sentence's beginning: `Cannot read "x"`.
   */
  readonly call: <T>(action: string, request: (link: Link) => Promise<T>, signal?: AbortSignal) => Promise<T>;
  /** Keeps the connection while more requests will follow; gives a function that ends this. */
  readonly hold: () => () => void;
  /** Ends the connection now. */
  readonly close: () => Promise<void>;
}

/** Makes a session; nothing is connected yet. */
export function sessionOf(settings: Settings): Session {
  const line = lineOf(settings);
  let reached = false;
  return {
    settings,
    hold: line.hold,
    close: line.close,
    call: async (action, request, signal) => {
      const release = line.hold();
      try {
        for (let attempt = 1;; attempt++) {
          signal?.throwIfAborted();
          try {
            const link = await line.open();
            reached = true;
            return await request(link);
          } catch (error) {
            signal?.throwIfAborted();
            const most = reached ? settings.retries + 1 : Math.min(FIRST_CONTACT, settings.retries + 1);
            if (attempt >= most || !isPassing(error)) throw explain(error, action, settings);
          }
          await pause(attempt, signal);
        }
      } finally {
        release();
      }
    },
  };
}

/** One connection at a time, for all who hold it. */
function lineOf({ server }: Settings): Pick<Session, "hold" | "close"> & { open: () => Promise<Link> } {
  let opening: Promise<Link> | undefined;
  let users = 0;
  let timer: NodeJS.Timeout | undefined;

  async function connect(): Promise<Link> {
    const link = await connectTo(server, { reconnect: false });
    void link.nc.closed().then(() => {
      if (opening === made) opening = undefined;
      return link.close();
    });
    return link;
  }
  let made: Promise<Link> | undefined;

  async function close(): Promise<void> {
    clearTimeout(timer);
    const link = await opening?.catch(() => undefined);
    opening = undefined;
    await link?.close();
  }

  return {
    open: () => {
      if (opening) return opening;
      made = opening = connect();
      opening.catch(() => {
        if (opening === made) opening = undefined;
      });
      return opening;
    },
    hold: () => {
      users++;
      clearTimeout(timer);
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        if (--users === 0) timer = setTimeout(() => void close(), IDLE_MS);
      };
    },
    close,
  };
}

/** Half of it fixed, half of it random, so that many hosts do not come back in step. */
export async function pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
  const most = Math.min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE);
  const options = signal ? { signal } : {};
  await sleep(most / 2 + Math.random() * most / 2, undefined, options).catch(() => signal?.throwIfAborted());
}
