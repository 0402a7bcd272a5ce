/**
 * One stream's snapshot, taken as the server takes it (`$JS.API.STREAM.SNAPSHOT`): exact to the sequence and the nanosecond.
 *
 * @module
 */
import { IntegrityError, messageOf } from "../../errors.ts";
import { type Spool, spool, SPOOL_MEMORY } from "../spool.ts";
import { type ExactObject, integerAt, objectAt, textAt } from "../../nats/exact.ts";
import { type FrameCheck, frameCheck, type SnapshotShape } from "./frames.ts";
import { ApiError, type Link } from "../../nats/link.ts";
import { receive, type Transfer } from "./receive.ts";

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

/** What a stream was when the server made the cut. */
export interface Cut {
  /** The stream. */
  readonly name: string;
  /** Its configuration, as the server words it. */
  readonly config: ExactObject;
  /** Its state at the cut. */
  readonly state: ExactObject;
  /** When the server had made the cut. */
  readonly cutAt: Date;
}

/** A snapshot that is whole. */
export interface Snapshot extends Cut, SnapshotShape {
  /** The bytes; whoever gets the snapshot closes it. */
  readonly content: Spool;
}

/** What a server sends at once: quicker than the 128 KiB that others ask for, and than more. A message may have no more than `max_payload`. */
const CHUNK = 256 * 1024;
/** Blocks of the spool that are sealed beside this thread, which has acknowledgements to send. */
const SEALED_BESIDE = 2;
/** A cluster elects within seconds, or cannot. */
const LEADER_MS = 20_000;
/** JetStream's code for "stream not found". */
const NOT_FOUND = 10059;
/** The least time that a server gets to answer at all. */
const FLUSH_MS = 3_000;
/** How long it may take to learn why nothing comes. */
const ASK_MS = 1_000;
/** A server that checks or flushes first answers late. */
const ANSWER_MS = 60_000;

/**
 * Takes a snapshot. Throws unless the server ended it well and its end is the end of an archive that holds what the server
 * announced.
 */
export async function takeSnapshot(link: Link, name: string, options: SnapshotOptions): Promise<Snapshot> {
  await hasLeader(link, name, options.signal);
  const content = spool(`the snapshot of "${name}"`, options.spoolDir, SPOOL_MEMORY, SEALED_BESIDE);
  const inbox = `_INBOX.${crypto.randomUUID()}`;
  const frames = frameCheck();
  // Before the request: the server sends as soon as it has answered, whether anybody listens or not.
  const transfer = receive(link, inbox, options, (piece, acknowledge) => {
    acknowledge(); // before any disk
    content.write(piece);
    frames.add(piece);
    options.progress?.(content.size());
  });
  try {
    const cut = await request(link, name, inbox, options, transfer);
    return { ...cut, content, ...await whole(link, cut, transfer, frames) };
  } catch (error) {
    content.close();
    throw error;
  } finally {
    transfer.stop();
  }
}

/** In a cluster nobody answers for a stream that is electing its leader, so that the request would be lost. */
export async function hasLeader({ nc, api }: Link, name: string, signal: AbortSignal): Promise<void> {
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

function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.code === NOT_FOUND;
}

/** Asks for the snapshot. `failed` rejects when nothing can come any more. */
export async function request(
  link: Link,
  name: string,
  inbox: string,
  { consumers, idleMs }: SnapshotOptions,
  { failed, watch }: Transfer,
): Promise<Cut> {
  // A server that does not even answer this has stopped; one that does may still need long for the snapshot's beginning.
  await within(Promise.race([link.nc.flush(), failed]), Math.max(idleMs, FLUSH_MS));
  const chunk = Math.min(CHUNK, link.nc.info?.max_payload ?? CHUNK);
  const body = JSON.stringify({ deliver_subject: inbox, chunk_size: chunk, no_consumers: !consumers });
  const answer = await Promise.race([link.api(`STREAM.SNAPSHOT.${name}`, body, ANSWER_MS), failed]);
  const cutAt = new Date();
  watch();
  return { name, config: objectAt(answer, "config"), state: objectAt(answer, "state"), cutAt };
}

async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`the server has been silent for ${(ms / 1000).toFixed(1)} s`)),
    ms,
  );
  return await Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}

/** Waits for the end, and looks whether it is one. */
export async function whole(
  link: Link,
  { name, state }: Cut,
  { ended }: Transfer,
  frames: FrameCheck,
): Promise<SnapshotShape> {
  await ended.catch(async (error) => {
    // Of a stream that is deleted meanwhile nothing comes any more.
    const gone = await link.api(`STREAM.INFO.${name}`, "", ASK_MS).then(() => false, isGone);
    throw gone ? new Error(`it was deleted while it was read`, { cause: error }) : error;
  });
  const shape = frames.end();
  await checkBytes(link, name, state, shape);
  return shape;
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
