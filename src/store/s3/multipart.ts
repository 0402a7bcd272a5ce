/**
 * An upload in parts: several under way, each tried again by itself, completed at the end or aborted.
 *
 * @module
 */
import type * as Sdk from "@aws-sdk/client-s3";
import { StoreError } from "../../errors.ts";
import type { Bucket } from "./client.ts";
import { abort } from "./abort.ts";
import { failureOf } from "./explain.ts";
import { encryptionOf, traitsOf } from "./headers.ts";
import { type Cutter, MOST_PARTS, type Part } from "./parts.ts";
import { bodyOf, partClient, signed } from "./send.ts";
import { condition, isRefusal, isTaken, settle, unclear, type Writing } from "./settle.ts";

/** Bytes of parts in memory that may be under way at once; one more is being filled. */
const IN_FLIGHT = 32 * 1024 * 1024;

/** Large parts lie in files; so many may be under way. */
const FILES_IN_FLIGHT = 2;

interface Done {
  readonly number: number;
  readonly bytes: number;
  readonly sha256: Uint8Array;
  readonly crc32: string;
  readonly etag: string;
}

/** Uploads `first` and all that follow. */
export async function uploadParts(writing: Writing, first: Part, parts: Cutter): Promise<void> {
  let id: string;
  try {
    id = await begin(writing);
  } catch (error) {
    await first.release();
    throw error;
  }
  try {
    const done = await sendAll(writing, id, first, parts);
    writing.signal.throwIfAborted();
    await complete(writing, id, done);
  } catch (error) {
    await abort(writing.bucket, writing.key, id);
    throw error;
  }
}

async function begin(writing: Writing): Promise<string> {
  const { bucket, key, action, signal } = writing;
  const { settings, keyOf, call } = bucket;
  const { create } = await encryptionOf(settings);
  return await call(action, async (client, sdk, abortSignal) => {
    const { UploadId } = await client.send(
      new sdk.CreateMultipartUploadCommand({
        Bucket: settings.bucket,
        Key: keyOf(key),
        ...traitsOf(settings, writing) as Partial<Sdk.CreateMultipartUploadCommandInput>,
        ...create as Partial<Sdk.CreateMultipartUploadCommandInput>,
        ChecksumAlgorithm: "CRC32",
      }),
      { abortSignal },
    );
    if (!UploadId) throw new StoreError(`${action.text}: the server began no upload`);
    return UploadId;
  }, signal);
}

/** Sends parts while the next is filled. The first failure ends the others. */
async function sendAll(writing: Writing, id: string, first: Part, parts: Cutter): Promise<Done[]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, writing.signal]);
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const done: Done[] = [];
  const flying = new Map<Promise<void>, Part>();
  const start = (part: Part): void => {
    const flight: Promise<void> = sendPart(writing, id, part, signal)
      .then((etag) => {
        const { number, bytes, sha256, crc32 } = part;
        done.push({ number, bytes, sha256, crc32, etag });
      })
      .catch((error) => {
        failed.reject(error);
        stop.abort(error);
      })
      .finally(() => part.release().finally(() => flying.delete(flight)));
    flying.set(flight, part);
  };
  let filling: Promise<Part | undefined> | undefined = Promise.resolve(first);
  try {
    for (;;) {
      const part: Part | undefined = await Promise.race([filling, failed.promise]);
      filling = undefined;
      if (!part) break;
      if (part.number > MOST_PARTS) {
        throw new StoreError(`${writing.action.text}: it is larger than S3 can hold`);
      }
      start(part);
      while (isFull(writing.bucket, [...flying.values()])) await Promise.race([...flying.keys()]);
      if (signal.aborted) await Promise.race([failed.promise, Promise.reject(signal.reason)]);
      filling = parts.next();
      filling.catch(() => {});
    }
    await Promise.all(flying.keys());
    await Promise.race([failed.promise, Promise.resolve()]);
    return done.sort((a, b) => a.number - b.number);
  } catch (error) {
    stop.abort(error);
    await Promise.all(flying.keys());
    // A part that is being filled gives its memory or file back when the source lets go.
    void filling?.then((part) => part?.release(), () => {});
    throw error;
  }
}

function isFull({ settings }: Bucket, flying: readonly Part[]): boolean {
  const files = flying.filter((part) => !(part.content instanceof Uint8Array)).length;
  const memory = flying.filter((part) => part.content instanceof Uint8Array)
    .reduce((sum, part) => sum + part.bytes, 0);
  return flying.length >= settings.parallel || files >= FILES_IN_FLIGHT || memory >= IN_FLIGHT;
}

const partClients = new WeakMap<Bucket, Sdk.S3Client>();

async function sendPart(writing: Writing, id: string, part: Part, signal: AbortSignal): Promise<string> {
  const { bucket, key, action, rate } = writing;
  const { settings, keyOf, call } = bucket;
  const { customer } = await encryptionOf(settings);
  return await call(action, async (_, sdk, abortSignal) => {
    await rate(part.bytes, abortSignal);
    const command = new sdk.UploadPartCommand({
      Bucket: settings.bucket,
      Key: keyOf(key),
      UploadId: id,
      PartNumber: part.number,
      Body: bodyOf(part),
      ContentLength: part.bytes,
      ChecksumCRC32: part.crc32,
      ...customer,
    });
    const client = partClients.get(bucket) ?? partClient(settings, sdk);
    partClients.set(bucket, client);
    const { ETag } = await client.send(signed(command, part.sha256), { abortSignal });
    if (!ETag) throw new StoreError(`${action.text}: the server gave no tag for part ${part.number}`);
    return ETag;
  }, signal);
}

async function complete(writing: Writing, id: string, done: readonly Done[]): Promise<void> {
  const { bucket, key, action, ifAbsent, signal } = writing;
  const { settings, keyOf, call } = bucket;
  if (await isTaken(writing)) {
    await settle(writing, done);
    await abort(bucket, key, id);
    return;
  }
  const { customer } = await encryptionOf(settings);
  const outcome = await call(action, async (client, sdk, abortSignal) => {
    const Parts = done.map(({ number, etag, crc32 }) => ({
      PartNumber: number,
      ETag: etag,
      ChecksumCRC32: crc32,
    }));
    try {
      await client.send(
        new sdk.CompleteMultipartUploadCommand({
          Bucket: settings.bucket,
          Key: keyOf(key),
          UploadId: id,
          MultipartUpload: { Parts },
          ...customer,
          ...condition(writing),
        }),
        { abortSignal },
      );
      return "done";
    } catch (error) {
      if (ifAbsent && isRefusal(error)) return "taken";
      // An earlier attempt may have completed it, and its answer got lost.
      if (failureOf(error).code === "NoSuchUpload") return "gone";
      throw error;
    }
  }, signal);
  if (outcome === "done") return;
  if (await settle(writing, done) === "free") throw unclear(writing);
  if (outcome === "taken") await abort(bucket, key, id);
}
