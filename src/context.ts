/**
 * What a run is given, and what stages are handed for it.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import type { Context, Log, Progress, State, U8, Want } from "./stage.ts";

/** What every operation takes. Everything has a default; nothing is printed. */
export interface RunOptions {
  /** Cancels the run; nothing is left behind. */
  readonly signal?: AbortSignal | undefined;
  /** The run's time. Default: now. */
  readonly now?: Date | undefined;
  /** Reports. Default: none. */
  readonly log?: Log | undefined;
  /** Progress. Default: none. */
  readonly progress?: Progress | undefined;
  /** The host's memory between runs. Default: memory, gone with the process; deletion of the newest backup is then not seen. */
  readonly state?: State | undefined;
  /** Whether to wait for a lease that another run holds. Default: false, and BusyError. */
  readonly wait?: boolean | undefined;
  /** Store what could be read when a stream of `collect.jetstream` fails; the result is then "warnings". Default: as the plan says. */
  readonly partial?: boolean | undefined;
}

/** What a restore wants when it wants everything, and nowhere in particular. */
export const everything: Want = {
  inPlace: false,
  only: [],
  strip: 0,
  conflict: "error",
  dryRun: false,
  limits: { entries: 10_000_000, bytes: 2 ** 40, ratio: 200, pathBytes: 4096 },
};

/** Makes the context of one run. */
export function makeContext(options: RunOptions, want: Want = everything): Context {
  const counts: Record<string, number> = {};
  const log = options.log ?? { info: () => {}, warn: () => {} };
  return {
    signal: options.signal ?? new AbortController().signal,
    now: options.now ?? new Date(),
    run: ulid(options.now ?? new Date()),
    wait: options.wait ?? false,
    partial: options.partial,
    log: {
      info: log.info,
      warn: (kind, message) => {
        counts[kind] = (counts[kind] ?? 0) + 1;
        log.warn(kind, message);
      },
    },
    progress: options.progress ?? ((): void => {}),
    state: options.state ?? memoryState(),
    want,
    warnings: () => counts,
  };
}

/** A memory that lasts as long as the process. */
export function memoryState(): State {
  const values = new Map<string, U8>();
  return {
    get: (key) => Promise.resolve(values.get(key)),
    put: (key, value) => Promise.resolve(void values.set(key, new Uint8Array(value))),
  };
}

/** A ULID (Crockford base 32): 48 bits of milliseconds, 80 random bits; sorts by time. */
export function ulid(time: Date): string {
  const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  let value = BigInt(time.getTime()) << 80n | BigInt("0x" + randomBytes(10).toString("hex"));
  let id = "";
  for (let i = 0; i < 26; i++, value >>= 5n) id = digits[Number(value & 31n)] + id;
  return id;
}
