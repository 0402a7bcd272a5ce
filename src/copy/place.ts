/**
 * The objects of a copy.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { readAll, watch } from "../bytes.ts";
import { INTENT, RECEIPT } from "../catalog.ts";
import { ExistsError, NotFoundError, StoreError } from "../errors.ts";
import type { BackupReceipt, ReceiptObject } from "../receipt.ts";
import type { Body, Bytes, Context, Store, U8 } from "../stage.ts";
import type { Errand } from "./errand.ts";

/** The longest checksum or signature that is copied, in bytes. */
export const SIDECAR_LIMIT: number = 1 << 20;

/** Creates an object, and notes that it is this copy's to remove; what stood there before is not. */
export async function create(
  store: Store,
  key: string,
  body: Bytes | U8,
  written: string[],
  signal?: AbortSignal,
): Promise<void> {
  written.push(key);
  try {
    await store.put(key, body, { ifAbsent: true, signal });
  } catch (error) {
    if (error instanceof ExistsError) written.pop();
    throw error;
  }
}

/** Copies an object; the stages that read it end in an error unless it is what the receipt says. */
export async function place(
  { id, target: { store, backups }, context }: Errand,
  { suffix, bytes, sha256 }: ReceiptObject,
  body: Body,
  written: string[],
): Promise<void> {
  const key = id + suffix;
  const there = backups.get(id)?.parts.get(suffix);
  if (there) {
    if (there.bytes === bytes && await digestOf(store, key, context) === sha256) return;
    await store.delete(key);
  }
  let size = 0;
  const seen = watch(body.read(), (chunk) => {
    size += chunk.length;
    if (suffix === "") context.progress({ phase: "upload", bytes: size, totalBytes: bytes });
  });
  await create(store, key, seen, written, context.signal);
  const found = (await store.head(key))?.bytes;
  if (found !== bytes) {
    throw new StoreError(`Cannot copy "${key}" to ${store.url}: it holds ${found ?? 0} of ${bytes} bytes`);
  }
}

async function digestOf(store: Store, key: string, { signal }: Context): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of await store.get(key)) {
    signal.throwIfAborted();
    hash.update(chunk);
  }
  return hash.digest("hex");
}

/** Checksums and signatures of the archive as they are, and RESTORE.txt where there is none. */
export async function copyBeside(
  { id, shelf, source, target, context }: Errand,
  { objects }: BackupReceipt,
  written: string[],
): Promise<void> {
  for (const suffix of source.backups.get(id)!.parts.keys()) {
    if (suffix.startsWith(RECEIPT) || suffix === INTENT || objects.some((o) => o.suffix === suffix)) continue;
    context.signal.throwIfAborted();
    const bytes = await readAll(await source.store.get(id + suffix), SIDECAR_LIMIT, `"${id}${suffix}"`);
    if (target.backups.get(id)?.parts.has(suffix)) await target.store.delete(id + suffix);
    await create(target.store, id + suffix, bytes, written);
  }
  const key = `${shelf.name}.RESTORE.txt`;
  if (await target.store.head(key)) return;
  try {
    await target.store.put(key, await readAll(await source.store.get(key), SIDECAR_LIMIT, key));
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
  }
}
