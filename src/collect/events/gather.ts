/**
 * All peers at once, a few at a time; what one of them lacks, or breaks, is not the others' loss.
 *
 * @module
 */
import { sha256, utf8 } from "../../bytes.ts";
import { messageOf, NotFoundError } from "../../errors.ts";
import type { Context } from "../../stage.ts";
import { type Ask, asker, PeerError, showUrl } from "./ask.ts";
import type { Page } from "./scan.ts";
import type { Sorter } from "./sorter.ts";

/** How a peer is read. */
export interface PeerTask {
  /** Its address. */
  readonly peer: string;
  /** Asks it. */
  readonly ask: Ask;
  /** Only events from here on need to be read (whole number, of the events' own unit); undefined: all. */
  readonly since: bigint | undefined;
  /** Fires when its time is over. */
  readonly signal: AbortSignal;
  /** Something odd about this peer: counted, exit code 3. */
  readonly warn: (kind: string, message: string) => void;
  /** Says how many bytes this peer will send in all, once it is known. */
  readonly expect: (bytes: number) => void;
  /** ETags: of the last backup, and for the next. */
  readonly etags: Etags;
}

/** ETags by address. */
export interface Etags {
  /** The one of the last backup. */
  readonly known: (url: string) => string | undefined;
  /** Notes the one that came now. */
  readonly note: (url: string, etag: string) => void;
}

/** Reads a peer to its end, page after page. What it throws ends this peer; the pages before stay. */
export type ReadPeer = (task: PeerTask) => AsyncIterable<Page>;

/** Options of {@linkcode gather}. */
export interface GatherOptions {
  /** Reads one. */
  readonly pages: ReadPeer;
  /** Milliseconds each may take in all. */
  readonly timeoutMs: number;
  /** Milliseconds for one request. */
  readonly requestTimeoutMs: number;
  /** Attempts for one request. */
  readonly attempts: number;
  /** How many at the same time. */
  readonly workers: number;
  /** From where. */
  readonly since: bigint | undefined;
  /** ETags of the last backup, by {@linkcode etagKey}. */
  readonly etags: Readonly<Record<string, string>>;
}

/** What came of one peer. */
export interface PeerReport {
  /** Its address, without secrets. */
  readonly peer: string;
  /** Events it sent, duplicates included. */
  readonly events: number;
  /** Bytes it sent. */
  readonly bytes: number;
  /** ETags of its pages, by {@linkcode etagKey}. */
  readonly etags: Readonly<Record<string, string>>;
  /** Why it is not complete; undefined: it is. */
  readonly failure?: string | undefined;
}

/** Reads all peers into a sorter. Throws only for what is not a peer's fault; a peer that fails is a warning and a report. */
export async function gather(
  peers: readonly string[],
  into: Sorter,
  options: GatherOptions,
  context: Context,
): Promise<readonly PeerReport[]> {
  if (peers.length === 0) throw new NotFoundError("Cannot collect events: there are no peers to ask");
  const queue = [...new Set(peers)];
  const reports: PeerReport[] = [];
  const total = { bytes: 0, expected: new Map<string, number>() };
  const worker = async (): Promise<void> => {
    for (let peer = queue.shift(); peer !== undefined; peer = queue.shift()) {
      context.signal.throwIfAborted();
      reports.push(await readOne(peer, into, options, context, total));
    }
  };
  const workers = Array.from({ length: Math.min(options.workers, queue.length) }, worker);
  const results = await Promise.allSettled(workers);
  for (const result of results) if (result.status === "rejected") throw result.reason;
  return reports;
}

interface Total {
  bytes: number;
  readonly expected: Map<string, number>;
}

async function readOne(
  peer: string,
  into: Sorter,
  options: GatherOptions,
  context: Context,
  total: Total,
): Promise<PeerReport> {
  const { timeoutMs, requestTimeoutMs, attempts, since } = options;
  const name = showUrl(peer);
  const over = new AbortController();
  const timer = setTimeout(
    () => over.abort(new PeerError(`its ${timeoutMs / 1000} s are over`, false)),
    timeoutMs,
  );
  const signal = AbortSignal.any([context.signal, over.signal]);
  let bytes = 0;
  let events = 0;
  const noted: Record<string, string> = {};
  const received = (size: number): void => {
    bytes += size;
    total.bytes += size;
    context.progress({ phase: "collect", bytes: total.bytes, entries: 0, totalBytes: expectedOf(total) });
  };
  const task: PeerTask = {
    peer,
    ask: asker({ signal, requestTimeoutMs, attempts, received }),
    since,
    signal,
    warn: (kind, message) => context.log.warn(kind, `${name}: ${message}`),
    expect: (size) => void total.expected.set(peer, size),
    etags: {
      known: (url) => options.etags[etagKey(url)],
      note: (url, etag) => void (noted[etagKey(url)] = etag),
    },
  };
  try {
    const pages = options.pages(task)[Symbol.asyncIterator]();
    for (;;) {
      const next = await failing(() => pages.next());
      if (next.done) break;
      const before = into.count();
      into.add(next.value);
      events += into.count() - before;
      if (signal.aborted) throw new Failure(signal.reason);
    }
    context.log.info(`${name}: ${events} events`);
    return { peer: name, events, bytes, etags: noted };
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof Failure)) throw error;
    const failure = messageOf(error.cause);
    const kept = events > 0 ? `; the ${events} events it sent before are kept` : "";
    context.log.warn("peer", `${name} failed: ${failure}${kept}`);
    return { peer: name, events, bytes, etags: {}, failure };
  } finally {
    clearTimeout(timer);
  }
}

/** What stands for an address in a receipt, which is no place for what may be secret. */
export function etagKey(url: string): string {
  return sha256(utf8(url)).slice(0, 16);
}

/** Marks what a peer is to blame for; a full disk is not. */
class Failure extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
  }
}

async function failing<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw new Failure(error);
  }
}

/** The bytes all peers together will send, as far as they have said. */
function expectedOf({ bytes, expected }: Total): number | undefined {
  const sum = [...expected.values()].reduce((all, one) => all + one, 0);
  return sum > bytes ? sum : undefined;
}
