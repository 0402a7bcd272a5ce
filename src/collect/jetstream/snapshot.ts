/**
 * One stream's snapshot, taken as the server takes it (`$JS.API.STREAM.SNAPSHOT`): exact to the sequence and the nanosecond.
 *
 * @module
 */
import type { Msg } from "@nats-io/transport-node";
import { IntegrityError, messageOf } from "../../errors.ts";
import { type Spool, spool, SPOOL_MEMORY } from "../spool.ts";
import { type ExactObject, integerAt, objectAt, textAt } from "../../nats/exact.ts";
import { type FrameCheck, frameCheck, type SnapshotShape } from "./frames.ts";
import type { Link } from "../../nats/link.ts";

/** How a snapshot is taken. */
export interface SnapshotOptions {
  /** Gives up. */
  readonly signal: AbortSignal;
  /** Whether consumers come along, with their positions. */
  readonly consumers: boolean;
  /** Silence after which the server counts as gone, in milliseconds. */
  readonly idleMs: number;
  /** Where what does not fit into memory waits. */
  readonly spoolDir?: string | undefined;
  /** Told how many bytes have come. */
  readonly progress?: ((bytes: number) => void) | undefined;
}

/** A snapshot that is whole. */
export interface Snapshot extends SnapshotShape {
  /** The stream. */
  readonly name: string;
  /** Its configuration, as the server words it. */
  readonly config: ExactObject;
  /** Its state at the cut. */
  readonly state: ExactObject;
  /** When the server had made the cut. */
  readonly cutAt: Date;
  /** The bytes; whoever gets the snapshot closes it. */
  readonly content: Spool;
}

/** The most that a server sends at once: twice as fast as the 128 KiB that others ask for. A message may have no more than `max_payload`. */
const CHUNK = 1024 * 1024;
/** Blocks of the spool that are sealed beside this thread, which has acknowledgements to send. */
const SEALED_BESIDE = 2;
/** A cluster elects within seconds, or cannot. */
const LEADER_MS = 20_000;
/** A server that checks or flushes first answers late. */
const ANSWER_MS = 60_000;

/**
 * Takes a snapshot. Throws unless the server ended it well and its end is the end of an archive that holds what the server
 * announced.
 */
export async function takeSnapshot(link: Link, name: string, options: SnapshotOptions): Promise<Snapshot> {
  await hasLeader(link, name, options.signal);
  const chunk = Math.min(CHUNK, link.nc.info?.max_payload ?? CHUNK);
  try {
    return await take(link, name, options, chunk);
  } catch (error) {
    // A snapshot whose length is a multiple of the chunk may end in "500" without a reason: another chunk, another end.
    if (!(error instanceof SpuriousEnd)) throw error;
    return await take(link, name, options, chunk - 1024);
  }
}

class SpuriousEnd extends Error {}

/** In a cluster nobody answers for a stream that is electing its leader, so that the request would be lost. */
async function hasLeader({ nc, api }: Link, name: string, signal: AbortSignal): Promise<void> {
  if (nc.info?.cluster === undefined) return;
  let why: unknown = "it has no leader";
  for (const start = performance.now(); performance.now() - start < LEADER_MS;) {
    signal.throwIfAborted();
    try {
      const info = await api(`STREAM.INFO.${name}`, "", 2_000);
      if (textAt(objectAt(info, "cluster"), "leader") !== "") return;
    } catch (cause) {
      why = cause;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no server leads it: ${messageOf(why)}`, { cause: why });
}

async function take(link: Link, name: string, options: SnapshotOptions, chunk: number): Promise<Snapshot> {
  const { nc } = link;
  const content = spool(`the snapshot of "${name}"`, options.spoolDir, SPOOL_MEMORY, SEALED_BESIDE);
  const inbox = `_INBOX.${crypto.randomUUID()}`;
  const frames = frameCheck();
  // Before the request: the server sends as soon as it has answered, whether anybody listens or not.
  const transfer = receive(link, inbox, content, frames, options);
  try {
    await nc.flush();
    const request = { deliver_subject: inbox, chunk_size: chunk, no_consumers: !options.consumers };
    const answer = await Promise.race([
      link.api(`STREAM.SNAPSHOT.${name}`, JSON.stringify(request), ANSWER_MS),
      transfer.failed,
    ]);
    const cutAt = new Date();
    transfer.watch();
    await transfer.ended;
    const shape = frames.end();
    const state = objectAt(answer, "state");
    await checkBytes(link, name, state, shape);
    return { name, config: objectAt(answer, "config"), state, cutAt, content, ...shape };
  } catch (error) {
    content.close();
    throw error;
  } finally {
    transfer.stop();
  }
}

interface Transfer {
  /** Resolves when the server has ended the snapshot well. */
  readonly ended: Promise<void>;
  /** Rejects when it has not. */
  readonly failed: Promise<never>;
  /** From now on silence is a failure. */
  readonly watch: () => void;
  /** Lets go. */
  readonly stop: () => void;
}

function receive(
  { nc, onLost }: Link,
  inbox: string,
  content: Spool,
  frames: FrameCheck,
  { signal, idleMs, progress }: SnapshotOptions,
): Transfer {
  const done = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  let heard = performance.now();
  let timer: ReturnType<typeof setInterval> | undefined;
  const fail = (error: unknown): void => failed.reject(error);

  function onMessage(error: Error | null, message: Msg): void {
    try {
      if (error) throw error;
      heard = performance.now();
      // At once, before any disk: the server gives up after five seconds without.
      if (message.reply) nc.publish(message.reply);
      if (message.data.length === 0) return finish(message, done.resolve);
      content.write(message.data);
      frames.add(message.data);
      progress?.(content.size());
    } catch (failure) {
      fail(failure);
    }
  }

  const subscription = nc.subscribe(inbox, { callback: onMessage });
  const forget = onLost(fail);
  const abort = (): void => fail(signal.reason);
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  const ended = Promise.race([done.promise, failed.promise]);
  ended.catch(() => {});
  return {
    ended,
    failed: failed.promise,
    watch: () => {
      heard = performance.now();
      timer = setInterval(() => {
        const silent = performance.now() - heard;
        if (silent > idleMs) {
          fail(new Error(`the server has been silent for ${(silent / 1000).toFixed(1)} s`));
        }
      }, Math.min(1000, idleMs / 4));
    },
    stop: () => {
      clearInterval(timer);
      forget();
      signal.removeEventListener("abort", abort);
      if (!nc.isClosed()) subscription.unsubscribe();
    },
  };
}

/** No status, or 204, ends a snapshot well; the frames then say whether that is true. */
function finish({ headers }: Msg, resolve: () => void): void {
  if (!headers || headers.code === 0 || headers.code === 204) return resolve();
  const why = headers.description.trim();
  if (headers.code === 500 && why === "") throw new SpuriousEnd("the server ended it without a reason");
  throw new Error(`the server gave up: ${headers.code} ${why}`.trim());
}

/** A snapshot holds at least the bytes that the server counted, unless they were deleted meanwhile. */
async function checkBytes(link: Link, name: string, state: ExactObject, shape: SnapshotShape): Promise<void> {
  const announced = integerAt(state, "bytes");
  if (shape.format !== "tar" || BigInt(shape.unpackedBytes) >= announced) return;
  const now = await link.api(`STREAM.INFO.${name}`).catch((cause) => {
    throw new Error(`it is shorter than announced, and asking again failed: ${messageOf(cause)}`, { cause });
  });
  if (BigInt(shape.unpackedBytes) >= integerAt(objectAt(now, "state"), "bytes")) return;
  throw new IntegrityError(
    `it holds ${shape.unpackedBytes} bytes, the server announced ${announced}: the server cut it short`,
  );
}
