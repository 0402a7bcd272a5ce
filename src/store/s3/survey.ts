/**
 * What a bucket is set to, and what lies there that a listing does not show.
 *
 * @module
 */
import { StoreError } from "../../errors.ts";
import { parseName } from "../../name.ts";
import type { Bucket } from "./client.ts";
import { type Action, failureOf } from "./explain.ts";
import { decode } from "./list.ts";
import { abort } from "./abort.ts";
import { look } from "./look.ts";

/** An upload that was begun and neither completed nor aborted; its parts cost money. */
export interface S3Upload {
  /** The key it is for. */
  readonly key: string;
  /** The server's id. */
  readonly id: string;
  /** When it began, by the server's clock. */
  readonly begun: Date;
}

/** A bucket's settings, and the store's hidden remains. What the keys may not ask is "unknown". */
export interface S3Survey {
  /** Whether replaced and deleted objects stay as noncurrent versions. */
  readonly versioning: "on" | "suspended" | "off" | "unknown";
  /** Whether the bucket can lock objects, and its default retention. */
  readonly objectLock: "on" | "off" | "unknown" | { readonly mode: string; readonly days: number };
  /** Whether a lifecycle rule ends noncurrent versions or unfinished uploads here. */
  readonly lifecycle: "on" | "off" | "unknown";
  /** Noncurrent versions below the prefix. */
  readonly noncurrent: { readonly objects: number; readonly bytes: number } | "unknown";
  /** Delete markers below the prefix. */
  readonly deleteMarkers: number | "unknown";
  /** Unfinished uploads below the prefix. */
  readonly uploads: readonly S3Upload[] | "unknown";
}

/** Asks everything; a refusal (403) or a server that does not know the question gives "unknown". */
export async function survey(bucket: Bucket): Promise<S3Survey> {
  const versions = await known(versionsOf(bucket));
  return {
    versioning: await known(versioningOf(bucket)),
    objectLock: await known(lockOf(bucket)),
    lifecycle: await known(lifecycleOf(bucket)),
    noncurrent: versions === "unknown" ? versions : { objects: versions.objects, bytes: versions.bytes },
    deleteMarkers: versions === "unknown" ? versions : versions.markers,
    uploads: await known(uploadsOf(bucket)),
  };
}

/** Uploads under way or dead; undefined where these keys may not ask. */
export async function unfinished(bucket: Bucket): Promise<readonly S3Upload[] | undefined> {
  const uploads = await known(uploadsOf(bucket));
  return uploads === "unknown" ? undefined : uploads;
}

async function known<T>(work: Promise<T>): Promise<T | "unknown"> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const { status, code } = failureOf(error.cause);
    if (status === 403 || status === 405 || status === 501 || code === "NotImplemented") return "unknown";
    throw error;
  }
}

async function versioningOf({ call, settings }: Bucket): Promise<"on" | "suspended" | "off"> {
  const action: Action = { text: "Cannot ask for versioning", permission: "s3:GetBucketVersioning" };
  const { Status } = await call(
    action,
    (client, sdk, abortSignal) =>
      client.send(new sdk.GetBucketVersioningCommand({ Bucket: settings.bucket }), { abortSignal }),
  );
  return Status === "Enabled" ? "on" : Status === "Suspended" ? "suspended" : "off";
}

async function lockOf({ call, settings }: Bucket): Promise<S3Survey["objectLock"]> {
  const action: Action = {
    text: "Cannot ask for Object Lock",
    permission: "s3:GetBucketObjectLockConfiguration",
  };
  return await call(action, async (client, sdk, abortSignal) => {
    try {
      const { ObjectLockConfiguration: lock } = await client.send(
        new sdk.GetObjectLockConfigurationCommand({ Bucket: settings.bucket }),
        { abortSignal },
      );
      const rule = lock?.Rule?.DefaultRetention;
      if (!rule?.Mode) return lock?.ObjectLockEnabled === "Enabled" ? "on" : "off";
      return { mode: rule.Mode.toLowerCase(), days: rule.Days ?? 365 * (rule.Years ?? 0) };
    } catch (error) {
      if (/ObjectLockConfigurationNotFound/.test(failureOf(error).code)) return "off";
      throw error;
    }
  });
}

async function lifecycleOf({ call, settings }: Bucket): Promise<"on" | "off"> {
  const action: Action = { text: "Cannot ask for the lifecycle", permission: "s3:GetLifecycleConfiguration" };
  return await call(action, async (client, sdk, abortSignal) => {
    try {
      const { Rules = [] } = await client.send(
        new sdk.GetBucketLifecycleConfigurationCommand({ Bucket: settings.bucket }),
        { abortSignal },
      );
      const fits = Rules.some((rule) =>
        rule.Status === "Enabled" && settings.prefix.startsWith(rule.Filter?.Prefix ?? "") &&
        (rule.NoncurrentVersionExpiration || rule.AbortIncompleteMultipartUpload)
      );
      return fits ? "on" : "off";
    } catch (error) {
      if (/NoSuchLifecycleConfiguration/.test(failureOf(error).code)) return "off";
      throw error;
    }
  });
}

async function versionsOf(
  { call, settings }: Bucket,
): Promise<{ objects: number; bytes: number; markers: number }> {
  const action: Action = { text: "Cannot list versions", permission: "s3:ListBucketVersions" };
  const sum = { objects: 0, bytes: 0, markers: 0 };
  let next: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
  while (next) {
    const marker: { KeyMarker?: string; VersionIdMarker?: string } = next;
    const page = await call(action, (client, sdk, abortSignal) =>
      client.send(
        new sdk.ListObjectVersionsCommand({ Bucket: settings.bucket, Prefix: settings.prefix, ...marker }),
        { abortSignal },
      ));
    for (const version of page.Versions ?? []) {
      if (version.IsLatest) continue;
      sum.objects++;
      sum.bytes += version.Size ?? 0;
    }
    sum.markers += page.DeleteMarkers?.length ?? 0;
    next = page.IsTruncated && page.NextKeyMarker
      ? {
        KeyMarker: page.NextKeyMarker,
        ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }),
      }
      : undefined;
  }
  return sum;
}

/** Every unfinished upload below the prefix. MinIO lists them only for a whole key, and clears them by itself. */
export async function uploadsOf({ call, settings }: Bucket): Promise<S3Upload[]> {
  const action: Action = {
    text: "Cannot list unfinished uploads",
    permission: "s3:ListBucketMultipartUploads",
  };
  const uploads: S3Upload[] = [];
  let next: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
  while (next) {
    const marker: { KeyMarker?: string; UploadIdMarker?: string } = next;
    const page = await call(action, (client, sdk, abortSignal) =>
      client.send(
        new sdk.ListMultipartUploadsCommand({
          Bucket: settings.bucket,
          Prefix: settings.prefix,
          EncodingType: "url",
          ...marker,
        }),
        { abortSignal },
      ));
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      const key = decode(Key ?? "", page.EncodingType);
      if (!UploadId || !key.startsWith(settings.prefix)) continue;
      uploads.push({ key: key.slice(settings.prefix.length), id: UploadId, begun: Initiated ?? new Date() });
    }
    next = page.IsTruncated && page.NextKeyMarker
      ? {
        KeyMarker: decode(page.NextKeyMarker, page.EncodingType),
        UploadIdMarker: page.NextUploadIdMarker ?? "",
      }
      : undefined;
  }
  return uploads;
}

/**
 * Aborts what dead runs have left: uploads older than `abandonedMs` whose key is a backup's, by its name or because its intent
 * is there. What others have begun in the same bucket stays. Best effort: what matters the write itself will say.
 */
export async function sweepUploads(bucket: Bucket): Promise<void> {
  try {
    for (const { key, id, begun } of await uploadsOf(bucket)) {
      if (Date.now() - begun.getTime() < bucket.settings.abandonedMs) continue;
      const ours = parseName(key) !== undefined || await look(bucket, `${key}.intent`) !== undefined;
      if (ours) await abort(bucket, key, id);
    }
  } catch {
    // Not allowed, or the server is away.
  }
}
