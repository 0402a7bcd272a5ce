/**
 * The writing half of the S3 store: one request for what fits into a part, else an upload in parts that is completed or aborted.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { StoreError } from "../../errors.ts";
import type { Bytes, PutOptions, U8 } from "../../stage.ts";
import { checkKey } from "../key.ts";
import { type Source, sourceOf } from "../source.ts";
import { type Bucket, pause } from "./client.ts";
import { noServer } from "./explain.ts";
import { encryptionOf, traitsOf } from "./headers.ts";
import { uploadParts } from "./multipart.ts";
import { type Cutter, cutter, type Part } from "./parts.ts";
import type { Limiter } from "./rate.ts";
import { bodyOf, signed } from "./send.ts";
import { condition, isRefusal, isTaken, isThere, settle, unclear, type Writing } from "./settle.ts";

/** Writes an object: whole when it resolves, not there when it rejects. */
export async function write(
  bucket: Bucket,
  key: string,
  body: Bytes | U8,
  options: PutOptions & { readonly type?: string | undefined },
  rate: Limiter,
): Promise<void> {
  checkKey(key);
  const source = sourceOf(body, options.signal);
  const writing: Writing = {
    bucket,
    key,
    action: { text: `Cannot write "${key}"`, permission: permissionOf(bucket) },
    mark: randomBytes(16).toString("hex"),
    type: options.type,
    ifAbsent: options.ifAbsent ?? false,
    signal: options.signal ?? new AbortController().signal,
    rate,
  };
  try {
    writing.signal.throwIfAborted();
    await writeFrom(writing, source);
  } catch (error) {
    await source.cancel(error);
    throw error;
  } finally {
    source.release();
  }
}

function permissionOf({ settings }: Bucket): string {
  const { tags, lock, legalHold } = settings;
  return [
    "s3:PutObject",
    ...(Object.keys(tags ?? {}).length > 0 ? ["s3:PutObjectTagging"] : []),
    ...(lock ? ["s3:PutObjectRetention"] : []),
    ...(legalHold ? ["s3:PutObjectLegalHold"] : []),
  ].join(", ");
}

async function writeFrom(writing: Writing, source: Source): Promise<void> {
  const parts: Cutter = cutter(source, writing.bucket.settings.partBytes);
  const first = (await parts.next())!;
  if (!parts.ended() || !(first.content instanceof Uint8Array)) {
    return await uploadParts(writing, first, parts);
  }
  try {
    await putWhole(writing, first);
  } finally {
    await first.release();
  }
}

/** Tries until the key's state is clear: what stood in the way may go while it is looked at. */
async function putWhole(writing: Writing, part: Part): Promise<void> {
  const { bucket, key, action, ifAbsent, signal, rate } = writing;
  const { settings, keyOf, call } = bucket;
  const { create } = await encryptionOf(settings);
  for (let attempt = 1;; attempt++) {
    if (await isTaken(writing) && await settle(writing, [part]) === "done") return;
    const sent = call(action, async (client, sdk, abortSignal) => {
      await rate(part.bytes, abortSignal);
      const command = new sdk.PutObjectCommand({
        Bucket: settings.bucket,
        Key: keyOf(key),
        Body: bodyOf(part),
        ...traitsOf(settings, writing),
        ...create,
        ...condition(writing),
        ChecksumSHA256: part.sha256.toBase64(),
      });
      try {
        const { ETag } = await client.send(signed(command, part.sha256), { abortSignal });
        if (!ETag) throw new StoreError(noServer(action.text, bucket.place));
        return "done";
      } catch (error) {
        if (ifAbsent && isRefusal(error)) return "taken";
        throw error;
      }
    }, signal);
    // A server that refuses may hang up before the body has gone out: the refusal is then a broken connection.
    const outcome = await sent.catch(async (error) => {
      if (error instanceof StoreError && error.retryable && await isThere(writing)) return "taken";
      throw error;
    });
    if (outcome === "done" || await settle(writing, [part]) === "done") return;
    if (attempt >= 8) throw unclear(writing);
    await pause(attempt, undefined, signal);
  }
}
