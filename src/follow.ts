/**
 * Backups one after the other, as often as there is something new: `follow`.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { probeOf } from "./collect/sqlite/probe.ts";
import { memoryState } from "./context.ts";
import { messageOf } from "./errors.ts";
import type { Plan } from "./find.ts";
import { backup, type BackupOptions } from "./run.ts";

/** How to follow. */
export interface FollowOptions extends Omit<BackupOptions, "now"> {
  /** Milliseconds from the start of one backup to that of the next, at least 1,000: names are to the second. */
  readonly everyMs: number;
  /** A backup is made after so many milliseconds even if nothing was committed, so that it shows that someone is there. Default: one hour. */
  readonly atLeastMs?: number | undefined;
  /** Ends after so many backups. Default: when `signal` fires. */
  readonly runs?: number | undefined;
  /** Makes one backup, named by `now`. Default: {@linkcode backup} with these options. */
  readonly make?: ((now: Date) => Promise<unknown>) | undefined;
}

/** What came of it. */
export interface Followed {
  /** Backups made. */
  readonly made: number;
  /** Times when nothing had been committed, and nothing was stored. */
  readonly unchanged: number;
  /** Backups that failed. */
  readonly failed: number;
  /** The failure of the last attempt; undefined: it went well. */
  readonly failure?: unknown;
}

/**
 * Makes a backup every `everyMs`, of databases (`collect.sqlite`) only when something was committed to them since the last one. A run that takes
 * longer delays the next, none is started twice. Ends when `signal` fires, which is no failure: what is under way is taken back, what was
 * made stays. The first backup must succeed, or its error is thrown; later ones that fail are a warning ("follow"), and the next is tried at its time.
 */
export async function follow(plan: Plan, options: FollowOptions): Promise<Followed> {
  const { everyMs, atLeastMs = 3_600_000, runs = Infinity, signal, log } = options;
  if (!(everyMs >= 1000 && everyMs <= 2 ** 31 - 1)) {
    throw new RangeError(
      `Cannot follow every ${everyMs} ms: choose one second or more, for names are to the second`,
    );
  }
  const { everyMs: _every, atLeastMs: _least, runs: _runs, make: given, ...rest } = options;
  const state = options.state ?? memoryState();
  const make = given ?? ((now: Date): Promise<unknown> => backup(plan, { ...rest, state, now }));
  const probe = probeOf(plan.stages[0]);
  const counts = { made: 0, unchanged: 0, failed: 0 };
  let failure: unknown;
  let last: { readonly seen: string | undefined; readonly at: number } | undefined;
  try {
    for (let due = Date.now(); !signal?.aborted;) {
      const seen = probe?.look();
      const started = Date.now();
      // Names are of the beat, so that no two are of one second; but for a clock that was set, or a machine that slept.
      if (Math.abs(started - due) > everyMs) due = started;
      const idle = seen !== undefined && seen === last?.seen && due - last.at < atLeastMs;
      if (idle) counts.unchanged++;
      else {
        try {
          await make(new Date(due));
          failure = undefined;
          last = { seen, at: due };
          if (++counts.made >= runs) break;
        } catch (error) {
          if (signal?.aborted) break;
          if (!last) throw error;
          failure = error;
          counts.failed++;
          log?.warn(
            "follow",
            `This backup failed, the next is tried in ${everyMs / 1000} s: ${messageOf(error)}`,
          );
        }
      }
      // On the beat; a beat that has been missed is left out.
      due += everyMs * Math.max(1, Math.ceil((Date.now() - due) / everyMs));
      await sleep(Math.min(everyMs, Math.max(0, due - Date.now())), undefined, { signal }).catch(() => {});
    }
  } finally {
    probe?.close();
  }
  return { ...counts, failure };
}
