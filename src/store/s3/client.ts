/**
 * The SDK's client, loaded when first used, with retries of our own: back-off, jitter, the server's Retry-After, one sentence
 * at the end.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import type * as Sdk from "@aws-sdk/client-s3";
import { type Action, explain, isPassing, type Place, retryAfterMs } from "./explain.ts";
import { fetchHandler } from "./handler.ts";
import type { Settings } from "./options.ts";

/** The first pause before trying again, in milliseconds; each doubles. */
const FIRST_PAUSE = 250;

/** The longest pause of our own, and the longest the server may ask for. */
const LONGEST_PAUSE = 15_000;
const LONGEST_ASKED = 60_000;

/** Attempts at a server that has never answered: it is more often a wrong address than a passing trouble. */
const FIRST_CONTACT = 3;

/** What works on one bucket share. */
export interface Bucket {
  /** The options. */
  readonly settings: Settings;
  /** For sentences. */
  readonly place: Place;
  /** The whole key on the server. */
  readonly keyOf: (key: string) => string;
  /** Runs one request until it succeeds or can no longer; throws what `explain` makes of it, or the signal's reason. */
  readonly call: <T>(action: Action, request: Request<T>, signal?: AbortSignal) => Promise<T>;
}

/** One request. */
export type Request<T> = (client: Sdk.S3Client, sdk: typeof Sdk, signal: AbortSignal) => Promise<T>;

/** Makes a bucket; nothing is loaded or sent yet. */
export function bucketOf(settings: Settings, url: string): Bucket {
  const { bucket, prefix, endpoint, region, profile } = settings;
  const host = endpoint === undefined ? `s3.${region ?? "..."}.amazonaws.com` : new URL(endpoint).host;
  const place: Place = { url, bucket, region, profile, host };
  let loading: Promise<{ client: Sdk.S3Client; sdk: typeof Sdk }> | undefined;
  let reached = false;
  return {
    settings,
    place,
    keyOf: (key) => prefix + key,
    call: async (action, request, signal = new AbortController().signal) => {
      for (let attempt = 1;; attempt++) {
        try {
          signal.throwIfAborted();
          const { client, sdk } = await (loading ??= load(settings));
          const result = await request(client, sdk, signal);
          reached = true;
          return result;
        } catch (error) {
          signal.throwIfAborted();
          // The SDK would go on with the server's time. Names and retention rest on this machine's: it has to be right.
          if (loading) (await loading).client.config.systemClockOffset = 0;
          const most = reached ? settings.retries + 1 : Math.min(FIRST_CONTACT, settings.retries + 1);
          if (attempt >= most || !isPassing(error)) throw explain(error, action, place);
          await pause(attempt, error, signal);
        }
      }
    },
  };
}

/** Half of it fixed, half of it random, so that many hosts do not come back in step. */
export function pauseMs(attempt: number, askedMs: number | undefined, random = Math.random()): number {
  const own = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1)) * (0.5 + random / 2);
  return Math.max(own, Math.min(LONGEST_ASKED, askedMs ?? 0));
}

/** Waits before the next attempt; ends with the signal's reason. */
export async function pause(attempt: number, error: unknown, signal: AbortSignal): Promise<void> {
  const ms = pauseMs(attempt, retryAfterMs(error));
  await sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}

async function load(settings: Settings): Promise<{ client: Sdk.S3Client; sdk: typeof Sdk }> {
  const sdk = await import("@aws-sdk/client-s3");
  return { sdk, client: new sdk.S3Client(configOf(settings, fetchHandler(settings))) };
}

const nothing = (): void => {};
const SILENT = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

/** The SDK's configuration: one attempt each (retries are here), checksums by ourselves. */
export function configOf(settings: Settings, requestHandler: unknown): Sdk.S3ClientConfig {
  const { region, endpoint, pathStyle, credentials, profile } = settings;
  return {
    maxAttempts: 1,
    forcePathStyle: pathStyle,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    expectContinueHeader: false,
    logger: SILENT, // else it warns on the console
    requestHandler: requestHandler as NonNullable<Sdk.S3ClientConfig["requestHandler"]>,
    ...(region !== undefined ? { region } : endpoint !== undefined ? { region: "us-east-1" } : {}),
    ...(endpoint !== undefined ? { endpoint } : {}),
    ...(profile !== undefined ? { profile } : {}),
    ...(credentials ? { credentials: () => Promise.resolve(credentials()).then(plain) } : {}),
  };
}

function plain(
  { accessKeyId, secretAccessKey, sessionToken, expiration }: Awaited<
    ReturnType<NonNullable<Settings["credentials"]>>
  >,
): { accessKeyId: string; secretAccessKey: string; sessionToken?: string; expiration?: Date } {
  return {
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    ...(expiration === undefined ? {} : { expiration }),
  };
}
