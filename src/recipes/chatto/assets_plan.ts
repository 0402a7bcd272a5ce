/**
 * What is done with each of an archive's assets, decided before anything is touched.
 *
 * @module
 */
import { ahead } from "../../ahead.ts";
import { several } from "../../bytes.ts";
import { ExistsError } from "../../errors.ts";
import type { Context, RestoreAction } from "../../stage.ts";
import type { Bucket } from "../../store/s3/client.ts";
import { list } from "../../store/s3/list.ts";
import { look } from "../../store/s3/look.ts";
import type { Asset } from "./assets_taken.ts";
import { ASSET_FOLDERS } from "./bucket.ts";

/** Assets by their keys. */
export type Assets = ReadonlyMap<string, Asset>;
/** What is done with each asset that is not there as it is in the archive. */
export type AssetPlan = ReadonlyMap<string, RestoreAction>;

/** Requests under way at once. */
export const BESIDE = 8;

/**
 * Decides for each asset. One that is there with the same content needs nothing: Chatto never changes an asset. Throws
 * {@linkcode ExistsError} when others lie under these keys.
 */
export async function planAssets(
  bucket: Bucket,
  assets: Assets,
  { want: { conflict }, log }: Context,
): Promise<AssetPlan> {
  const there: string[] = [];
  for (const folder of ASSET_FOLDERS) {
    for await (const { key } of list(bucket, folder)) if (assets.has(key)) there.push(key);
  }
  const other = new Set<string>();
  for await (const outcome of ahead(there, BESIDE, (key) => isSame(bucket, key, assets.get(key)!))) {
    if ("error" in outcome) throw outcome.error;
    if (!outcome.value) other.add(outcome.item);
  }
  if (conflict === "error" && other.size > 0) {
    throw new ExistsError(
      `Cannot restore: other content lies under the keys of ${
        several(other.size, "asset")
      } in ${bucket.place.url} ("${
        [...other].slice(0, 5).join('", "')
      }"). Nothing was changed; use --conflict skip or --conflict overwrite`,
    );
  }
  const same = there.length - other.size;
  if (same > 0) log.info(`${several(same, "asset")} of ${assets.size} are in the bucket: they stay`);
  const found = new Set(there);
  return new Map(
    [...assets.keys()].filter((key) => !found.has(key) || other.has(key)).map((key) => [
      key,
      !found.has(key) ? "create" : conflict === "skip" ? "skip" : "overwrite",
    ]),
  );
}

/** The tag is the MD5 of what was written at once without a key of the server's; of the rest the length has to do. */
async function isSame(bucket: Bucket, key: string, { bytes, md5 }: Asset): Promise<boolean> {
  const item = await look(bucket, key);
  if (item?.bytes !== bytes) return false;
  const tag = /^"?([0-9a-f]{32})"?$/.exec(item.etag ?? "")?.[1];
  return tag === undefined || tag === md5;
}
