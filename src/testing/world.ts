/**
 * The store behind the faults, with a clock of its own, that looks at every change: what must never be seen, not even for a moment.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { readAll, sha256 } from "../bytes.ts";
import { RECEIPT } from "../catalog.ts";
import { messageOf } from "../errors.ts";
import { decodeReceipt, type ReceiptObject } from "../receipt.ts";
import type { Shelf, Store, StoreItem, U8 } from "../stage.ts";

/** A store that is watched. */
export interface World {
  /** What the runs use. */
  readonly store: Store;
  /** Backups that a run has reported as complete: id, and the digest of the receipt. */
  readonly promised: ReadonlyMap<string, string>;
  /** Digests of receipts whose deletion was announced. */
  readonly announced: ReadonlySet<string>;
  /** Notes that a run has promised a backup. */
  readonly promise: (id: string, receipt: U8) => void;
  /** Sets the time that new objects get. */
  readonly setTime: (time: Date) => void;
}

const LIMIT = 2 ** 30;

/** Watches `inner`; `report` is told of everything that must not be. */
export function world(inner: Store, shelf: Shelf, report: (what: string) => void): World {
  let time = new Date();
  const modified = new Map<string, Date>();
  const promised = new Map<string, string>();
  const announced = new Set<string>();
  /** What each visible backup's receipt names. */
  const visible = new Map<string, { digest: string; keys: ReadonlySet<string> }>();
  const dated = (item: StoreItem): StoreItem => ({
    ...item,
    modified: modified.get(item.key) ?? item.modified,
  });

  async function written(key: string): Promise<void> {
    modified.set(key, time);
    const bytes = key.endsWith(".json") ? await read(inner, key) : undefined;
    if (!bytes) return;
    if (key.endsWith(RECEIPT)) await appeared(key.slice(0, -RECEIPT.length), bytes);
    else if (key.endsWith(".prune.json")) pruned(key, bytes);
  }

  async function appeared(id: string, bytes: U8): Promise<void> {
    const receipt = decodeReceipt(bytes, id);
    if (receipt.event !== "backup") return;
    visible.set(id, {
      digest: sha256(bytes),
      keys: new Set(receipt.objects.map(({ suffix }) => id + suffix)),
    });
    for (const object of receipt.objects) {
      const wrong = await wrongWith(inner, id, object);
      if (wrong) report(`"${id}" became visible, and ${wrong}`);
    }
  }

  function pruned(key: string, bytes: U8): void {
    const receipt = decodeReceipt(bytes, key);
    if (receipt.event !== "prune") return;
    const newest = [...promised.keys()].filter((id) => visible.has(id))
      .sort((a, b) => timeOf(shelf, b) - timeOf(shelf, a))[0];
    for (const item of receipt.tombstones) {
      announced.add(item.sha256);
      if (item.id === newest && promised.get(newest) === item.sha256) {
        report(`"${key}" announces the deletion of "${newest}", the newest complete backup`);
      }
    }
  }

  function removed(key: string): void {
    const id = key.endsWith(RECEIPT) ? key.slice(0, -RECEIPT.length) : undefined;
    if (id !== undefined && visible.has(id)) {
      const digest = promised.get(id);
      if (digest !== undefined && !announced.has(digest)) {
        report(`"${id}" was complete, and was deleted without a word`);
      }
      visible.delete(id);
      return;
    }
    for (const [id, { keys }] of visible) {
      if (keys.has(key)) report(`"${key}" was deleted while "${id}" was visible`);
    }
  }

  const store: Store = {
    url: inner.url,
    put: async (key, body, options) => {
      await turn();
      await inner.put(key, body, options);
      await written(key);
    },
    get: async (key, range) => {
      await turn();
      return await inner.get(key, range);
    },
    head: async (key) => {
      await turn();
      const item = await inner.head(key);
      return item && dated(item);
    },
    list: async function* (prefix): AsyncGenerator<StoreItem> {
      for await (const item of inner.list(prefix)) yield dated(item);
    },
    delete: async (key) => {
      await turn();
      removed(key);
      await inner.delete(key);
    },
  };
  return {
    store,
    promised,
    announced,
    promise: (id, receipt) => void promised.set(id, sha256(receipt)),
    setTime: (now) => void (time = now),
  };
}

/** Lets timers and the other machine have their turn, as a network would. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Says how an object differs from its receipt, or undefined. */
async function wrongWith(store: Store, id: string, object: ReceiptObject): Promise<string | undefined> {
  const key = id + object.suffix;
  try {
    const bytes = await read(store, key);
    if (bytes.length !== object.bytes) {
      return `"${key}" has ${bytes.length} of ${object.bytes} bytes`;
    }
    return sha256(bytes) === object.sha256 ? undefined : `"${key}" holds other bytes than its receipt says`;
  } catch (error) {
    return `"${key}" cannot be read: ${messageOf(error)}`;
  }
}

/** Every promised backup that is neither whole nor announced as deleted: a sentence each. */
export async function lost({ store, promised, announced }: World): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const [id, digest] of promised) {
    if (announced.has(digest)) continue;
    try {
      const bytes = await read(store, id + RECEIPT);
      if (sha256(bytes) !== digest) problems.push(`"${id}" has another receipt than its run wrote`);
      const receipt = decodeReceipt(bytes, id);
      for (const object of receipt.event === "backup" ? receipt.objects : []) {
        const wrong = await wrongWith(store, id, object);
        if (wrong) problems.push(`"${id}" was complete, and ${wrong}`);
      }
    } catch (error) {
      problems.push(`"${id}" was complete, and is lost: ${messageOf(error)}`);
    }
  }
  return problems;
}

async function read(store: Store, key: string): Promise<U8> {
  return await readAll(await store.get(key), LIMIT, `"${key}"`);
}

function timeOf(shelf: Shelf, id: string): number {
  return shelf.naming.parse(id)?.time.getTime() ?? 0;
}
