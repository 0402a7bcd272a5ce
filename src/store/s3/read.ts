/**
 * The reading half of the S3 store: a broken connection goes on where it broke, with the same version of the object.
 *
 * @module
 */
import { NotFoundError, StoreError } from "../../errors.ts";
import type { ByteRange, Bytes, U8 } from "../../stage.ts";
import { checkKey, checkRange, resolveRange } from "../key.ts";
import { type Bucket, pause } from "./client.ts";
import { type Action, explain, failureOf, isPassing } from "./explain.ts";
import { StallError, within } from "./handler.ts";
import { encryptionOf } from "./headers.ts";
import { look } from "./look.ts";
import type { Limiter } from "./rate.ts";

const CHUNK_BYTES = 512 * 1024;

/** Opens an object or a part of it. */
export async function read(
  bucket: Bucket,
  key: string,
  range: ByteRange | undefined,
  rate: Limiter,
): Promise<Bytes> {
  checkKey(key);
  if (range) checkRange(range);
  const action: Action = { text: `Cannot read "${key}"`, permission: "s3:GetObject" };
  if (range && range.start === range.end) {
    const item = await look(bucket, key, "read");
    if (!item) throw absent(action, bucket);
    resolveRange(key, item.bytes, range);
    return new ReadableStream<U8>({ pull: (controller) => controller.close() }, { highWaterMark: 0 });
  }
  return streamOf(bucket, action, rate, await open(bucket, key, action, range, undefined));
}

/** Opens a whole object, and says how long it is and what it is served as. */
export async function readWhole(
  bucket: Bucket,
  key: string,
  rate: Limiter,
): Promise<{ readonly bytes: number; readonly type: string | undefined; readonly body: Bytes }> {
  const action: Action = { text: `Cannot read "${checkKey(key)}"`, permission: "s3:GetObject" };
  const found = await open(bucket, key, action, undefined, undefined);
  return { bytes: found.end, type: found.type, body: streamOf(bucket, action, rate, found) };
}

function absent(action: Action, { place }: Bucket): NotFoundError {
  return new NotFoundError(`${action.text}: it is not in ${place.url}`);
}

/** A download under way. */
interface Download {
  readonly key: string;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly start: number;
  readonly end: number;
  readonly etag: string | undefined;
  readonly type: string | undefined;
}

async function open(
  bucket: Bucket,
  key: string,
  action: Action,
  range: ByteRange | undefined,
  etag: string | undefined,
): Promise<Download> {
  const { settings, keyOf, call } = bucket;
  const { customer } = await encryptionOf(settings);
  return await call(action, async (client, sdk, abortSignal) => {
    try {
      const answer = await client.send(
        new sdk.GetObjectCommand({
          Bucket: settings.bucket,
          Key: keyOf(key),
          ...customer,
          ...(range ? { Range: `bytes=${range.start}-${range.end - 1}` } : {}),
          ...(etag === undefined ? {} : { IfMatch: etag }),
        }),
        { abortSignal },
      );
      const size = Number(/\/(\d+)$/.exec(answer.ContentRange ?? "")?.[1] ?? answer.ContentLength ?? 0);
      const body = bodyOf(answer.Body);
      try {
        const part = resolveRange(key, size, range);
        if (range && answer.ContentRange === undefined && (part.start > 0 || part.end < size)) {
          throw new StoreError(`${action.text} in ${bucket.place.url}: the server ignores ranges`);
        }
        return { key, body, ...part, etag: answer.ETag, type: answer.ContentType };
      } catch (error) {
        await body.cancel();
        throw error;
      }
    } catch (error) {
      const { code, status } = failureOf(error);
      if (code === "NoSuchKey") throw absent(action, bucket);
      if (status === 416 && range) await refuse(bucket, key, action, range);
      if (status === 412) {
        throw new StoreError(`${action.text} in ${bucket.place.url}: it was replaced while it was read`);
      }
      throw error;
    }
  });
}

async function refuse(bucket: Bucket, key: string, action: Action, range: ByteRange): Promise<never> {
  const item = await look(bucket, key, "read");
  if (!item) throw absent(action, bucket);
  resolveRange(key, item.bytes, range);
  throw new StoreError(
    `${action.text} in ${bucket.place.url}: the server refuses bytes ${range.start} to ${range.end}`,
  );
}

function bodyOf(body: unknown): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (body instanceof ReadableStream) return body;
  return new ReadableStream({ start: (controller) => controller.close() });
}

/** The bytes in chunks of up to 512 KiB; reconnects with `If-Match`, so that two versions are never mixed. */
function streamOf(bucket: Bucket, action: Action, rate: Limiter, first: Download): Bytes {
  const { settings, place } = bucket;
  const stop = new AbortController();
  let reader = first.body.getReader();
  let at = first.start;
  let attempt = 0;
  let rest: U8 | undefined;

  async function more(): Promise<U8> {
    for (;;) {
      try {
        const { done, value } = await within(reader.read(), settings.stallMs);
        stop.signal.throwIfAborted();
        if (done) throw new StallError(0);
        if (value.length === 0) continue;
        attempt = 0;
        return value;
      } catch (error) {
        void reader.cancel().catch(() => {});
        stop.signal.throwIfAborted();
        if (++attempt > settings.retries || !(isPassing(error) || isCut(error))) {
          throw explain(error, action, place);
        }
        await pause(attempt, error, stop.signal);
        reader = (await open(bucket, first.key, action, { start: at, end: first.end }, first.etag)).body
          .getReader();
      }
    }
  }

  async function fill(): Promise<U8> {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, first.end - at));
    for (let filled = 0; filled < chunk.length;) {
      const value = rest ?? await more();
      const take = Math.min(value.length, chunk.length - filled);
      chunk.set(value.subarray(0, take), filled);
      rest = take < value.length ? value.subarray(take) : undefined;
      filled += take;
      at += take;
    }
    return chunk;
  }

  return new ReadableStream<U8>({
    async pull(controller): Promise<void> {
      if (at < first.end) {
        const chunk = await fill().catch((error) => {
          if (stop.signal.aborted) return undefined;
          throw error;
        });
        if (!chunk) return;
        await rate(chunk.length, stop.signal).catch(() => {});
        if (!stop.signal.aborted) controller.enqueue(chunk);
      }
      if (at < first.end || stop.signal.aborted) return;
      await reader.read().catch(() => {}); // to the end, so that the connection can serve again
      await reader.cancel().catch(() => {});
      controller.close();
    },
    async cancel(): Promise<void> {
      stop.abort();
      await reader.cancel().catch(() => {});
    },
  }, { highWaterMark: 0 });
}

/** An error of the transport while a body is read has no status and many texts. */
function isCut(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof Error && error.name === "Http");
}
