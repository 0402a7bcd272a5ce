/**
 * A lease as an object in a store that has conditional writes and no locks.
 *
 * The holder renews it by writing it again; who waits takes over what has not changed for a while by its own clock. Of several
 * waiters that find the same abandoned content T, the one that creates the claim `<name>+<digest of T>.lease` may replace it,
 * once it has seen that the lease still is T. So no two waiters win over each other. What remains, and why it is harmless:
 *
 * - A holder that slept longer than the expiry (a suspended machine) finds another's content at its next renewal, and `lost`
 *   fires. Between its waking and that renewal two runs work. If a renewal was under way when it fell asleep, that overwrites
 *   the new holder's lease: then the new holder finds out at its own next renewal, and `lost` fires there.
 * - A waiter that died between claim and replacement leaves its claim, which expires like a lease. One that slept there longer
 *   than the expiry may replace a lease that another has just taken over; that one loses it at its next renewal.
 *
 * @module
 */
import { clearTimeout, setTimeout } from "node:timers";
import { readAll, sha256, text as decode, utf8 } from "../bytes.ts";
import { BusyError, ExistsError, messageOf, NotFoundError } from "../errors.ts";
import type { Store } from "../stage.ts";
import { decodeHolder, describeSelf, encodeHolder, type Holder, holderPhrase, isDead } from "./holder.ts";
import { LEASE_SUFFIX } from "./key.ts";
import type { Attempt, Lease, LeasePlan, TryLease } from "./lease.ts";

/** The longest lease that is read, in bytes. */
const LIMIT = 64 * 1024;

/** Makes attempts at a lease kept as an object. Each knows what the ones before have seen. */
export function leaseByObject(plan: LeasePlan): TryLease {
  const { store, key, signal } = plan;
  const self = describeSelf(plan.run);
  const watched = watcher(plan.expiryMs);
  let first: string | undefined;
  return async (): Promise<Attempt> => {
    const mine = renewed(self);
    let there: string | undefined;
    do {
      if (await create(store, key, mine, signal)) return { lease: hold(plan, self) };
      there = await read(store, key);
      signal.throwIfAborted();
    } while (there === undefined); // released just now: try again
    first ??= there;
    const holder = decodeHolder(there);
    if (isDead(holder) || watched(key, there)) {
      if (await takeOver(plan, watched, there, renewed(self))) return { lease: hold(plan, self) };
    }
    // Without `wait`, only a lease that looks old is worth watching. Only here are clocks compared: a wrong one costs a run that
    // says it is busy, or a minute of watching.
    const watch = plan.wait || (there === first && looksOld(holder, plan.expiryMs));
    return { holder, giveUp: !watch };
  };
}

function renewed(self: Holder): string {
  return encodeHolder({ ...self, renewedAt: new Date().toISOString() });
}

function looksOld(holder: Holder | undefined, expiryMs: number): boolean {
  const age = holder ? Math.abs(Date.now() - Date.parse(holder.renewedAt)) : NaN;
  return !(age <= expiryMs);
}

/** Whether a key's content has stayed the same for `expiryMs` of this process's monotonic clock. */
function watcher(expiryMs: number): (key: string, text: string) => boolean {
  const seen = new Map<string, { readonly text: string; readonly since: number }>();
  return (key, text) => {
    const before = seen.get(key);
    if (before?.text === text) return performance.now() - before.since >= expiryMs;
    seen.set(key, { text, since: performance.now() });
    return false;
  };
}

async function takeOver(
  { store, key, signal }: LeasePlan,
  watched: (key: string, text: string) => boolean,
  stale: string,
  mine: string,
): Promise<boolean> {
  const name = key.slice(0, -LEASE_SUFFIX.length);
  // "+" is in no backup's name, so a claim is never another backup's lease.
  const claim = `${name}+${sha256(utf8(stale)).slice(0, 16)}${LEASE_SUFFIX}`;
  if (!await create(store, claim, mine, signal)) {
    const other = await read(store, claim);
    if (other !== undefined && (isDead(decodeHolder(other)) || watched(claim, other))) {
      await store.delete(claim);
    }
    return false;
  }
  try {
    if (await read(store, key) !== stale) return false;
    await store.put(key, utf8(mine), { signal });
    return true;
  } finally {
    await store.delete(claim);
  }
}

async function create(store: Store, key: string, text: string, signal: AbortSignal): Promise<boolean> {
  try {
    await store.put(key, utf8(text), { ifAbsent: true, signal });
    return true;
  } catch (error) {
    if (error instanceof ExistsError) return false;
    throw error;
  }
}

async function read(store: Store, key: string): Promise<string | undefined> {
  try {
    return decode(await readAll(await store.get(key), LIMIT, `"${key}"`));
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    if (error instanceof TypeError) return ""; // not text: nobody's lease
    throw error;
  }
}

/** Whether a lease is this run's own. Not by its text: a renewal whose answer got lost may have been written. */
function isOwn(text: string, self: Holder): boolean {
  return decodeHolder(text)?.nonce === self.nonce;
}

/** Renews the lease until it is released or lost. */
function hold({ store, key, heartbeatMs, expiryMs, log }: LeasePlan, self: Holder): Lease {
  const lost = new AbortController();
  let good = performance.now();
  let beating: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let released = false;
  schedule();
  return {
    lost: lost.signal,
    release: async () => {
      released = true;
      clearTimeout(timer);
      await beating;
      try {
        const there = await read(store, key);
        if (there !== undefined && isOwn(there, self)) await store.delete(key);
      } catch (error) {
        log.info(`Cannot remove the lease "${key}", it will expire: ${messageOf(error)}`);
      }
    },
  };

  function schedule(): void {
    timer = setTimeout(() => beating = beat(), heartbeatMs);
    timer.unref(); // a lease does not keep the process alive
  }

  async function beat(): Promise<void> {
    try {
      await renew();
    } catch (error) {
      log.info(`Cannot renew the lease "${key}": ${messageOf(error)}`);
      if (performance.now() - good >= expiryMs) lost.abort(gone(key, "it could not be renewed"));
    }
    if (!released && !lost.signal.aborted) schedule();
  }

  async function renew(): Promise<void> {
    const there = await read(store, key);
    if (there !== undefined && !isOwn(there, self)) {
      lost.abort(gone(key, `${holderPhrase(decodeHolder(there))} has taken it over`));
      return;
    }
    await store.put(key, utf8(renewed(self)), { ifAbsent: there === undefined });
    good = performance.now();
  }
}

function gone(key: string, why: string): BusyError {
  return new BusyError(`Lost the lease "${key}": ${why}. Start the run again`);
}
