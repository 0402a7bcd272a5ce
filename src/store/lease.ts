/**
 * One run at a time per name. A lease saves overlapping runs from doing the same work twice; that backups stay whole never
 * rests on it (names are created conditionally, and the receipt comes last).
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { BusyError, messageOf, StoreError } from "../errors.ts";
import type { LeaseTimes, Log, Store } from "../stage.ts";
import { codeOf } from "./folder.ts";
import { decodeHolder, describeSelf, encodeHolder, type Holder, holderPhrase } from "./holder.ts";
import { LEASE_SUFFIX } from "./key.ts";
import { leaseByObject } from "./lease_object.ts";

/** What flock(2) says where a file system has no locks. */
const NO_LOCKS = new Set(["ENOLCK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/** Options of {@linkcode acquireLease}. */
export interface LeaseOptions {
  /** The run's id, which others see. */
  readonly run: string;
  /** Wait until the lease is free. Default: false, BusyError. */
  readonly wait?: boolean | undefined;
  /** Gives up waiting. */
  readonly signal: AbortSignal;
  /** Told whom the run waits for. */
  readonly log: Log;
  /** What cannot be done without the lease, for the error. Default: "back up". */
  readonly action?: string | undefined;
  /** How often a lease kept as an object is renewed, in milliseconds. Default: 10,000. */
  readonly heartbeatMs?: number | undefined;
  /** How long such a lease must stay unchanged to count as abandoned, in milliseconds. Default: 60,000. */
  readonly expiryMs?: number | undefined;
}

/** A lease that is held. */
export interface Lease {
  /** Lets it go. Never rejects: what cannot be removed expires. */
  readonly release: () => Promise<void>;
  /** Fires when another run has taken the lease over, or it could not be renewed in time. A system's lock is never lost. */
  readonly lost: AbortSignal;
}

/** What one attempt gave. */
export type Attempt =
  | { readonly lease: Lease }
  | { readonly holder: Holder | undefined; readonly giveUp: boolean };

/** Tries to get the lease once; called until it succeeds or gives up. */
export type TryLease = () => Promise<Attempt>;

/** What the two kinds of lease are made from. */
export interface LeasePlan {
  /** Where. */
  readonly store: Store;
  /** The lease's key. */
  readonly key: string;
  /** The run's id. */
  readonly run: string;
  /** Whether the run waits. */
  readonly wait: boolean;
  /** Gives up waiting. */
  readonly signal: AbortSignal;
  /** Reports. */
  readonly log: Log;
  /** Time between two renewals. */
  readonly heartbeatMs: number;
  /** Time without a change after which a lease is abandoned. */
  readonly expiryMs: number;
}

/**
 * Gets the lease `<name>.lease` in `store`: by the store's own lock if it has one, else by a conditional object that is
 * renewed while it is held. A holder that died is recognised: at once by a lock or on the same machine, else when its lease has not
 * changed for `expiryMs` of this process's own clock. No two clocks are ever compared to decide that.
 *
 * Throws {@linkcode BusyError} naming the holder, unless `wait`; the signal's reason when it fires; RangeError unless the
 * expiry is at least two heartbeats.
 */
export async function acquireLease(store: Store, name: string, options: LeaseOptions): Promise<Lease> {
  const { run, heartbeatMs = 10_000, expiryMs = 60_000, wait = false, action = "back up", signal, log } =
    options;
  checkLease({ heartbeatMs, expiryMs });
  const pollMs = Math.min(1000, heartbeatMs / 2);
  const plan = { store, key: name + LEASE_SUFFIX, run, wait, signal, log, heartbeatMs, expiryMs };
  let attempt = store.lock ? leaseByLock(plan, store.lock) : leaseByObject(plan);
  let told = false;
  for (;;) {
    signal.throwIfAborted();
    let result: Attempt;
    try {
      result = await attempt();
    } catch (error) {
      if (!store.lock || !hasNoLocks(error)) throw error;
      attempt = leaseByObject(plan);
      continue;
    }
    if ("lease" in result) return result.lease;
    if (result.giveUp) throw busy(action, name, result.holder);
    if (!told) log.info(`Waiting for ${holderPhrase(result.holder)}, which holds the lease of "${name}"`);
    told = true;
    await pause(pollMs, signal);
  }
}

/** Throws RangeError unless the expiry is at least two heartbeats; gives the times back. */
export function checkLease<T extends LeaseTimes | undefined>(times: T): T {
  if (times && !(times.heartbeatMs > 0 && times.expiryMs >= 2 * times.heartbeatMs)) {
    throw new RangeError(
      `Cannot use a lease renewed every ${times.heartbeatMs} ms that expires after ${times.expiryMs} ms`,
    );
  }
  return times;
}

function leaseByLock(plan: LeasePlan, lock: NonNullable<Store["lock"]>): TryLease {
  return async () => {
    const answer = await lock(plan.key, encodeHolder(describeSelf(plan.run)));
    if (!answer.held) return { holder: decodeHolder(answer.holder), giveUp: !plan.wait };
    const release = (): Promise<void> =>
      answer.release().catch((error) =>
        plan.log.info(`Cannot remove the lease "${plan.key}": ${messageOf(error)}`)
      );
    return { lease: { release, lost: new AbortController().signal } };
  };
}

function hasNoLocks(error: unknown): boolean {
  return error instanceof StoreError && NO_LOCKS.has(codeOf(error.cause));
}

function busy(action: string, name: string, holder: Holder | undefined): BusyError {
  const since = holder ? ` since ${holder.started}` : "";
  return new BusyError(
    `Cannot ${action} "${name}": ${
      holderPhrase(holder)
    } has held the lease${since}. Wait for it to end, or pass --wait`,
  );
}

/** Waits between half and one and a half of `ms`, so that waiters do not move in step; ends with the signal's reason. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms * (0.5 + Math.random()), undefined, { signal }).catch(() => signal.throwIfAborted());
}
