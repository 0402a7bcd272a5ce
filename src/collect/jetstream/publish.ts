/**
 * Messages back into a stream, one by one, several under way at once.
 *
 * @module
 */
import { StringDecoder } from "node:string_decoder";
import { IntegrityError, messageOf } from "../../errors.ts";
import { type ExactObject, integerAt, textAt, writeExact } from "../../nats/exact.ts";
import { type Link, readAnswer } from "../../nats/link.ts";
import type { Bytes } from "../../stage.ts";
import type { Stored } from "./gather.ts";
import { type Message, type MessageChoice, messageFilter, messageOfLine } from "./message.ts";

/** Messages under way: more would overrun what a server queues for one stream. */
const WINDOW = 128;
const ANSWER_MS = 30_000;
/** Longest line: NATS allows payloads of 64 MiB, which base64 makes a third longer. */
const LINE_LIMIT = 96 * 1024 * 1024;

/** What a header of the first publication would now refuse, or take for a repetition. */
const ONCE = /^(?:Nats-Expected-.*|Nats-Msg-Id)$/i;

/** Makes the stream, unless it is there already, and publishes the chosen messages in their order. Gives its state. */
export async function publishMessages(
  link: Link,
  stored: Stored,
  choice: MessageChoice,
  exists: boolean,
  signal: AbortSignal,
): Promise<{ readonly answer: ExactObject; readonly published: bigint }> {
  const { name, config } = stored;
  // A sealed one would take nothing.
  if (!exists) await link.api(`STREAM.CREATE.${name}`, writeExact({ ...config, sealed: false }), ANSWER_MS);
  const wanted = messageFilter(choice);
  const waiting: Promise<void>[] = [];
  let published = 0n;
  for await (const message of messagesIn(stored)) {
    signal.throwIfAborted();
    if (!wanted(message)) continue;
    if (waiting.length >= WINDOW) await waiting.shift();
    const subject = stored.subject?.(message.subject) ?? message.subject;
    const sent = publish(link, name, { ...message, subject });
    sent.catch(() => {}); // seen when its turn comes
    waiting.push(sent);
    published++;
  }
  for (const sent of waiting) await sent;
  return { answer: await link.api(`STREAM.INFO.${name}`), published };
}

async function publish(
  link: Link,
  stream: string,
  { subject, headers, payload, sequence }: Message,
): Promise<void> {
  const nats = await import("@nats-io/transport-node");
  const all = nats.headers();
  for (const [name, value] of headers) if (!ONCE.test(name)) all.append(name, value, nats.Match.Exact);
  all.set("Nats-Expected-Stream", stream, nats.Match.Exact);
  try {
    const { data } = await link.nc.request(subject, payload, { headers: all, timeout: ANSWER_MS });
    const answer = readAnswer(data);
    if (textAt(answer, "stream") !== stream || integerAt(answer, "seq") < 1n) {
      throw new Error("it was not taken");
    }
  } catch (cause) {
    throw new Error(`message ${sequence} on "${subject}" was refused: ${messageOf(cause)}`, { cause });
  }
}

/** Reads a copy to its end. Throws {@linkcode IntegrityError} unless every line is a message and none is missing. */
export async function checkMessages(stored: Stored): Promise<void> {
  let count = 0n;
  for await (const _ of messagesIn(stored)) count++;
  const noted = integerAt(stored.state, "messages");
  if (count === noted) return;
  throw new IntegrityError(
    `Cannot restore the stream "${stored.name}": ${count} of its ${noted} messages are in the backup. Use another backup`,
  );
}

/** The messages of a copy. Throws {@linkcode IntegrityError} that names the line. */
export async function* messagesIn({ name, content }: Stored): AsyncGenerator<Message, void, undefined> {
  let number = 0;
  for await (const line of linesOf(content.read(), name)) {
    number++;
    try {
      yield messageOfLine(line);
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      throw new IntegrityError(`Cannot read message ${number} of "${name}": ${messageOf(cause)}`, { cause });
    }
  }
}

async function* linesOf(bytes: Bytes, name: string): AsyncGenerator<string, void, undefined> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of bytes) {
    const parts = (rest + decoder.write(chunk)).split("\n");
    rest = parts.pop()!;
    if (rest.length > LINE_LIMIT) throw new IntegrityError(`Cannot read "${name}": a line of it has no end`);
    yield* parts;
  }
  if (rest !== "") throw new IntegrityError(`Cannot read "${name}": its last line is torn`);
}
