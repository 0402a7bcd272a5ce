/**
 * Listings: every page or an error.
 *
 * @module
 */
import type { ListObjectsV2CommandOutput } from "@aws-sdk/client-s3";
import { StoreError } from "../../errors.ts";
import type { StoreItem } from "../../stage.ts";
import { checkKey, compareKeys, isLease } from "../key.ts";
import type { Bucket } from "./client.ts";
import { type Action, noServer } from "./explain.ts";

/** Lists objects below the store's prefix whose key starts with `prefix`, in the order of their bytes. */
export async function* list(bucket: Bucket, prefix: string): AsyncGenerator<StoreItem, void, undefined> {
  const { settings, keyOf, place } = bucket;
  const asked = askable(prefix);
  if (asked === undefined) return;
  let token: string | undefined;
  let last = "";
  do {
    const page = await pageOf(bucket, keyOf(asked), token);
    // Any page of a web server, read as XML, would be an empty listing.
    if (page.IsTruncated === undefined) throw new StoreError(noServer("Cannot list", place));
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      const full = decode(Key ?? "", page.EncodingType);
      if (!full.startsWith(settings.prefix)) continue;
      const key = full.slice(settings.prefix.length);
      if (!key.startsWith(prefix) || isLease(key) || !isObject(key)) continue;
      if (compareKeys(key, last) <= 0) {
        throw new StoreError(
          `Cannot list ${place.url}: the server lists "${key}" after "${last}". A listing out of order may hide backups; ` +
            "use another server (a directory bucket cannot be used)",
        );
      }
      last = key;
      // Whole seconds, as HEAD gives them.
      const modified = new Date(Math.floor((LastModified?.getTime() ?? 0) / 1000) * 1000);
      yield { key, bytes: Size ?? 0, modified };
    }
    if (page.IsTruncated && (!page.NextContinuationToken || page.NextContinuationToken === token)) {
      throw new StoreError(
        `Cannot list ${place.url}: the server says that there is more, and not how to ask for it`,
      );
    }
    token = page.IsTruncated ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
}

/** The part of a prefix that may be sent: MinIO refuses "." and ".." as parts. Undefined when no key begins with it. */
function askable(prefix: string): string | undefined {
  const parts = prefix.split("/");
  const last = parts.pop()!;
  if (parts.some((part) => part === "" || part === "." || part === "..")) return undefined;
  return last === "." || last === ".." ? prefix.slice(0, -last.length) : prefix;
}

type Page = Pick<
  ListObjectsV2CommandOutput,
  "Contents" | "EncodingType" | "IsTruncated" | "NextContinuationToken"
>;

async function pageOf({ settings, call }: Bucket, prefix: string, token: string | undefined): Promise<Page> {
  const action: Action = { text: "Cannot list", permission: "s3:ListBucket" };
  return await call(action, (client, sdk, abortSignal) =>
    client.send(
      new sdk.ListObjectsV2Command({
        Bucket: settings.bucket,
        Prefix: prefix,
        EncodingType: "url",
        ...(token === undefined ? {} : { ContinuationToken: token }),
      }),
      { abortSignal },
    ));
}

/** Keys come URL-encoded where the server was asked and says so: XML cannot hold every character. */
export function decode(key: string, encoding: string | undefined): string {
  return encoding === "url" ? decodeURIComponent(key.replaceAll("+", " ")) : key;
}

/** What no put can have made is not shown: "folders" that consoles make, names with control characters. */
function isObject(key: string): boolean {
  try {
    return checkKey(key) === key;
  } catch {
    return false;
  }
}
