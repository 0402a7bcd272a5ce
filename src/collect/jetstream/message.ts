/**
 * One message as a line of JSON that people and `jq` can read, and the choice among messages.
 *
 * @module
 */
import { utf8 } from "../../bytes.ts";
import {
  type Exact,
  exactNumber,
  type ExactObject,
  integerAt,
  isObject,
  objectAt,
  parseExact,
  textAt,
  writeExact,
} from "../../nats/exact.ts";

/** Which messages of a stream. Limits count in: all of them must be met. */
export interface MessageChoice {
  /** Subjects with NATS' wildcards: `orders.*`, `orders.>`. Default: all. */
  readonly subjects?: readonly string[] | undefined;
  /** From this time on. */
  readonly since?: Date | undefined;
  /** Up to before this time. */
  readonly until?: Date | undefined;
  /** From this sequence on. */
  readonly firstSeq?: number | bigint | undefined;
  /** Up to this sequence, with it. */
  readonly lastSeq?: number | bigint | undefined;
}

/** A message. */
export interface Message {
  /** Where it was published. */
  readonly subject: string;
  /** Its number in the stream. */
  readonly sequence: bigint;
  /** When the stream took it: RFC 3339 with nanoseconds, as the server words it. */
  readonly time: string;
  /** Its headers, names as they were written. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Its content. */
  readonly payload: Uint8Array;
}

/** Whether a message is chosen. Throws TypeError or RangeError for a choice that makes no sense. */
export function messageFilter(choice: MessageChoice): (message: Message) => boolean {
  const { subjects = [], since, until } = choice;
  if (!Array.isArray(subjects) || !subjects.every(isSubject)) {
    throw new TypeError('Cannot choose messages: "subjects" must be a list of subjects such as "orders.>"');
  }
  for (const time of [since, until]) {
    if (time !== undefined && !(time instanceof Date && Number.isFinite(time.getTime()))) {
      throw new TypeError('Cannot choose messages: "since" and "until" must be valid dates');
    }
  }
  const { first, last } = sequencesOf(choice);
  const patterns = subjects.map(patternOf);
  return ({ subject, sequence, time }) =>
    sequence >= first && (last === undefined || sequence <= last) &&
    (since === undefined || Date.parse(time) >= since.getTime()) &&
    (until === undefined || Date.parse(time) < until.getTime()) &&
    (patterns.length === 0 || patterns.some((pattern) => pattern.test(subject)));
}

/** The chosen sequences. Throws RangeError for what is none. */
export function sequencesOf(
  { firstSeq = 0, lastSeq }: MessageChoice,
): { readonly first: bigint; readonly last: bigint | undefined } {
  for (const seq of [firstSeq, lastSeq ?? 0]) {
    if (typeof seq === "bigint" ? seq >= 0n : Number.isSafeInteger(seq) && seq >= 0) continue;
    throw new RangeError(`Cannot choose messages: ${String(seq)} is no sequence`);
  }
  const last = lastSeq === undefined ? undefined : BigInt(lastSeq);
  if (last !== undefined && last < BigInt(firstSeq)) {
    throw new RangeError(`Cannot choose messages: firstSeq ${firstSeq} comes after lastSeq ${lastSeq}`);
  }
  return { first: BigInt(firstSeq), last };
}

function isSubject(value: unknown): boolean {
  return typeof value === "string" && /^[^\s.]+(?:\.[^\s.]+)*$/.test(value) && !/>./.test(value);
}

function patternOf(subject: string): RegExp {
  const tokens = subject.split(".").map((token) => {
    if (token === "*") return "[^.]+";
    return token === ">" ? ".+" : token.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
  });
  return new RegExp(`^${tokens.join("\\.")}$`, "s");
}

/** A message as `STREAM.MSG.GET` answers it. Throws SyntaxError for headers that no client could send again. */
export function messageIn(answer: ExactObject): Message {
  const message = objectAt(answer, "message");
  const hdrs = textAt(message, "hdrs");
  return {
    subject: textAt(message, "subject"),
    sequence: integerAt(message, "seq"),
    time: textAt(message, "time"),
    headers: hdrs === "" ? [] : headersIn(Uint8Array.fromBase64(hdrs)),
    payload: Uint8Array.fromBase64(textAt(message, "data")),
  };
}

/** The lines between "NATS/1.0" and the empty one. */
function headersIn(block: Uint8Array): (readonly [string, string])[] {
  const [start, ...lines] = new TextDecoder("utf-8", { fatal: true }).decode(block).split("\r\n");
  if (start !== "NATS/1.0" || lines.pop() !== "" || lines.pop() !== "") {
    throw new SyntaxError("its headers are not those of a NATS message");
  }
  return lines.map((line) => {
    const at = line.indexOf(":");
    if (at < 1) throw new SyntaxError("its headers are not those of a NATS message");
    return [line.slice(0, at), line.slice(at + 1).replace(/^[ \t]+/, "")];
  });
}

/** `{"subject":...,"sequence":...,"time":...,"headers":{...},"text":...}` and a newline; `base64` where it is not UTF-8. */
export function lineOf({ subject, sequence, time, headers, payload }: Message): Uint8Array {
  const grouped: Record<string, string[]> = Object.create(null);
  for (const [name, value] of headers) (grouped[name] ??= []).push(value);
  const content = decoded(payload);
  return utf8(
    writeExact({
      subject,
      sequence: exactNumber(sequence),
      time,
      ...(headers.length > 0 ? { headers: grouped } : {}),
      ...(content === undefined ? { base64: payload.toBase64() } : { text: content }),
    }) + "\n",
  );
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** A message from its line. Throws SyntaxError. */
export function messageOfLine(line: string): Message {
  const value = parseExact(line);
  const { sequence } = value;
  const subject = textAt(value, "subject");
  if (subject === "" || typeof sequence !== "object" || integerAt(value, "sequence") < 1n) {
    throw new SyntaxError("it has no subject or no sequence");
  }
  return {
    subject,
    sequence: integerAt(value, "sequence"),
    time: textAt(value, "time"),
    headers: isObject(value.headers) ? flat(value.headers) : [],
    payload: payloadOf(value),
  };
}

function flat(headers: ExactObject): (readonly [string, string])[] {
  return Object.entries(headers).flatMap(([name, values]) =>
    (Array.isArray(values) ? values as readonly Exact[] : [values]).map((value) => {
      if (typeof value !== "string") throw new SyntaxError(`its header "${name}" is not text`);
      return [name, value] as const;
    })
  );
}

function payloadOf(value: ExactObject): Uint8Array {
  if (typeof value.text === "string") return utf8(value.text);
  if (typeof value.base64 === "string") return Uint8Array.fromBase64(value.base64);
  throw new SyntaxError('it has neither "text" nor "base64"');
}
