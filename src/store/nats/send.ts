/**
 * The chunks of an object on their way up.
 *
 * @module
 */
import type { Hash } from "node:crypto";
import { giveBack } from "../../blocks.ts";
import { StoreError } from "../../errors.ts";
import { integerAt } from "../../nats/exact.ts";
import { ApiError, type Link, readAnswer } from "../../nats/link.ts";
import type { U8 } from "../../stage.ts";
import type { Source } from "../source.ts";
import { CODE } from "./explain.ts";
import { CHUNK_HEADER, chunkSubject } from "./meta.ts";
import type { Session } from "./session.ts";

const PUBLISH_TIMEOUT_MS = 10_000;

/** The condition that a subject's last message has this sequence; 0: that it has none. */
export const EXPECTED = "Nats-Expected-Last-Subject-Sequence";

/** An object on its way. */
export interface Upload {
  /** The bucket. */
  readonly session: Session;
  /** Its key. */
  readonly key: string;
  /** The beginning of an error's sentence. */
  readonly action: string;
  /** Gives up. */
  readonly signal: AbortSignal | undefined;
  /** Whether its name must be free. */
  readonly ifAbsent: boolean;
  /** What its chunks are called. */
  readonly nuid: string;
  /** Length of every chunk but the last. */
  readonly chunkBytes: number;
  /** Digest so far. */
  readonly hash: Hash;
  /** Length so far. */
  bytes: number;
  /** Chunks stored so far. */
  chunks: number;
  /** Sequence of the first chunk. */
  first: number;
  /** Sequence of the last chunk; 0 before the first. */
  last: number;
}

/** One chunk is on its way while the next is being filled. */
export async function sendAll(upload: Upload, source: Source): Promise<void> {
  let sending: Promise<void> = Promise.resolve();
  let block = new Uint8Array(upload.chunkBytes);
  let spare: U8 | undefined; // most objects are shorter than a chunk
  let fill = 0;
  const flush = async (): Promise<void> => {
    await sending;
    sending = send(upload, block.subarray(0, fill));
    sending.catch(() => {}); // awaited before the next, or at the end
    [block, spare] = [spare ?? new Uint8Array(upload.chunkBytes), block];
    fill = 0;
  };
  try {
    for (let chunk = await source.next(); chunk; chunk = await source.next()) {
      upload.hash.update(chunk);
      upload.bytes += chunk.length;
      for (let at = 0; at < chunk.length;) {
        const take = Math.min(chunk.length - at, block.length - fill);
        block.set(chunk.subarray(at, at + take), fill);
        at += take;
        fill += take;
        if (fill === block.length) await flush();
      }
      giveBack(chunk);
    }
    if (fill > 0) await flush();
    await sending;
  } finally {
    await sending.catch(() => {}); // nothing may land after the clean-up
  }
}

async function send(upload: Upload, data: U8): Promise<void> {
  const { session, action, signal, last } = upload;
  const headers = { [EXPECTED]: String(last), [CHUNK_HEADER]: String(upload.chunks) };
  const seq = await session.call(action, async (link) => {
    try {
      return await publish(link, chunkSubject(session, upload.nuid), data, headers);
    } catch (error) {
      const found = sequenceFound(error);
      if (found === undefined) throw error;
      if (found > last) return found; // sent before, and its answer was lost
      throw new StoreError(`${action} in ${session.settings.url}: its chunks have been removed meanwhile`);
    }
  }, signal);
  if (upload.chunks === 0) upload.first = seq;
  upload.last = seq;
  upload.chunks++;
}

/** Publishes a message under conditions; gives its sequence. Throws unless the server has stored it. */
export async function publish(
  link: Link,
  subject: string,
  data: Uint8Array,
  conditions: Readonly<Record<string, string>>,
): Promise<number> {
  const nats = await import("@nats-io/transport-node");
  const headers = nats.headers();
  for (const [name, value] of Object.entries(conditions)) headers.set(name, value);

  let answer: Uint8Array;
  try {
    answer = (await link.nc.request(subject, data, { headers, timeout: PUBLISH_TIMEOUT_MS })).data;
  } catch (cause) {
    throw new Error(whyUnanswered(subject, cause), { cause });
  }
  return Number(integerAt(readAnswer(answer), "seq"));
}

function whyUnanswered(subject: string, cause: unknown): string {
  const told = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
  const family = subject.replace(/[^.]*$/, ">");
  if (/permission/i.test(told)) return `this user may not use "${family}"`;
  return `nothing has confirmed a message to "${family}" (${told})`;
}

/** Whether something else stood, or was about to stand, where a sequence was expected. */
export function isOutrun(error: unknown): boolean {
  return error instanceof ApiError && (error.code === CODE.wrongSequence || error.code === CODE.outrun);
}

/** The sequence that stood where another was expected; undefined for any other error. */
function sequenceFound(error: unknown): number | undefined {
  if (!(error instanceof ApiError) || error.code !== CODE.wrongSequence) return undefined;
  return Number(/(\d+)\s*$/.exec(error.message)?.[1] ?? 0);
}
