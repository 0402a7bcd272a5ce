/**
 * Chatto's assets into S3 again: those that are not there, all or none.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { ahead } from "../../ahead.ts";
import { several, watch } from "../../bytes.ts";
import { type Spool, spool } from "../../collect/spool.ts";
import { IntegrityError, messageOf } from "../../errors.ts";
import type { Context, Entry, Files } from "../../stage.ts";
import type { Bucket } from "../../store/s3/client.ts";
import { openBucket } from "../../store/s3/inside.ts";
import { limiter } from "../../store/s3/rate.ts";
import { readWhole } from "../../store/s3/read.ts";
import { write } from "../../store/s3/write.ts";
import { type AssetPlan, type Assets, BESIDE } from "./assets_plan.ts";
import { type Asset, assetKeyOf } from "./assets_taken.ts";

interface Done {
  readonly key: string;
  readonly old?: { readonly content: Spool; readonly type: string | undefined } | undefined;
}

/** Assets that stand in the bucket, until they are let be or taken back. */
export interface PutAssets extends Disposable {
  /** Puts the bucket back as it was, and gives the error to throw. */
  readonly takeBack: (error: unknown) => Promise<unknown>;
  /** How many were written. */
  readonly count: number;
}

/** Where assets go, and what is done with each. */
export interface AssetTarget {
  readonly bucket: Bucket;
  readonly plan: AssetPlan;
  readonly assets: Assets;
}

/** Puts assets by a plan, reading the archive once more. When one fails, all are taken back. */
export async function putAssets(
  { bucket, plan, assets }: AssetTarget,
  stored: Files,
  context: Context,
  spoolDir: string | undefined,
): Promise<PutAssets> {
  const done: Done[] = [];
  const left = new Set([...plan].filter(([, action]) => action !== "skip").map(([key]) => key));
  const put: PutAssets = {
    count: left.size,
    takeBack: (error) => takeBack(bucket, done, error),
    [Symbol.dispose]: () => done.forEach(({ old }) => old?.content.close()),
  };
  const wanted = (path: string): boolean => left.has(assetKeyOf(path) ?? "");
  const one = async (entry: Entry): Promise<void> => {
    const key = assetKeyOf(entry.path)!;
    const old = plan.get(key) === "overwrite" ? await keep(bucket, key, spoolDir) : undefined;
    done.push({ key, old });
    await send(bucket, key, entry, assets.get(key)!, context.signal);
    left.delete(key);
  };
  try {
    if (left.size > 0) {
      await beside(stored.entries(wanted), ({ path }) => wanted(path), one);
    }
    if (left.size > 0) throw new IntegrityError(`the archive does not hold "${left.keys().next().value}"`);
    return put;
  } catch (error) {
    const told = await put.takeBack(error);
    put[Symbol.dispose]();
    context.signal.throwIfAborted();
    throw new Error(`Cannot restore the assets: ${messageOf(told)}. The streams were not touched`, {
      cause: told,
    });
  }
}

/** Small entries beside each other, large ones each alone; ends when all have. */
async function beside(
  entries: AsyncIterable<Entry>,
  wanted: (entry: Entry) => boolean,
  work: (entry: Entry) => Promise<void>,
): Promise<void> {
  const under = new Set<Promise<void>>();
  const errors: unknown[] = [];
  try {
    for await (const entry of entries) {
      if (!wanted(entry)) continue;
      const one = work(entry).catch((error) => void errors.push(error)).finally(() => under.delete(one));
      under.add(one);
      if (typeof entry.body === "function") await one;
      else if (under.size >= BESIDE) await Promise.race(under);
      if (errors.length > 0) break;
    }
  } finally {
    await Promise.all(under);
  }
  if (errors.length > 0) throw errors[0];
}

async function keep(bucket: Bucket, key: string, spoolDir: string | undefined): Promise<Done["old"]> {
  const { type, body } = await readWhole(bucket, key, limiter(undefined));
  const content = spool(`the old "${key}"`, spoolDir);
  try {
    for await (const chunk of body) content.write(chunk);
    return { content, type };
  } catch (error) {
    content.close();
    throw error;
  }
}

async function send(
  bucket: Bucket,
  key: string,
  { body }: Entry,
  { type, sha256 }: Asset,
  signal: AbortSignal,
): Promise<void> {
  const hash = createHash("sha256");
  const check = (): void => {
    if (hash.digest("hex") === sha256) return;
    throw new IntegrityError(
      `"${key}" is not what it was a moment ago: the archive changes while it is read`,
    );
  };
  if (typeof body === "function") {
    await write(
      bucket,
      key,
      watch(body(), (chunk) => void hash.update(chunk), check),
      { type, signal },
      limiter(undefined),
    );
  } else {
    hash.update(body!);
    check();
    await write(bucket, key, body!, { type, signal }, limiter(undefined));
  }
}

async function takeBack(bucket: Bucket, done: readonly Done[], error: unknown): Promise<unknown> {
  const { delete: remove } = openBucket(bucket.settings, bucket.place.url);
  const problems: unknown[] = [];
  for await (
    const outcome of ahead(
      done,
      BESIDE,
      async ({ key, old }) =>
        old
          ? await write(bucket, key, old.content.read(), { type: old.type }, limiter(undefined))
          : await remove(key),
    )
  ) {
    if ("error" in outcome) problems.push(outcome.error);
  }
  if (problems.length === 0) return error;
  return new AggregateError(
    [error, ...problems],
    `${messageOf(error)}; and ${
      several(problems.length, "asset")
    } could not be taken out of the bucket again: ${messageOf(problems[0])}. Nothing refers to them`,
  );
}
