/**
 * Whether a key is free, and whose an object is that stands there: the questions of a conditional write.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { ExistsError, StoreError } from "../../errors.ts";
import type { Bucket } from "./client.ts";
import { type Action, failureOf } from "./explain.ts";
import type { Limiter } from "./rate.ts";
import { look } from "./look.ts";
import { read } from "./read.ts";

/** One write. */
export interface Writing {
  /** Where. */
  readonly bucket: Bucket;
  /** The key. */
  readonly key: string;
  /** For sentences. */
  readonly action: Action;
  /** A random mark that the object carries: an answer that got lost is known by it. */
  readonly mark: string;
  /** What the object is served as. Default: the server's. */
  readonly type?: string | undefined;
  /** Whether the key must be free. */
  readonly ifAbsent: boolean;
  /** Gives up. */
  readonly signal: AbortSignal;
  /** Bytes a second. */
  readonly rate: Limiter;
}

/** What was sent, for comparing: length and digest of each part. */
export type Sent = readonly { readonly bytes: number; readonly sha256: Uint8Array }[];

/** `If-None-Match`, where the server is asked to decide. */
export function condition({ bucket, ifAbsent }: Writing): { readonly IfNoneMatch?: "*" } {
  return ifAbsent && bucket.settings.conditional === "server" ? { IfNoneMatch: "*" } : {};
}

/** Whether this process has to look, because the server does not decide, and finds the key taken. */
export async function isTaken(writing: Writing): Promise<boolean> {
  return writing.bucket.settings.conditional === "look" && await isThere(writing);
}

/** Whether the key must be free and is taken, whoever decides. */
export async function isThere({ bucket, key, ifAbsent }: Writing): Promise<boolean> {
  return ifAbsent && await look(bucket, key, "write") !== undefined;
}

/** Whether a server's no means that the key is taken, or is being taken. */
export function isRefusal(error: unknown): boolean {
  const { status, code } = failureOf(error);
  return status === 412 || code === "PreconditionFailed" || code === "ConditionalRequestConflict";
}

/** The key is taken, or was: by this very write, whose answer got lost; by equal bytes; by others; or it is free again. */
export async function settle(writing: Writing, sent: Sent): Promise<"done" | "free"> {
  const { bucket, key, mark } = writing;
  const there = await look(bucket, key, "write");
  if (!there) return "free";
  const bytes = sent.reduce((sum, part) => sum + part.bytes, 0);
  if (there.mark === mark || (there.bytes === bytes && await equal(writing, sent))) return "done";
  throw new ExistsError(
    `Cannot write "${key}": it exists in ${bucket.place.url} with other content. Choose another name, or delete it first`,
  );
}

/** Why a write ended without an answer that can be trusted. */
export function unclear({ bucket, action }: Writing): StoreError {
  return new StoreError(
    `${action.text} in ${bucket.place.url}: another run writes and deletes it. Run again`,
    {
      retryable: true,
    },
  );
}

async function equal({ bucket, key, signal }: Writing, sent: Sent): Promise<boolean> {
  let start = 0;
  for (const { bytes, sha256 } of sent) {
    const hash = createHash("sha256");
    const range = { start, end: start + bytes };
    for await (const chunk of await read(bucket, key, range, () => Promise.resolve())) {
      signal.throwIfAborted();
      hash.update(chunk);
    }
    if (hash.digest("hex") !== sha256.toHex()) return false;
    start += bytes;
  }
  return true;
}
