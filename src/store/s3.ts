/**
 * A bucket as a store: AWS S3 and what speaks like it.
 *
 * @module
 */
import type { Store } from "../stage.ts";
import { later } from "./later.ts";
import { type S3Options, type Settings, settingsOf } from "./s3/options.ts";
import { lifecycleOf, policyOf } from "./s3/policy.ts";
import type { S3Survey } from "./s3/survey.ts";

export type { S3Credentials, S3Encryption, S3ObjectLock, S3Options } from "./s3/options.ts";
export type { S3Survey, S3Upload } from "./s3/survey.ts";

/** A store in a bucket, and what only buckets have. */
export interface S3Store extends Store {
  /** Why an object cannot be deleted for good, or undefined. */
  readonly retained: (key: string) => Promise<string | undefined>;
  /** What the bucket is set to, and what lies there that a listing does not show. */
  readonly survey: () => Promise<S3Survey>;
  /**
   * Removes every version below a folder for good, and gives what stays, with the reason. For what a check wrote; backups are
   * deleted by `delete`, which leaves versions to the lifecycle.
   */
  readonly purge: (folder: string) => Promise<readonly string[]>;
  /** Whether what is written is to be locked, or held. */
  readonly locks: boolean;
  /** The same bucket, written to without `lock` and `legalHold`: what a check writes must be possible to remove. */
  readonly unlocked: () => S3Store;
  /** The smallest IAM policy that backups and restores with these options need; `check` adds what `store:check` reads. */
  readonly policy: (options?: { readonly check?: boolean | undefined }) => Readonly<Record<string, unknown>>;
  /** The bucket's lifecycle rule for these backups: noncurrent versions, delete markers, unfinished uploads. */
  readonly lifecycle: (options?: { readonly days?: number | undefined }) => Readonly<Record<string, unknown>>;
}

/**
 * Keeps objects in an S3 bucket, each under `prefix` and its key.
 *
 * A body that fits into one part is one request; a larger one goes up in parts (Uploading and copying objects using multipart
 * upload, Amazon S3 User Guide) that are signed and checked by their SHA-256, tried again one by one, and aborted when the write
 * fails. Parts above 16 MiB, which begin after 11.7 GiB, pass through an unnamed temporary file.
 * Conditional writes are decided by the server (`If-None-Match: *`). A download that breaks goes on where it broke.
 *
 * Nothing is loaded or sent before the first call. Throws TypeError or RangeError for options that cannot work.
 */
export function s3(options: S3Options): S3Store {
  const settings = settingsOf(options);
  const url = urlOf(settings);
  return {
    url,
    ...later(
      async () => (await import("./s3/inside.ts")).openBucket(settings, url),
      ["put", "get", "head", "list", "delete", "retained", "unfinished", "survey", "purge"],
    ),
    locks: options.lock !== undefined || options.legalHold === true,
    unlocked: () => s3({ ...options, lock: undefined, legalHold: undefined }),
    policy: (policyOptions = {}) => policyOf(settings, policyOptions),
    lifecycle: (ruleOptions = {}) => lifecycleOf(settings, ruleOptions),
  };
}

/** Where it is, without keys; `open` reads it. */
function urlOf({ bucket, prefix, endpoint, region, pathStyle }: Settings): string {
  const query = new URLSearchParams();
  if (endpoint !== undefined) query.set("endpoint", endpoint);
  if (region !== undefined) query.set("region", region);
  if (pathStyle !== (endpoint !== undefined)) query.set("pathStyle", String(pathStyle));
  // As people write it: what a query may hold unescaped stays.
  const folder = prefix === "" ? "" : `/${prefix.slice(0, -1).split("/").map(encodeURIComponent).join("/")}`;
  const search = query.toString().replaceAll("%3A", ":").replaceAll("%2F", "/");
  return `s3://${bucket}${folder}${search === "" ? "" : `?${search}`}`;
}
