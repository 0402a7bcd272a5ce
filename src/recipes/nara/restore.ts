/**
 * Giving a log back to a nara: only what it lacks and would keep, introductions first, then oldest first; and what it really kept.
 *
 * @module
 */
import { asker, PeerError, showUrl } from "../../collect/events/ask.ts";
import { readEvents } from "../../collect/events.ts";
import { type IdSet, idSet } from "../../collect/events/ids.ts";
import { scanEvent } from "../../collect/events/scan.ts";
import { type Sorter, sorter } from "../../collect/events/sorter.ts";
import { type Spool, spooled } from "../../collect/spool.ts";
import { text, utf8 } from "../../bytes.ts";
import { KeyError, messageOf } from "../../errors.ts";
import type { Bytes, Context, U8 } from "../../stage.ts";
import { type Limits, limitsOf } from "./limits.ts";
import { type Selection, selects } from "./choose.ts";
import { type NaraEvent, problemOf, readEvent } from "./event.ts";
import { eachLine, isBlank } from "./lines.ts";
import { type Parcel, probe, send, type SendOptions, type Tally } from "./send.ts";
import { parseSoul } from "./soul.ts";
import { baseOf, type Caller, naraPages, SHAPE } from "./sync.ts";

/** What is given back, and to whom. */
export interface GiveBackOptions extends Selection {
  /** The nara's address. */
  readonly target: string;
  /** Its soul. */
  readonly soul: () => string | Promise<string>;
  /** Its name. Default: what it says. */
  readonly name?: string | undefined;
  /** The log, one event a line. */
  readonly lines: () => Bytes;
  /** Events in a batch. Default: 2,000. */
  readonly batch?: number | undefined;
  /** Milliseconds for everything. Default: 300,000. */
  readonly timeoutMs?: number | undefined;
  /** Only says what would be done. */
  readonly dryRun?: boolean | undefined;
}

/** What became of a log. All numbers are of events. */
export interface GiveBackResult {
  /** Lines read that are events a nara can take, and are wanted; each counted once. */
  readonly events: number;
  /** Lines left out: no event, or one that naras refuse or break on. */
  readonly bad: number;
  /** The nara had them. */
  readonly present: number;
  /** Not sent: it would drop them by its caps (5 pings of a target, 20 observations of a pair, its largest number of events). */
  readonly capped: number;
  /** Its own that it drops for better ones. */
  readonly replaced: number;
  /** Sent. */
  readonly sent: number;
  /** Taken, as it says. */
  readonly imported: number;
  /** Sent and not taken, as it says. */
  readonly duplicates: number;
  /** Each found to break a batch. */
  readonly refused: number;
  /** Taken without a key to verify their signature. */
  readonly unverified: number;
  /** Of those sent, what is there afterwards. */
  readonly kept: number;
}

/**
 * Gives events back. The nara's ledger is read first, so that a second run sends nothing and an interrupted one goes on; and last, to
 * tell what it kept. A bad line or event is a warning ("line", "refused") and does not stop the others. Throws {@linkcode KeyError} when
 * the soul is not the nara's, before anything is sent.
 */
export async function giveBack(options: GiveBackOptions, context: Context): Promise<GiveBackResult> {
  const { batch = 2000, timeoutMs = 300_000 } = options;
  const over = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([context.signal, over]);
  const session = await open(options, { ...context, signal });
  try {
    const log = await readLog(options, session.context);
    using queue = spooled("events to send", undefined);
    const plan = await choose(log, session, queue);
    const tally: Tally = { imported: 0, duplicates: 0, unverified: 0 };
    const facts = { ...plan.facts, sent: 0, refused: 0, kept: 0 };
    if (!options.dryRun && plan.facts.events > 0) {
      const sent = idSet();
      let refused = 0;
      const sending: SendOptions = {
        ...session,
        refused: (parcel, reason) => {
          refused++;
          context.log.warn("refused", `The event "${parcel.id.slice(0, 64)}" is not taken: ${reason}`);
        },
      };
      facts.sent = await sendAll(queue, plan.dropped, batch, tally, sending, sent, session.context);
      facts.refused = refused;
      if (facts.sent > 0) facts.kept = await countKept(session, sent);
    }
    return { ...facts, ...tally, bad: log.bad };
  } catch (error) {
    if (over.aborted && !context.signal.aborted) {
      throw new Error(
        `Cannot restore within ${timeoutMs / 1000} s. Run again: what has arrived is not sent twice`,
        {
          cause: error,
        },
      );
    }
    if (error instanceof PeerError) {
      throw new Error(`Cannot restore to ${showUrl(options.target)}: ${error.message}`, { cause: error });
    }
    throw error;
  }
}

/** A conversation with the nara. */
export interface Session extends Omit<SendOptions, "refused"> {
  /** Who speaks. */
  readonly caller: Caller;
  /** The run. */
  readonly context: Context;
}

/** Makes sure that the soul is the nara's before anything is read. */
async function open(options: GiveBackOptions, context: Context): Promise<Session> {
  const soul = parseSoul(await options.soul());
  const target = baseOf(options.target);
  const asking = { signal: context.signal, requestTimeoutMs: 30_000, received: (): void => {} };
  const ask = asker({ ...asking, attempts: 1 });
  try {
    const shown = await asker({ ...asking, attempts: 4 })({ url: `${target}/ping` }, ({ body }) => {
      const { from, public_key } = JSON.parse(text(body)) as { from?: string; public_key?: string };
      return { from: from ?? "", key: public_key ?? "" };
    });
    if (shown.key !== soul.publicKey) {
      throw new KeyError(
        `Cannot restore to ${showUrl(target)}: the soul is not that of "${shown.from}", which answers there`,
      );
    }
    const name = options.name ?? shown.from;
    if (name !== shown.from) {
      throw new KeyError(
        `Cannot restore to ${showUrl(target)}: "${shown.from}" answers there, not "${name}"`,
      );
    }
    const session = { target, soul, ask, caller: { name, soul }, context };
    await probe({ ...session, refused: () => {} });
    return session;
  } catch (error) {
    if (error instanceof PeerError) {
      throw new Error(`Cannot restore to ${showUrl(target)}: ${error.message}`, { cause: error });
    }
    throw error;
  }
}

interface LogRead {
  /** Events that introduce someone: others are verified by them. */
  readonly introductions: Sorter;
  /** All others. */
  readonly rest: Sorter;
  readonly bad: number;
}

async function readLog(options: GiveBackOptions, context: Context): Promise<LogRead> {
  const wanted = selects(options);
  const introductions = sorter({ memoryBytes: 16 << 20 });
  const rest = sorter({ memoryBytes: 32 << 20 });
  let bad = 0;
  await eachLine(options.lines(), (line, number, whole) => {
    context.signal.throwIfAborted();
    if (isBlank(line)) return;
    const event = tryEvent(line);
    const problem = typeof event === "string" ? event : problemOf(event);
    if (problem !== undefined || typeof event === "string") {
      bad++;
      context.log.warn(
        "line",
        `Line ${number} is left out: ${problem}${whole ? "" : " (the log was cut here)"}`,
      );
    } else if (wanted(event)) (event.svc === "hey-there" ? introductions : rest).add(scanEvent(line, SHAPE));
  });
  return { introductions, rest, bad };
}

function tryEvent(line: U8): NaraEvent | string {
  try {
    scanEvent(line, SHAPE);
    return readEvent(text(line));
  } catch (error) {
    return messageOf(error);
  }
}

interface Choice {
  readonly facts: Pick<GiveBackResult, "events" | "present" | "capped" | "replaced">;
  readonly dropped: ReadonlySet<number>;
}

/** Queues what the nara lacks, in the order of sending, and finds out what it would not keep. */
async function choose(log: LogRead, session: Session, queue: Spool): Promise<Choice> {
  const present = idSet();
  const limits = await limitsOf(session);
  let own = 0;
  await eachOwn(session, (event) => {
    const id = utf8(event.id);
    present.add(id, 0, id.length);
    if (problemOf(event) === undefined) limits.note(event, -++own);
  });
  let events = 0;
  let candidates = 0;
  for (const part of [log.introductions, log.rest]) {
    for await (const block of part.lines()) {
      await eachLine(streamOf(block), (line) => {
        events++;
        if (!lacks(line, present, limits, candidates)) return;
        candidates++;
        queue.write(line);
        queue.write(NEWLINE);
      });
    }
    part.close();
  }
  const dropped = limits.judge();
  const capped = [...dropped].filter((number) => number >= 0).length;
  // Its own make room only when something comes.
  const replaced = capped < candidates ? dropped.size - capped : 0;
  return { dropped, facts: { events, present: events - candidates, capped, replaced } };
}

const NEWLINE = utf8("\n");

function lacks(line: U8, present: IdSet, limits: Limits, candidate: number): boolean {
  const event = readEvent(text(line));
  const id = utf8(event.id);
  if (present.has(id, 0, id.length)) return false;
  limits.note(event, candidate);
  return true;
}

function streamOf(block: U8): Bytes {
  return new ReadableStream<U8>({
    start: (controller): void => {
      controller.enqueue(block);
      controller.close();
    },
  });
}

async function sendAll(
  queue: Spool,
  dropped: ReadonlySet<number>,
  batch: number,
  tally: Tally,
  sending: SendOptions,
  sent: IdSet,
  context: Context,
): Promise<number> {
  let number = 0;
  let count = 0;
  let bytes = 0;
  let parcels: Parcel[] = [];
  const flush = async (): Promise<void> => {
    await send(parcels, tally, sending);
    count += parcels.length;
    parcels = [];
    context.progress({ phase: "restore", bytes, totalBytes: queue.size() });
  };
  for await (const chunk of wholeLines(queue.read())) {
    for (const line of chunk) {
      bytes += line.length + 1;
      if (dropped.has(number++)) continue;
      const { id } = readEvent(line);
      const raw = utf8(id);
      sent.add(raw, 0, raw.length);
      parcels.push({ id, line });
      if (parcels.length >= batch) await flush();
    }
  }
  await flush();
  return count;
}

/** The lines of a stream, as many at a time as a chunk has. */
async function* wholeLines(bytes: Bytes): AsyncGenerator<string[], void, undefined> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of bytes) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield lines;
  }
}

async function countKept(session: Session, sent: IdSet): Promise<number> {
  let kept = 0;
  await eachOwn(session, ({ id }) => {
    const raw = utf8(id);
    if (sent.has(raw, 0, raw.length)) kept++;
  });
  return kept;
}

/** Every event that the nara has now. */
async function eachOwn(
  { target, caller, context }: Session,
  take: (event: NaraEvent) => void,
): Promise<void> {
  const read = await readEvents({ peers: [target], pages: naraPages(() => Promise.resolve(caller)) }, {
    ...context,
    log: { info: () => {}, warn: () => {} },
    progress: () => {},
  });
  try {
    const [report] = read.reports;
    if (report?.failure !== undefined) {
      throw new PeerError(`its ledger cannot be read: ${report.failure}`, false);
    }
    for await (const block of read.lines()) {
      for (const line of text(block).split("\n")) if (line !== "") take(readEvent(line));
    }
  } finally {
    read.close();
  }
}
