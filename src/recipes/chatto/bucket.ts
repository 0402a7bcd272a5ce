/**
 * The bucket in which Chatto keeps its assets, when they lie in no stream.
 *
 * @module
 */
import { messageOf } from "../../errors.ts";
import { type Bucket, bucketOf } from "../../store/s3/client.ts";
import { type S3Options, settingsOf } from "../../store/s3/options.ts";
import { s3 } from "../../store/s3.ts";

/** Where assets lie that no stream holds. */
export type AssetPlace =
  /** A bucket that can be reached. */
  | { readonly options: S3Options }
  /** Nobody says where: what the configuration lacks. */
  | { readonly lacking: string };

/** What Chatto keeps below its prefix; the legacy layout of old servers is the last. Snapshots of projections are left: it makes them anew. */
export const ASSET_FOLDERS: readonly string[] = ["attachments/", "instance/", "spaces/"];

/** Reads `core.assets.s3` by Chatto's rules; `get` gives a setting as text. Undefined: assets are in streams. */
export function assetPlaceOf(get: (path: string) => string): AssetPlace | undefined {
  if (get("core.assets.storage_backend") !== "s3") return undefined;
  const of = (name: string): string => get(`core.assets.s3.${name}`);
  const needed = ["endpoint", "bucket", "access_key_id", "secret_access_key"];
  const lacking = needed.find((name) => of(name) === "");
  if (lacking !== undefined) return { lacking: `core.assets.s3.${lacking} is empty` };
  const host = of("endpoint");
  const endpoint = /^https?:\/\//.test(host) ? host : `${isNo(of("use_ssl")) ? "http" : "https"}://${host}`;
  const options: S3Options = {
    bucket: of("bucket"),
    prefix: of("path_prefix"),
    region: of("region") || "us-east-1",
    endpoint,
    pathStyle: of("path_style") === "" ? !isAws(endpoint) : !isNo(of("path_style")),
    credentials: () => ({
      accessKeyId: of("access_key_id"),
      secretAccessKey: of("secret_access_key"),
    }),
  };
  try {
    settingsOf(options);
  } catch (error) {
    return { lacking: `core.assets.s3 cannot be used: ${messageOf(error)}` };
  }
  return { options };
}

function isNo(text: string): boolean {
  return /^(?:false|f|0)$/i.test(text);
}

/** Only there do buckets have host names of their own, unless the configuration says so. */
function isAws(endpoint: string): boolean {
  return /(?:^|\.)amazonaws\.com(?:\.cn)?\.?$/i.test(URL.parse(endpoint)?.hostname ?? "");
}

/** The bucket; nothing is loaded or sent yet. */
export function openAssets(options: S3Options): Bucket {
  return bucketOf(settingsOf(options), s3(options).url);
}
