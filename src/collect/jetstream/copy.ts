/**
 * A stream copied message by message: for streams in memory, which the server cannot snapshot, and for copies that other programs
 * can read. Numbers and times are in the copy; a stream that takes the messages again gives them new ones.
 *
 * @module
 */
import { messageOf } from "../../errors.ts";
import { exactNumber, type ExactObject, integerAt, objectAt } from "../../nats/exact.ts";
import { ApiError, type Link } from "../../nats/link.ts";
import { spool } from "../spool.ts";
import {
  lineOf,
  type Message,
  type MessageChoice,
  messageFilter,
  messageIn,
  sequencesOf,
} from "./message.ts";
import type { Snapshot, SnapshotOptions } from "./snapshot.ts";
import type { StreamInfo } from "./streams.ts";

/** Requests under way. */
const WINDOW = 128;
/** One message after the other is so much slower than many at once. */
const RARE = 64n;
/** JetStream's code for "no message found". */
const NO_MESSAGE = 10037;

/** Copies the chosen messages that the stream holds now. Throws when one cannot be read. */
export async function copyMessages(
  link: Link,
  { name }: StreamInfo,
  choice: MessageChoice,
  options: SnapshotOptions,
): Promise<Snapshot> {
  const content = spool(`the messages of "${name}"`, options.spoolDir);
  try {
    const info = await link.api(`STREAM.INFO.${name}`);
    const cutAt = new Date();
    const config = objectAt(info, "config");
    const state = objectAt(info, "state");
    const wanted = messageFilter(choice);
    let count = 0n;
    let first: bigint | undefined;
    let last = 0n;
    for await (const message of messagesOf(link, name, state, choice, options.signal)) {
      if (!wanted(message)) continue;
      content.write(lineOf(message));
      options.progress?.(content.size());
      count++;
      first ??= message.sequence;
      last = message.sequence;
    }
    return {
      name,
      config,
      state: {
        messages: exactNumber(count),
        first_seq: exactNumber(first ?? 0n),
        last_seq: exactNumber(last),
        consumer_count: exactNumber(0n),
      },
      cutAt,
      content,
      format: "messages",
      unpackedBytes: content.size(),
    };
  } catch (error) {
    content.close();
    throw error;
  }
}

/** Messages in order, up to the last one of `state`; what is removed meanwhile is passed over. */
async function* messagesOf(
  link: Link,
  name: string,
  state: ExactObject,
  choice: MessageChoice,
  signal: AbortSignal,
): AsyncGenerator<Message, void, undefined> {
  const chosen = sequencesOf(choice);
  // An empty stream may say that its first message is number 0; there is none.
  const from = max(max(integerAt(state, "first_seq"), 1n), chosen.first);
  const to = chosen.last === undefined
    ? integerAt(state, "last_seq")
    : min(integerAt(state, "last_seq"), chosen.last);
  const held = integerAt(state, "messages");
  // Where most numbers are taken they are asked for many at a time; else each answer tells where the next one is.
  const dense = held * 2n >= integerAt(state, "last_seq") - integerAt(state, "first_seq");
  const subject = choice.subjects?.length === 1 ? choice.subjects[0]! : ">";
  if (!dense || await isRare(link, name, subject, held)) {
    return yield* scattered(link, name, subject, { from, to }, signal);
  }
  const waiting: Promise<Message | undefined>[] = [];
  for (let next = from; next <= to || waiting.length > 0;) {
    signal.throwIfAborted();
    for (; next <= to && waiting.length < WINDOW; next++) {
      const answer = get(link, name, `{"seq":${next}}`);
      answer.catch(() => {}); // seen when its turn comes
      waiting.push(answer);
    }
    const message = await waiting.shift()!;
    if (message) yield message;
  }
}

async function* scattered(
  link: Link,
  name: string,
  subject: string,
  { from, to }: { readonly from: bigint; readonly to: bigint },
  signal: AbortSignal,
): AsyncGenerator<Message, void, undefined> {
  for (let next = from; next <= to;) {
    signal.throwIfAborted();
    const message = await get(link, name, JSON.stringify({ next_by_subj: subject, seq: exactNumber(next) }));
    if (!message || message.sequence > to) return;
    yield message;
    next = message.sequence + 1n;
  }
}

/** Whether so few of the messages are on the subject that it is quicker to ask for one after the other than for all at once. */
async function isRare(link: Link, name: string, subject: string, held: bigint): Promise<boolean> {
  if (subject === ">") return false;
  const info = await link.api(`STREAM.INFO.${name}`, JSON.stringify({ subjects_filter: subject }));
  const subjects = objectAt(objectAt(info, "state"), "subjects");
  const names = Object.keys(subjects);
  // The server names so many subjects at once; where it has more, they are not few.
  if (integerAt(info, "total") > BigInt(names.length)) return false;
  const matching = names.reduce((sum, one) => sum + integerAt(subjects, one), 0n);
  return matching * RARE < held;
}

async function get(link: Link, name: string, request: string): Promise<Message | undefined> {
  try {
    return messageIn(await link.api(`STREAM.MSG.GET.${name}`, request));
  } catch (cause) {
    if (cause instanceof ApiError && cause.code === NO_MESSAGE) return undefined;
    throw new Error(`Cannot read a message of "${name}" (${request}): ${messageOf(cause)}`, { cause });
  }
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
