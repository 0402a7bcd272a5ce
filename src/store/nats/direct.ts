/**
 * One message of a bucket's stream, by sequence or as the last of its subject, from whichever server has it nearest.
 *
 * @module
 */
import { messageOf } from "../../errors.ts";
import type { Link } from "../../nats/link.ts";
import type { Session } from "./session.ts";
import { CHUNK_HEADER } from "./meta.ts";

const TIMEOUT_MS = 10_000;

/** A chunk as it lies in the stream. */
export interface Found {
  /** Its sequence. */
  readonly seq: number;
  /** Its content; the client's buffer. */
  readonly data: Uint8Array;
  /** When it was stored. */
  readonly time: Date;
  /** Its number in its object, where it was written here. */
  readonly index: number | undefined;
}

/** Asks for a message; undefined when there is none. Throws when the server does not answer or refuses. */
export async function direct(
  { settings: { stream } }: Session,
  link: Link,
  question: { readonly seq?: number; readonly next_by_subj?: string; readonly last_by_subj?: string },
): Promise<Found | undefined> {
  const subject = `${link.prefix}.DIRECT.GET.${stream}`;
  let answer;
  try {
    answer = await link.nc.request(subject, JSON.stringify(question), { timeout: TIMEOUT_MS });
  } catch (cause) {
    const told = cause instanceof Error
      ? `${cause.name} ${cause.message} ${messageOf(cause.cause ?? "")}`
      : String(cause);
    if (/permission/i.test(told)) throw new Error(`this user may not use "${subject}"`, { cause });
    if (/no ?responders/i.test(told)) throw new Error(`nobody answers "${subject}"`, { cause });
    throw new Error(`no answer to "${subject}" (${told.trim()})`, { cause });
  }
  const { headers, data } = answer;
  if (headers?.code === 404) return undefined;
  if (!headers || headers.code !== 0) {
    throw new Error(`the server answers ${headers?.code} ${headers?.description}`);
  }
  const index = headers.get(CHUNK_HEADER);
  return {
    seq: Number(headers.get("Nats-Sequence")),
    data,
    time: new Date(headers.get("Nats-Time-Stamp")),
    index: index === "" ? undefined : Number(index),
  };
}
