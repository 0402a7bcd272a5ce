/**
 * Removes versions, delete markers and unfinished uploads for good: for what a check has written, never for backups.
 *
 * @module
 */
import { messageOf, StoreError } from "../../errors.ts";
import type { Bucket } from "./client.ts";
import { type Action, failureOf } from "./explain.ts";
import { abort } from "./abort.ts";
import { uploadsOf } from "./survey.ts";

/** Removes everything below `prefix`, which must name a folder; gives what stays, with the reason. */
export async function purge(bucket: Bucket, prefix: string): Promise<string[]> {
  if (!/^[^/].*\/$/.test(prefix)) throw new TypeError(`Cannot purge "${prefix}": give a folder, "name/"`);
  let left: string[] = [];
  // Again until nothing is listed: MinIO hides "a/b" behind an "a" of the same folder.
  for (let round = 1; round <= 5; round++) {
    const versions = await versionsBelow(bucket, bucket.keyOf(prefix));
    if (versions.length === left.length) break;
    left = await removeAll(bucket, prefix, versions);
  }
  const uploads = await uploadsOf(bucket).catch(() => []);
  for (const { key, id } of uploads) {
    if (key.startsWith(prefix) && !await abort(bucket, key, id)) left.push(`${key}: an unfinished upload`);
  }
  return left;
}

async function removeAll({ settings, call }: Bucket, folder: string, versions: Version[]): Promise<string[]> {
  const action: Action = {
    text: `Cannot remove versions below "${folder}"`,
    permission: "s3:DeleteObjectVersion",
  };
  const left: string[] = [];
  const rest = [...versions];
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let next = rest.pop(); next; next = rest.pop()) {
      const target = { Bucket: settings.bucket, Key: next.key, VersionId: next.id };
      try {
        await call(
          action,
          (client, sdk, abortSignal) => client.send(new sdk.DeleteObjectCommand(target), { abortSignal }),
        );
      } catch (error) {
        left.push(`${target.Key}: ${messageOf(error)}`);
      }
    }
  }));
  return left;
}

interface Version {
  readonly key: string;
  readonly id: string;
}

async function versionsBelow(bucket: Bucket, prefix: string): Promise<Version[]> {
  const { settings, call } = bucket;
  const action: Action = { text: "Cannot list versions", permission: "s3:ListBucketVersions" };
  const found: Version[] = [];
  let next: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
  try {
    while (next) {
      const marker: { KeyMarker?: string; VersionIdMarker?: string } = next;
      const page = await call(
        action,
        (client, sdk, abortSignal) =>
          client.send(
            new sdk.ListObjectVersionsCommand({ Bucket: settings.bucket, Prefix: prefix, ...marker }),
            {
              abortSignal,
            },
          ),
      );
      for (const { Key, VersionId } of [...page.Versions ?? [], ...page.DeleteMarkers ?? []]) {
        if (Key?.startsWith(prefix) && VersionId) found.push({ key: Key, id: VersionId });
      }
      next = page.IsTruncated && page.NextKeyMarker
        ? {
          KeyMarker: page.NextKeyMarker,
          ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }),
        }
        : undefined;
    }
  } catch (error) {
    // A server without versions has none to remove.
    if (error instanceof StoreError && failureOf(error.cause).code === "NotImplemented") return [];
    throw error;
  }
  return found;
}
