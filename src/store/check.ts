/**
 * Tries a store with the contract's sentences, in a corner of its own, before the first backup depends on it.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { messageOf, StoreError } from "../errors.ts";
import type { Store, StoreItem } from "../stage.ts";
import { type ContractOptions, type Sentence, sentences } from "./contract/mod.ts";
import { checkKey } from "./key.ts";
import type { S3Store } from "./s3.ts";

/** What became of one sentence. */
export interface CheckResult {
  /** The sentence: "put replaces". */
  readonly sentence: string;
  /** Why the store does not keep it; undefined when it does. */
  readonly error?: Error | undefined;
  /** How long it took, in milliseconds. */
  readonly ms: number;
}

/** Options of {@linkcode checkStore}. */
export interface CheckOptions extends ContractOptions {
  /** Gives up between two sentences; what was written is still removed. */
  readonly signal?: AbortSignal | undefined;
  /** Told about each sentence. */
  readonly report?: ((result: CheckResult) => void) | undefined;
}

/** What a check found. */
export interface CheckReport {
  /** Every sentence that was tried. */
  readonly results: readonly CheckResult[];
  /** What could not be removed, and why; empty when nothing is left. */
  readonly left: readonly string[];
}

/** Only what takes the store away can show it: not with an operator's own. */
const NOT_HERE = /^never takes its own failure for absence$/;

/**
 * Tries every sentence of the contract under the fresh prefix `holdfast-check-<random>/`, and removes what it wrote: objects,
 * leases, and in a versioned bucket their versions. Nothing outside that prefix is touched. In a bucket it writes without the lock and
 * the legal hold that backups will have, and little where the bucket itself locks what is written. Rejects at once when the store cannot
 * be reached or denies one of the verbs: the same reason forty times helps nobody.
 */
export async function checkStore(asked: Store, options: CheckOptions = {}): Promise<CheckReport> {
  const store = isS3(asked) ? asked.unlocked() : asked;
  const corner = `holdfast-check-${randomBytes(6).toString("hex")}`;
  const results: CheckResult[] = [];
  const left: string[] = [];
  const stays = await probe(store, `${corner}/probe`);
  if (isS3(asked) && asked.locks && (await asked.survey()).objectLock === "off") {
    throw new StoreError(
      `Cannot lock objects in ${asked.url}: Object Lock is set when a bucket is made, and this one has none. Use another bucket, or ` +
        "leave out `lock` and `legalHold`",
    );
  }
  const { many = stays ? 20 : undefined } = options;
  const tried = sentences({ many }).filter(({ text }) => !NOT_HERE.test(text));
  try {
    for (const [i, sentence] of tried.entries()) {
      options.signal?.throwIfAborted();
      const scope = scoped(store, `${corner}/${i}`);
      const result = await attempt(sentence, scope.store);
      results.push(result);
      options.report?.(result);
      left.push(...await scope.clear());
    }
  } finally {
    left.push(...await purge(store, `${corner}/`));
  }
  return { results, left };
}

/** Each verb once. Gives whether the store keeps what is deleted: a bucket with a default retention. */
async function probe(store: Store, key: string): Promise<boolean> {
  await store.put(key, new Uint8Array(1), { ifAbsent: true });
  try {
    await (await store.get(key)).cancel();
    for await (const _ of store.list(key)) break;
    return await store.retained?.(key) !== undefined;
  } finally {
    await store.delete(key);
  }
}

async function attempt({ text, run }: Sentence, store: Store): Promise<CheckResult> {
  const start = performance.now();
  const ms = (): number => Math.round(performance.now() - start);
  try {
    await run({ store, debris: () => Promise.resolve([]) });
    return { sentence: text, ms: ms() };
  } catch (error) {
    return { sentence: text, error: error instanceof Error ? error : new Error(messageOf(error)), ms: ms() };
  }
}

/** A store in a folder of another, which remembers what it was asked to write. */
function scoped(store: Store, folder: string): { store: Store; clear: () => Promise<string[]> } {
  const written = new Set<string>();
  const inside = (key: string): string => `${folder}/${key}`;
  const outside = (item: StoreItem): StoreItem => ({ ...item, key: item.key.slice(folder.length + 1) });
  const { lock } = store;
  return {
    store: {
      url: store.url,
      put: async (key, body, options) => {
        // A key that is refused is no key to remove. The store itself refuses it, too.
        if (isKey(inside(key))) written.add(inside(key));
        await store.put(inside(key), body, options);
      },
      get: (key, range) => store.get(inside(key), range),
      head: async (key) => {
        const item = await store.head(inside(key));
        return item && outside(item);
      },
      list: async function* (prefix = ""): AsyncGenerator<StoreItem> {
        for await (const item of store.list(inside(prefix))) yield outside(item);
      },
      delete: (key) => store.delete(inside(key)),
      space: store.space,
      ...(lock ? { lock: (key: string, text: string) => lock(inside(key), text) } : {}),
    },
    clear: async () => {
      const left: string[] = [];
      // In the end one more, so that a folder without objects goes with it.
      const end = inside("end");
      await store.put(end, new Uint8Array(1)).catch(() => {});
      for (const batch of batches([...written, end], 16)) {
        await Promise.all(batch.map(async (key) => {
          await store.delete(key).catch((error) => left.push(`${key}: ${messageOf(error)}`));
        }));
      }
      return left;
    },
  };
}

function isKey(key: string): boolean {
  try {
    return checkKey(key) === key;
  } catch {
    return false;
  }
}

function* batches<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}

/** Whether a store is a bucket. */
export function isS3(store: Store): store is S3Store {
  return "survey" in store && "policy" in store;
}

async function purge(store: Store, prefix: string): Promise<string[]> {
  if (!isS3(store)) return [];
  try {
    return [...await store.purge(prefix)];
  } catch (error) {
    return [`Versions below "${prefix}": ${messageOf(error)}`];
  }
}
