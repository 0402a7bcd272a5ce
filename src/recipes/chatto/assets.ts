/**
 * Chatto's assets out of S3 and into the archive: `assets/KEY` each, and `assets.ndjson` that says what they are.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { ahead } from "../../ahead.ts";
import { label, readAll, several, utf8, watch } from "../../bytes.ts";
import { directoryEntry, fileEntry } from "../../collect/jetstream/entries.ts";
import { type Spool, spool } from "../../collect/spool.ts";
import { messageOf, NotFoundError } from "../../errors.ts";
import type { Bytes, Context, Entry, StoreItem, U8 } from "../../stage.ts";
import type { Bucket } from "../../store/s3/client.ts";
import { list } from "../../store/s3/list.ts";
import type { S3Options } from "../../store/s3/options.ts";
import { limiter } from "../../store/s3/rate.ts";
import { readWhole } from "../../store/s3/read.ts";
import { ASSET_FOLDERS, openAssets } from "./bucket.ts";
import { TOP } from "./rules.ts";

/** The folder of the archive in which they lie under their keys. */
export const ASSETS = `${TOP}/assets`;
/** A line of JSON for each: `key`, `bytes`, `type`, `sha256`. */
export const ASSET_LIST = `${ASSETS}.ndjson`;

/** What has been read. */
export interface AssetTally {
  /** Assets in the archive. */
  objects: number;
  /** Their bytes. */
  bytes: number;
  /** Deleted between the listing and the reading. */
  vanished: number;
}

/** Assets up to this size are read beside each other; a larger one passes through as a stream. */
const SMALL = 1024 * 1024;
const BESIDE = 8;
const BATCH = 1000;

interface Opened {
  readonly bytes: number;
  readonly type: string | undefined;
  readonly body: U8 | Bytes;
}

/**
 * The assets, in the order of their keys. They are listed now, after the streams were read: whatever an event of the archive refers to
 * had been stored before it. Throws when one cannot be read.
 */
export async function* readAssets(
  options: S3Options,
  context: Context,
  spoolDir: string | undefined,
  tally: AssetTally,
): AsyncGenerator<Entry, void, undefined> {
  const bucket = openAssets(options);
  const lines = spool("the list of assets", spoolDir);
  try {
    yield directoryEntry(ASSETS, context.now);
    for await (const batch of batchesOf(bucket)) yield* readBatch(bucket, batch, context, tally, lines);
    yield { ...fileEntry(ASSET_LIST, context.now), bytes: lines.size(), body: lines.read };
  } catch (cause) {
    context.signal.throwIfAborted();
    throw new Error(
      `Cannot back up Chatto's assets: ${
        messageOf(cause)
      }. Nothing was stored. Look at core.assets.s3 in chatto.toml, or leave the ` +
        "assets out (--without-assets, exit code 3)",
      { cause },
    );
  } finally {
    lines.close();
  }
  if (tally.vanished > 0) {
    context.log.info(`${several(tally.vanished, "asset")} went while the bucket was read: deleted in Chatto`);
  }
}

async function* batchesOf(bucket: Bucket): AsyncGenerator<readonly StoreItem[], void, undefined> {
  let batch: StoreItem[] = [];
  for (const folder of ASSET_FOLDERS) {
    for await (const item of list(bucket, folder)) {
      if (batch.push(item) < BATCH) continue;
      yield batch;
      batch = [];
    }
  }
  yield batch;
}

async function* readBatch(
  bucket: Bucket,
  batch: readonly StoreItem[],
  { signal }: Context,
  tally: AssetTally,
  lines: Spool,
): AsyncGenerator<Entry, void, undefined> {
  // A large one is opened in its turn: it would only wait with its connection open.
  const early = async (item: StoreItem): Promise<Opened | undefined> =>
    item.bytes > SMALL ? undefined : await openAsset(bucket, item);
  for await (const outcome of ahead(batch, BESIDE, early)) {
    signal.throwIfAborted();
    if ("error" in outcome) throw outcome.error;
    const { item } = outcome;
    const opened = outcome.value ?? (item.bytes > SMALL ? await openAsset(bucket, item) : undefined);
    if (opened === undefined) {
      tally.vanished++;
      continue;
    }
    const { bytes, type, body } = opened;
    const hash = createHash("sha256");
    const file = { ...fileEntry(`${ASSETS}/${item.key}`, item.modified), bytes };
    if (body instanceof Uint8Array) yield { ...file, body: (hash.update(body), body) };
    else yield { ...file, body: () => label("assets", watch(body, (chunk) => void hash.update(chunk))) };
    tally.objects++;
    tally.bytes += bytes;
    lines.write(utf8(JSON.stringify({ key: item.key, bytes, type, sha256: hash.digest("hex") }) + "\n"));
  }
}

/** Undefined when it has gone since. */
async function openAsset(bucket: Bucket, { key, bytes }: StoreItem): Promise<Opened | undefined> {
  try {
    const opened = await readWhole(bucket, key, limiter(undefined));
    if (bytes > SMALL || opened.bytes > SMALL) return opened;
    return { ...opened, body: await readAll(opened.body, SMALL, `"${key}"`) };
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}
