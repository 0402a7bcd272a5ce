/**
 * What a bucket's store does, once it is used.
 *
 * @module
 */
import { checkKey } from "../key.ts";
import type { S3Store } from "../s3.ts";
import { type Bucket, bucketOf } from "./client.ts";
import { type Action, failureOf } from "./explain.ts";
import { list } from "./list.ts";
import { look } from "./look.ts";
import type { Settings } from "./options.ts";
import { purge } from "./purge.ts";
import { limiter } from "./rate.ts";
import { read } from "./read.ts";
import { survey, sweepUploads, unfinished } from "./survey.ts";
import { write } from "./write.ts";

/** Everything but its words. */
export function openBucket(
  settings: Settings,
  url: string,
): Omit<S3Store, "url" | "policy" | "lifecycle" | "locks" | "unlocked"> {
  const bucket = bucketOf(settings, url);
  const up = limiter(settings.uploadBytesPerSecond);
  const down = limiter(settings.downloadBytesPerSecond);
  let swept: Promise<void> | undefined;
  return {
    put: async (key, body, putOptions = {}) => {
      checkKey(key);
      if (!putOptions.signal?.aborted) await (swept ??= sweepUploads(bucket));
      await write(bucket, key, body, putOptions, up);
    },
    get: (key, range) => read(bucket, key, range, down),
    head: async (key) => {
      const item = await look(bucket, key);
      return item && { key, bytes: item.bytes, modified: item.modified };
    },
    list: (prefix = "") => list(bucket, prefix),
    delete: (key) => remove(bucket, key),
    retained: async (key) => (await look(bucket, key))?.retained,
    unfinished: () => unfinished(bucket),
    survey: () => survey(bucket),
    purge: (folder) => purge(bucket, folder),
  };
}

async function remove({ settings, keyOf, call }: Bucket, key: string): Promise<void> {
  const action: Action = { text: `Cannot delete "${key}"`, permission: "s3:DeleteObject" };
  const target = { Bucket: settings.bucket, Key: keyOf(checkKey(key)) };
  await call(action, async (client, sdk, abortSignal) => {
    try {
      await client.send(new sdk.DeleteObjectCommand(target), { abortSignal });
    } catch (error) {
      if (failureOf(error).code !== "NoSuchKey") throw error; // of nothing: fine, though most servers do not say
    }
  });
}
