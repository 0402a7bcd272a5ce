/**
 * One sentence for each thing that goes wrong with a bucket.
 *
 * @module
 */
import {
  ExistsError,
  findError,
  IntegrityError,
  KeyError,
  messageOf,
  NotFoundError,
  StoreError,
} from "../../errors.ts";
import { ApiError } from "../../nats/link.ts";
import type { Settings } from "./options.ts";

/** JetStream's error codes that mean something here (errors.json of nats-server). */
export const CODE: Readonly<Record<string, number>> = {
  noMessage: 10037,
  noStream: 10059,
  streamExists: 10058,
  wrongSequence: 10071,
  /** The same in a cluster, while another's message is on its way through: without the sequence. */
  outrun: 10164,
};

/** Without a leader, too many at once, still recovering: it passes. */
const PASSING = new Set([10005, 10008, 10009, 10041, 10074, 10164, 10167]);

/** What a full server, account or bucket says. */
const FULL = /insufficient (?:storage )?resources|maximum (?:bytes|messages)|resource limits? exceeded/i;

/** Whether the bucket is missing where the first write makes it: it is as good as empty. */
export function isUnmade(error: unknown, { create }: Settings): boolean {
  return create && error instanceof ApiError && error.code === CODE.noStream;
}

/** Whether trying again can help. */
export function isPassing(error: unknown): boolean {
  if (error instanceof StoreError) return error.retryable;
  if (isOurs(error) || findError(error, KeyError)) return false;
  if (error instanceof ApiError) return PASSING.has(error.code);
  return !isDenied(error);
}

function isOurs(error: unknown): error is Error {
  return [ExistsError, IntegrityError, NotFoundError, StoreError, TypeError, RangeError].some((kind) =>
    error instanceof kind
  );
}

/** The server's refusals of who one is, or of what one may do. */
function isDenied(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if (/permission|authoriz|authentic|credential|nkey|jwt|certificate/i.test(`${at.name} ${at.message}`)) {
      return true;
    }
  }
  return false;
}

/** The error for people. What is one already stays. */
export function explain(error: unknown, action: string, settings: Settings): Error {
  if (isOurs(error)) return error;
  const key = findError(error, KeyError);
  if (key) return key;
  const retryable = isPassing(error);
  const why = `${action} in ${settings.url}: ${messageOf(error)}`;
  return new StoreError(adviceOn(error, why, settings), { cause: error, retryable });
}

function adviceOn(error: unknown, why: string, { bucket, stream }: Settings): string {
  if (error instanceof ApiError && error.code === CODE.noStream) {
    return `${why}. There is no object store "${bucket}" in this account. Make it (nats object add ${bucket}), ` +
      `or let the first write make it: ?create=true in the URL, create in a program`;
  }
  if (FULL.test(messageOf(error))) {
    return `${why}. The bucket, the account or the server is full: prune, or raise its limit (nats stream info ${stream})`;
  }
  if (/may not use/.test(messageOf(error))) {
    return `${why}. Give the user this subject, or use another user; config --permissions lists what a plan needs`;
  }
  if (/nobody answers "\$JS[^"]*DIRECT\.GET/.test(messageOf(error))) {
    return `${why}, or the bucket allows no direct reads (nats stream edit ${stream} --allow-direct)`;
  }
  return why;
}
