/** Plans over small trees, and stores that watch or fail. */
import { mkdirSync, writeFileSync } from "node:fs";
import { archive, collect, compress, encrypt, pipeline, sign, upload } from "../../mod.ts";
import { StoreError } from "../../src/errors.ts";
import type { Plan } from "../../src/find.ts";
import type { Store, StoreItem, UploadOptions } from "../../mod.ts";
import { noise, scratch } from "../support.ts";

export { bytesOf, keysOf } from "../../src/store/contract/help.ts";

/** An identity and its recipient, for tests alone. */
export const { identity, recipient } = await encrypt.generateIdentity();

/** A small tree: text, bytes around interesting sizes, an empty file, a link. */
export function makeTree(root: string): void {
  mkdirSync(`${root}/docs/deep`, { recursive: true });
  writeFileSync(`${root}/docs/readme.md`, "hello\n".repeat(100));
  writeFileSync(`${root}/docs/deep/noise.bin`, noise(65_537));
  writeFileSync(`${root}/empty`, "");
  Deno.symlinkSync("docs/readme.md", `${root}/link`);
}

/** The usual chain over `source`. */
export function planOf(
  source: string,
  to: UploadOptions["to"],
  options: { name?: string; graceMs?: number; identities?: () => string; lease?: UploadOptions["lease"] } =
    {},
): Plan {
  return pipeline(collect.files(source))
    .pipe(archive.tar())
    .pipe(compress.zstd())
    .pipe(encrypt.age({ recipients: [recipient], identities: options.identities ?? (() => identity) }))
    .pipe(sign.sha256())
    .pipe(upload({ name: options.name ?? "app", to, graceMs: options.graceMs, lease: options.lease }));
}

/** A scratch folder with a tree under `src`. */
export function treeScratch(): ReturnType<typeof scratch> {
  const dir = scratch();
  makeTree(dir.join("src"));
  return dir;
}

/** A store that notes every change, and fails the `failAt`th call (from 1) of put, get, head, list or delete. */
export function watched(
  store: Store,
  options: { failAt?: number; only?: string; except?: string } = {},
): Store & { log: string[] } {
  const log: string[] = [];
  let calls = 0;
  function call(verb: string, key: string): void {
    log.push(`${verb} ${key}`);
    if (options.only !== undefined && options.only !== verb) return;
    if (options.except !== undefined && key.endsWith(options.except)) return;
    calls++;
    if (calls === options.failAt) throw new StoreError(`Injected: ${verb} ${key}`);
  }
  return {
    url: store.url,
    space: store.space,
    log,
    put: async (key, body, put) => {
      try {
        call("put", key);
      } catch (error) {
        if (body instanceof ReadableStream) await body.cancel();
        throw error;
      }
      await store.put(key, body, put);
    },
    get: async (key, range) => {
      await Promise.resolve(call("get", key));
      return await store.get(key, range);
    },
    head: async (key) => {
      await Promise.resolve(call("head", key));
      return await store.head(key);
    },
    list: async function* (prefix): AsyncGenerator<StoreItem> {
      call("list", prefix ?? "");
      yield* store.list(prefix);
    },
    delete: async (key) => {
      await Promise.resolve(call("delete", key));
      await store.delete(key);
    },
  };
}
