/**
 * A store that misbehaves on purpose: real work by a real store, and the failures that a network or a disk brings.
 *
 * @module
 */
import { bodyOf } from "../bytes.ts";
import type { Bytes, Store, StoreItem, U8 } from "../stage.ts";
import { damaged, pause, thrown } from "./damage.ts";
import { type History, history } from "./history.ts";

/**
 * - `fail`: the call fails, nothing is done.
 * - `after`: the call does its work, and then fails: the answer got lost.
 * - `tear`: the call fails after `at` bytes (of a listing: items). A torn put stores nothing.
 * - `cut`: as `tear`, but without an error: a put stores a short object, a get or a listing ends early.
 * - `flip`: a put or get turns over the lowest bit of byte `at`.
 * - `stall`: the call (of a put or get: after `at` bytes) waits for `until`, for `ms`, or until it is cancelled.
 * - `slow`: each chunk of a put or get, each item of a listing, and any other call, takes `ms` longer.
 * - `twice`: a put of bytes (not of a stream, which is read once) or a delete is done twice.
 * - `late`: a listing shows the store as it was before the last `at` changes.
 * - `skew`: times of listings and heads are `ms` off.
 * - `full`: a put fails once `at` bytes have been written since the store was wrapped: the disk is full.
 */
export type FaultKind =
  | "fail"
  | "after"
  | "tear"
  | "cut"
  | "flip"
  | "stall"
  | "slow"
  | "twice"
  | "late"
  | "skew"
  | "full";

/** One fault. */
export interface Fault {
  /** The call that it befalls; "any" is each of them. */
  readonly on: "put" | "get" | "head" | "list" | "delete" | "any";
  /** What happens. */
  readonly how: FaultKind;
  /** Only calls whose key (of a listing: prefix) matches. Default: all. */
  readonly key?: RegExp | undefined;
  /** Only the nth of those calls, from 1. Default: each. */
  readonly nth?: number | undefined;
  /** Only the nth of those calls and all after it: credentials that expire, a machine that dies. */
  readonly from?: number | undefined;
  /** Bytes, items of a listing, or changes, before it happens. Default: 0. */
  readonly at?: number | undefined;
  /** Milliseconds of a stall, a delay or a wrong clock. */
  readonly ms?: number | undefined;
  /** Ends a stall. Default: never, unless `ms` is given. */
  readonly until?: Promise<unknown> | undefined;
  /** What is thrown. Default: a StoreError that may be retried. */
  readonly error?: (() => Error) | undefined;
}

/** A store with its faults. */
export type FaultyStore = Store & {
  /** The calls it saw, each as "put app.intent". */
  readonly calls: readonly string[];
  /** How often each fault of the plan has happened, in the plan's order. */
  readonly happened: readonly number[];
};

/**
 * Wraps a store. The first fault that fits a call counts. No lock: leases become objects, and their faults can be planned.
 * What the store itself promises (all or nothing) still holds, except for `cut` and `flip`.
 */
export function faulty(store: Store, plan: readonly Fault[]): FaultyStore {
  return faultySince(history(store, Math.max(0, ...plan.map(changesBack))), store, plan);
}

/** The changes that a fault looks back. */
function changesBack({ how, at = 0 }: Fault): number {
  return how === "late" ? at : 0;
}

/** The same, where the changes of wrappers before this one count as well. */
export function faultySince(past: History, store: Store, plan: readonly Fault[]): FaultyStore {
  const calls: string[] = [];
  const counts = plan.map(() => 0);
  const happened = plan.map(() => 0);
  const room = { written: 0 };
  function next(on: Fault["on"], key: string): Fault | undefined {
    calls.push(`${on} ${key}`);
    const fits = plan.map((fault, i) => {
      if (fault.on !== on && fault.on !== "any" || !(fault.key?.test(key) ?? true)) return false;
      counts[i]!++;
      return (fault.nth ?? counts[i]) === counts[i] && counts[i]! >= (fault.from ?? 1);
    });
    const first = fits.indexOf(true);
    if (first >= 0) happened[first]!++;
    return plan[first];
  }
  const { lock: _, ...rest } = store;
  return {
    ...rest,
    calls,
    happened,
    put: async (key, body, options) => {
      const fault = next("put", key);
      const stream = body instanceof Uint8Array ? bodyOf(body).read() : body;
      try {
        await before(fault);
      } catch (error) {
        await stream.cancel(error);
        throw error;
      }
      const write = past.noting(key, (bytes: Bytes | U8) => store.put(key, bytes, options));
      if (fault?.how === "twice" && body instanceof Uint8Array) await write(body.slice());
      await write(fault ? damaged(stream, fault, room) : body);
      after(fault);
    },
    get: async (key, range) => {
      const fault = next("get", key);
      await before(fault);
      const stream = await store.get(key, range);
      try {
        after(fault);
      } catch (error) {
        await stream.cancel(error); // nobody else will: a connection would stay open
        throw error;
      }
      return fault ? damaged(stream, fault, room) : stream;
    },
    head: async (key) => {
      const fault = next("head", key);
      return skewed(await around(fault, () => store.head(key)), fault);
    },
    list: (prefix = "") => {
      const fault = next("list", prefix);
      const items = fault?.how === "late"
        ? past.before(store.list(prefix), prefix, fault.at ?? 0)
        : store.list(prefix);
      return shown(fault, items);
    },
    delete: (key) => {
      const fault = next("delete", key);
      const remove = past.noting(key, () => store.delete(key));
      return around(fault, async () => {
        await remove();
        if (fault?.how === "twice") await store.delete(key);
      });
    },
  };
}

async function around<T>(fault: Fault | undefined, work: () => Promise<T>): Promise<T> {
  await before(fault);
  if (fault?.how === "stall" || fault?.how === "slow") await pause(fault);
  const result = await work();
  after(fault);
  return result;
}

async function before(fault: Fault | undefined): Promise<void> {
  if (fault?.how === "fail") throw await Promise.resolve(thrown(fault));
}

function after(fault: Fault | undefined): void {
  if (fault?.how === "after") throw thrown(fault);
}

function skewed(item: StoreItem | undefined, fault: Fault | undefined): StoreItem | undefined {
  if (!item || fault?.how !== "skew") return item;
  return { ...item, modified: new Date(item.modified.getTime() + (fault.ms ?? 0)) };
}

async function* shown(
  fault: Fault | undefined,
  items: AsyncIterable<StoreItem>,
): AsyncGenerator<StoreItem> {
  await before(fault);
  let count = 0;
  for await (const item of items) {
    if (fault && count === (fault.at ?? 0)) {
      if (fault.how === "tear") throw thrown(fault);
      if (fault.how === "cut") return;
      if (fault.how === "stall") await pause(fault);
    }
    if (fault?.how === "slow") await pause(fault);
    count++;
    yield skewed(item, fault)!;
  }
  after(fault);
}
