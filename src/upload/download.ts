/**
 * The way back: reads a stored backup, and proves while reading that it is what its receipt says.
 *
 * @module
 */
import { label, readAll, toBytes } from "../bytes.ts";
import { INDEX } from "../catalog.ts";
import { hashed } from "../digest.ts";
import { IndexError, IntegrityError, messageOf, NotFoundError } from "../errors.ts";
import { requireOnRestore } from "../policy.ts";
import { type BackupReceipt, decodeReceipt } from "../receipt.ts";
import type { Body, Bytes, Context, Copy, FactSheet, Sealed, Store, Stored, U8 } from "../stage.ts";

const SIDECAR_LIMIT = 1 << 20;

/** Opens the first copy whose objects are all there with the right sizes. */
export async function download(stored: Stored, context: Context): Promise<Sealed> {
  const errors: unknown[] = [];
  for (const copy of stored.copies) {
    try {
      return await openCopy(stored, copy, context);
    } catch (error) {
      errors.push(error);
      if (stored.copies.length > 1) {
        context.log.warn("copy", `Cannot use the copy in ${copy.store.url}: ${messageOf(error)}`);
      }
    }
  }
  throw errors.at(-1) ?? new NotFoundError(`Cannot read "${stored.id}": no store has it`);
}

async function openCopy(stored: Stored, copy: Copy, context: Context): Promise<Sealed> {
  const { id } = stored;
  const receipt = decodeReceipt(copy.receipt, id);
  if (receipt.event !== "backup" || receipt.id !== id || receipt.name !== stored.shelf.name) {
    throw new IntegrityError(
      `Cannot trust "${id}" in ${copy.store.url}: its receipt was made for "${receipt.id}"`,
    );
  }
  const sidecar = (suffix: string): Promise<U8 | undefined> => readSidecar(copy.store, id + suffix);
  await requireOnRestore(stored.shelf, receipt, copy.receipt, sidecar);
  const suffix = stored.shelf.naming.parse(id)?.suffix ?? "";
  const body = await verifiedBody(copy.store, receipt, "", context);
  const hasIndex = receipt.objects.some((object) => object.suffix === INDEX);
  const index = hasIndex && !context.want.whole
    ? await verifiedBody(copy.store, receipt, INDEX, context)
    : undefined;
  return {
    kind: "sealed",
    suffix,
    body,
    index,
    facts: () => factsOf(receipt),
    signers: [],
    proof: { id, receipt: copy.receipt, sidecar },
  };
}

/** A body that ends in an error unless its length and digest are the receipt's. */
async function verifiedBody(
  store: Store,
  receipt: BackupReceipt,
  suffix: string,
  context: Context,
): Promise<Body> {
  const key = receipt.id + suffix;
  const expected = receipt.objects.find((object) => object.suffix === suffix);
  if (!expected) throw new IntegrityError(`Cannot read "${key}": its receipt does not list it`);
  const item = await store.head(key);
  const Kind = suffix === INDEX ? IndexError : IntegrityError;
  if (!item) {
    throw new Kind(`Cannot read "${key}": its receipt is in ${store.url}, the object is gone`);
  }
  if (item.bytes !== expected.bytes) {
    throw new Kind(
      `Cannot trust "${key}" in ${store.url}: it has ${item.bytes} bytes, its receipt says ${expected.bytes}`,
    );
  }
  return {
    read: () => label("upload", verified(store, key, expected, context)),
    open: () =>
      Promise.resolve({
        size: expected.bytes,
        at: async (start, end) => {
          const part = await readAll(await store.get(key, { start, end }), end - start, key);
          if (part.length !== end - start) throw new IntegrityError(`Cannot read "${key}": it is cut`);
          return part;
        },
      }),
  };
}

function verified(
  store: Store,
  key: string,
  expected: { readonly bytes: number; readonly sha256: string },
  context: Context,
): Bytes {
  const check = (sha256: string, size: number): void => {
    if (size === expected.bytes && sha256 === expected.sha256) return;
    throw new IntegrityError(
      `Cannot trust "${key}" in ${store.url}: its SHA-256 is not the one in its receipt. It has been damaged or ` +
        `changed; restore another backup, and find out why`,
    );
  };
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for await (const chunk of hashed(await store.get(key), expected.bytes, check)) {
      context.signal.throwIfAborted();
      yield chunk;
    }
  });
}

/** A sidecar; undefined when it is proven absent. */
export async function readSidecar(store: Store, key: string): Promise<U8 | undefined> {
  let bytes: Bytes;
  try {
    bytes = await store.get(key);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
  return await readAll(bytes, SIDECAR_LIMIT, key);
}

function factsOf(receipt: BackupReceipt): FactSheet {
  return {
    sources: receipt.sources,
    stages: receipt.stages as FactSheet["stages"],
    contents: receipt.contents,
    recipients: receipt.recipients,
  };
}
