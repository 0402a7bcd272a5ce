/** A store that misbehaves on purpose: real work by a real store, and the failures that a network or a disk brings. */
import { bodyOf, toBytes } from "../../src/bytes.ts";
import { StoreError } from "../../src/errors.ts";
import type { Bytes, Store, StoreItem, U8 } from "../../src/stage.ts";

/**
 * - `fail`: the call fails, nothing is done.
 * - `after`: the call does its work, and then fails: the answer got lost.
 * - `tear`: the call fails after `at` bytes (of a listing: items). A torn put stores nothing.
 * - `cut`: as `tear`, but without an error: a put stores a short object, a get or a listing ends early.
 * - `flip`: a put or get turns over the lowest bit of byte `at`.
 * - `stall`: the call (of a put or get: after `at` bytes) waits for `until`, or until it is cancelled.
 */
export type FaultKind = "fail" | "after" | "tear" | "cut" | "flip" | "stall";

/** One fault. */
export interface Fault {
  readonly on: "put" | "get" | "head" | "list" | "delete";
  readonly how: FaultKind;
  /** Only calls whose key (of a listing: prefix) matches. Default: all. */
  readonly key?: RegExp;
  /** Only the nth of those calls, from 1. Default: each. */
  readonly nth?: number;
  /** Bytes, or items of a listing, before it happens. Default: 0. */
  readonly at?: number;
  /** Ends a stall. Default: never. */
  readonly until?: Promise<unknown>;
  /** What is thrown. Default: a StoreError that may be retried. */
  readonly error?: () => Error;
}

/** The store with its faults, and the calls it saw: "put app.intent". */
export type FaultyStore = Store & { readonly calls: readonly string[] };

/** Wraps a store. The first fault that fits a call counts. No lock: leases become objects, and their faults can be planned. */
export function faulty(store: Store, plan: readonly Fault[]): FaultyStore {
  const calls: string[] = [];
  const counts = plan.map(() => 0);
  function next(on: Fault["on"], key: string): Fault | undefined {
    calls.push(`${on} ${key}`);
    return plan.filter((fault, i) => {
      if (fault.on !== on || !(fault.key?.test(key) ?? true)) return false;
      counts[i]!++;
      return fault.nth === undefined || fault.nth === counts[i];
    })[0];
  }
  const { lock: _, ...rest } = store;
  return {
    ...rest,
    calls,
    put: async (key, body, options) => {
      const fault = next("put", key);
      const stream = body instanceof Uint8Array ? bodyOf(body).read() : body;
      try {
        await before(fault);
      } catch (error) {
        await stream.cancel(error);
        throw error;
      }
      await store.put(key, fault ? damaged(stream, fault) : body, options);
      after(fault);
    },
    get: async (key, range) => {
      const fault = next("get", key);
      await before(fault);
      const stream = await store.get(key, range);
      after(fault);
      return fault ? damaged(stream, fault) : stream;
    },
    head: (key) => around(next("head", key), () => store.head(key)),
    list: (prefix = "") => shortened(next("list", prefix), store.list(prefix)),
    delete: (key) => around(next("delete", key), () => store.delete(key)),
  };
}

function thrown(fault: Fault): Error {
  return fault.error?.() ?? new StoreError(`Cannot ${fault.on}: made to fail`, { retryable: true });
}

async function around<T>(fault: Fault | undefined, work: () => Promise<T>): Promise<T> {
  await before(fault);
  if (fault?.how === "stall") await (fault.until ?? never());
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

function never(): Promise<never> {
  return new Promise(() => {});
}

/** A stream with the fault at its byte `at`. */
function damaged(bytes: Bytes, fault: Fault): Bytes {
  const at = fault.at ?? 0;
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    const reader = bytes.getReader();
    let seen = 0;
    let hit = false;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        const here = at - seen;
        seen += value.length;
        if (hit || here >= value.length) {
          yield value;
          continue;
        }
        hit = true;
        if (fault.how === "flip") value[here]! ^= 1;
        else if (["tear", "cut", "stall"].includes(fault.how)) {
          if (here > 0) yield value.slice(0, here);
          if (fault.how === "cut") return;
          if (fault.how === "tear") throw thrown(fault);
          await (fault.until ?? never());
          yield value.slice(here);
          continue;
        }
        yield value;
      }
    } finally {
      await reader.cancel().catch(() => {});
    }
  });
}

async function* shortened(
  fault: Fault | undefined,
  items: AsyncIterable<StoreItem>,
): AsyncGenerator<StoreItem> {
  await before(fault);
  let count = 0;
  for await (const item of items) {
    if (fault && count === (fault.at ?? 0)) {
      if (fault.how === "tear") throw thrown(fault);
      if (fault.how === "cut") return;
      if (fault.how === "stall") await (fault.until ?? never());
    }
    count++;
    yield item;
  }
  after(fault);
}
