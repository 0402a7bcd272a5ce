/**
 * Looks objects up: found, proven absent, or an error.
 *
 * @module
 */
import type { HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import { StoreError } from "../../errors.ts";
import type { StoreItem } from "../../stage.ts";
import { checkKey } from "../key.ts";
import type { Bucket } from "./client.ts";
import { type Action, failureOf } from "./explain.ts";
import { encryptionOf } from "./headers.ts";

/** An object on the server. */
export interface Found extends StoreItem {
  /** The version's tag. */
  readonly etag: string | undefined;
  /** The mark that a write of ours left. */
  readonly mark: string | undefined;
  /** Why it cannot be deleted for good: "until 2027-01-01...", "legal hold". */
  readonly retained: string | undefined;
}

/** Looks an object up; undefined only when the server says that this key is absent. */
export async function look(bucket: Bucket, key: string, verb = "look up"): Promise<Found | undefined> {
  const { settings, keyOf, call } = bucket;
  const action: Action = { text: `Cannot ${verb} "${key}"`, permission: "s3:GetObject" };
  const target = {
    Bucket: settings.bucket,
    Key: keyOf(checkKey(key)),
    ...(await encryptionOf(settings)).customer,
  };
  for (let attempt = 1;; attempt++) {
    try {
      return await call(action, async (client, sdk, abortSignal) => {
        try {
          return found(key, await client.send(new sdk.HeadObjectCommand(target), { abortSignal }));
        } catch (error) {
          if (failureOf(error).status === 404) return undefined;
          throw error;
        }
      }) ?? await proveAbsent(bucket, action, target);
    } catch (error) {
      // Written between the two questions: ask again.
      if (!(error instanceof AppearedError) || attempt >= 5) throw error;
    }
  }
}

class AppearedError extends StoreError {}

/** The answer to HEAD has no text: a missing bucket looks like a missing object. The answer to GET says which. */
async function proveAbsent(
  { call, settings }: Bucket,
  action: Action,
  target: { readonly Bucket: string; readonly Key: string },
): Promise<undefined> {
  await call(action, async (client, sdk, abortSignal) => {
    try {
      await client.send(new sdk.GetObjectCommand({ ...target, Range: "bytes=0-0" }), { abortSignal })
        .then((answer) => cancel(answer.Body));
    } catch (error) {
      if (failureOf(error).code === "NoSuchKey") return;
      if (failureOf(error).status !== 416) throw error; // an empty object has no byte 0
    }
    throw new AppearedError(`${action.text} in ${settings.bucket}: it comes and goes`, { retryable: true });
  });
}

function found(
  key: string,
  answer: HeadObjectCommandOutput,
): Found {
  const until = answer.ObjectLockRetainUntilDate;
  const locked = until && until.getTime() > Date.now();
  return {
    key,
    bytes: answer.ContentLength ?? 0,
    modified: answer.LastModified ?? new Date(0),
    etag: answer.ETag,
    mark: answer.Metadata?.["holdfast-put"],
    retained: answer.ObjectLockLegalHoldStatus === "ON"
      ? "under legal hold"
      : locked
      ? `locked (${answer.ObjectLockMode?.toLowerCase()}) until ${until.toISOString()}`
      : undefined,
  };
}

async function cancel(body: unknown): Promise<void> {
  if (body instanceof ReadableStream) await body.cancel();
}
