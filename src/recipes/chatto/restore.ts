/**
 * An archive of Chatto's into the server and the bucket of a chatto.toml.
 *
 * @module
 */
import type { Stored } from "../../collect/jetstream/gather.ts";
import { putStreams } from "../../collect/jetstream/restore.ts";
import { ConfigError, NotFoundError } from "../../errors.ts";
import type { Context, Files } from "../../stage.ts";
import { several } from "../../bytes.ts";
import { takeIn } from "./archive.ts";
import { planAssets } from "./assets_plan.ts";
import { type AssetTarget, putAssets } from "./assets_put.ts";
import type { Asset } from "./assets_taken.ts";
import { openAssets } from "./bucket.ts";
import type { ChattoOptions } from "./collector.ts";
import { KEY_STREAM, NAME } from "./rules.ts";
import { openTarget, type Target } from "./server.ts";
import { type ChattoSettings, readSettings } from "./settings.ts";

/** Restores streams and assets, all or none; whatever stands in the way is found before anything is touched. */
export async function restoreChatto(
  options: ChattoOptions,
  stored: Files,
  context: Context,
): Promise<void> {
  const settings = readSettings(options.config ?? "chatto.toml");
  compareSecret(stored, settings.fingerprint, context);
  using taken = await takeIn(stored, context, options);
  const names = taken.streams.map(({ name }) => name);
  if (names.length === 0 && taken.assets.size === 0) {
    throw new NotFoundError("Cannot restore: no stream of the archive is asked for");
  }
  const assets = await openBucket(settings, taken.assets, context);
  await using target = await openTarget(settings, options);
  await put(stored, taken.streams, assets, target, context, { ...options, replicas: settings.replicas });
  if (names.includes(KEY_STREAM)) context.log.info("The encryption keys were in the archive");
  else if (context.want.only.length === 0) {
    context.log.info(
      "The archive has no encryption keys: message bodies stay unreadable until exported keys are imported (chatto:keys:import)",
    );
  }
}

/** The bucket that assets go into, and what is done there; undefined without assets. */
async function openBucket(
  { assets: place }: ChattoSettings,
  assets: ReadonlyMap<string, Asset>,
  context: Context,
): Promise<AssetTarget | undefined> {
  if (assets.size === 0) return undefined;
  if (!place || !("options" in place)) {
    throw new ConfigError(
      `Cannot restore: the archive holds ${several(assets.size, "asset")} of S3, and in chatto.toml ${
        place?.lacking ?? 'core.assets.storage_backend is not "s3"'
      }. Nothing was changed; set it, or leave the assets out (--without-assets)`,
    );
  }
  const bucket = openAssets(place.options);
  return { bucket, assets, plan: await planAssets(bucket, assets, context) };
}

/** Assets first: until the streams stand, nothing refers to them. */
async function put(
  stored: Files,
  streams: readonly Stored[],
  wanted: AssetTarget | undefined,
  { link, place }: Target,
  context: Context,
  options: ChattoOptions & { readonly replicas: number },
): Promise<void> {
  const how = { ...options, place };
  const { want, log } = context;
  if (!wanted || want.dryRun) {
    await putStreams(link, streams, context, how);
  } else {
    // Looks only, at what stands in the way.
    await putStreams(link, streams, { ...context, want: { ...want, dryRun: true, report: undefined } }, how);
    using done = await putAssets(wanted, stored, context, options.spoolDir);
    try {
      await putStreams(link, streams, context, how);
    } catch (error) {
      throw await done.takeBack(error);
    }
    log.info(`Restored ${several(done.count, "asset")} into ${wanted.bucket.place.url}`);
  }
  for (const [key, action] of wanted?.plan ?? []) want.report?.(`assets/${key}`, action);
}

/** Tokens and pending links are bound to the secret key, which is in no archive. */
function compareSecret(stored: Files, fingerprint: string | undefined, { log }: Context): void {
  const source = stored.facts().sources.find(({ tool }) => tool === NAME);
  const recorded = source?.facts.secretKey;
  if (recorded === undefined || fingerprint === undefined || recorded === fingerprint) return;
  log.warn(
    "secretKey",
    "core.secret_key in chatto.toml is not the one of the backed up server: logins, tokens and pending links will be invalid. " +
      "Put the old key in, if you have it",
  );
}
