/**
 * Append-only logs behind HTTP: many peers, each asked page by page, merged into one log in which every event stands once.
 *
 * @module
 */
import { label, labelled } from "../bytes.ts";
import type { Bytes, Context, Entry, FactSheet, Files, Stage, Want } from "../stage.ts";
import type { KnownEvents } from "./events/known.ts";
import { gather, type PeerReport, type ReadPeer } from "./events/gather.ts";
import { linkPages } from "./events/link.ts";
import { sorter, type SortFacts } from "./events/sorter.ts";
import { extract } from "./extract.ts";
import { pourEvents } from "./events/pour.ts";
import { plain, type PlainStage } from "./plain.ts";
import { type Spool, spooled } from "./spool.ts";

export { type Answer, type Ask, type AskRequest, PeerError } from "./events/ask.ts";
export type { Etags, PeerReport, PeerTask, ReadPeer } from "./events/gather.ts";
export { type Page, type PageShape, scanPage } from "./events/scan.ts";

/** What the last backup tells an incremental one. */
export interface EventsBase {
  /** Events from this time on are asked for; undefined: all. */
  readonly since?: bigint | undefined;
  /** ETags by the key they were recorded under. */
  readonly etags?: Readonly<Record<string, string>> | undefined;
}

/** How event logs are collected. */
export interface EventsOptions {
  /** The peers' addresses, or who finds them. */
  readonly peers: readonly string[] | ((context: Context) => Promise<readonly string[]>);
  /** Stored path of the log, one event a line. Default: "events.jsonl". */
  readonly path?: string | undefined;
  /** Reads one peer. Default: GET pages that name the next one in a Link header (RFC 8288). */
  readonly pages?: ReadPeer | undefined;
  /** Default reader: member of a page that holds the events. Default: the page is the array. */
  readonly items?: string | undefined;
  /** Default reader: member of an event that identifies it. Default: "id". */
  readonly id?: string | undefined;
  /** Default reader: member of an event that orders it, a whole number or RFC 3339. Default: "created_at". */
  readonly time?: string | undefined;
  /** Default reader: headers of each request; a function, because a token is a secret. */
  readonly headers?: (() => Readonly<Record<string, string>>) | undefined;
  /** Milliseconds each peer may take in all. Default: 180,000. */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds one request may take. Default: 30,000. */
  readonly requestTimeoutMs?: number | undefined;
  /** Attempts for each request. Default: 4. */
  readonly attempts?: number | undefined;
  /** Peers asked at the same time. Default: 5. */
  readonly workers?: number | undefined;
  /** Bytes of events kept in memory; what is more waits on disk, encrypted and without a name. Default: 64 MiB. */
  readonly memoryBytes?: number | undefined;
  /** Folder for what waits; default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
  /** What the last backup said, for an incremental one; see `sinceLastBackup`. */
  readonly base?: ((context: Context) => Promise<EventsBase | undefined>) | undefined;
  /** Looks at each block of whole lines as it is stored; may warn. */
  readonly inspect?: ((lines: Uint8Array, context: Context) => void | Promise<void>) | undefined;
  /** Gives the log back, when the backup is restored in place. Reads it once; it has been verified by then. */
  readonly restore?: ((lines: () => Bytes, context: Context) => Promise<void>) | undefined;
}

/**
 * Stores the union of the peers' logs as one file of mode 0600: JSON Lines, oldest first, then by id, each event in the bytes its peer
 * sent, so numbers of 64 bits stay what they are. Equal events are stored once; different ones under one id are all stored, with a
 * warning ("conflict"). A peer that fails is a warning ("peer"), and the pages it sent before are kept; if all fail, the run fails.
 *
 * Undo with `want.inPlace` calls `restore`, once the whole backup has proven sound. With `want.into` the log is written there.
 *
 * Throws TypeError or RangeError for options that cannot be; NotFoundError, when it runs, if there are no peers.
 *
 * @example
 * ```ts ignore
 * collect.events({ peers: ["https://api.example.com/repos/app/issues?per_page=100"], time: "created_at" });
 * ```
 */
export function events(options: EventsOptions): Stage<void, Files> {
  check(options);
  const path = options.path ?? "events.jsonl";
  const pours = (want: Want): boolean => options.restore !== undefined && want.inPlace;
  const stage: PlainStage = {
    name: NAME,
    verb: "collect",
    run: (_input, context) => Promise.resolve(collect(path, options, context)),
    undo: (stored, context) =>
      pours(context.want)
        ? pourEvents({ path, spoolDir: options.spoolDir, restore: options.restore! }, stored, context)
        : extract(stored, context),
    [plain]: (want) => pours(want) ? undefined : () => [],
  };
  return stage;
}

const NAME = "events";

function check(options: EventsOptions): void {
  if (typeof options.peers !== "function") {
    if (!Array.isArray(options.peers) || options.peers.length === 0) {
      throw new TypeError(
        'Cannot collect events: "peers" must be a list of addresses, or a function that gives one',
      );
    }
    for (const peer of options.peers) checkPeer(peer);
  }
  for (const name of ["timeoutMs", "requestTimeoutMs", "attempts", "workers", "memoryBytes"] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      throw new RangeError(`Cannot collect events: "${name}" must be a whole number above 0, not ${value}`);
    }
  }
  const path = options.path ?? "events.jsonl";
  const sound = path.isWellFormed() && !path.includes("\0") &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
  if (!sound) {
    throw new TypeError(
      `Cannot store events as ${JSON.stringify(path)}: give a relative path such as "events.jsonl"`,
    );
  }
}

function checkPeer(peer: string): void {
  const url = URL.parse(peer);
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new TypeError("Cannot collect events: a peer is not an http:// or https:// address");
  }
}

/** Options of {@linkcode readEvents}: how to read, without what is done with it. */
export type ReadOptions = Omit<EventsOptions, "path" | "restore" | "inspect">;

/** Everything that is known about one reading of all peers. */
export interface EventsRead {
  /** The merged log in blocks of whole lines; once. */
  readonly lines: () => AsyncIterable<Uint8Array<ArrayBuffer>>;
  /** What each peer did. */
  readonly reports: readonly PeerReport[];
  /** What the merge saw; complete after the last block. */
  readonly facts: () => SortFacts;
  /** What this reading was based on. */
  readonly base: EventsBase | undefined;
  /** Frees memory and disk. */
  readonly close: () => void;
}

/** Reads all peers; the log can be read when the last one has ended. What is `known` is not handed on. */
export async function readEvents(
  options: ReadOptions,
  context: Context,
  known?: KnownEvents,
): Promise<EventsRead> {
  const conflict = (id: string): void =>
    context.log.warn("conflict", `Two different events have the id "${id}": both are kept`);
  const sorted = sorter({ memoryBytes: options.memoryBytes, spoolDir: options.spoolDir, conflict, known });
  try {
    await sorted.load();
    const base = await options.base?.(context);
    const peers = typeof options.peers === "function" ? await options.peers(context) : options.peers;
    const reports = await gather(peers, sorted, {
      pages: options.pages ?? linkPages({
        items: options.items,
        id: options.id ?? "id",
        time: options.time ?? "created_at",
        headers: options.headers,
      }),
      timeoutMs: options.timeoutMs ?? 180_000,
      requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
      attempts: options.attempts ?? 4,
      workers: options.workers ?? 5,
      since: base?.since,
      etags: base?.etags ?? {},
    }, context);
    return { lines: sorted.lines, reports, facts: sorted.facts, base, close: sorted.close };
  } catch (error) {
    sorted.close();
    throw error;
  }
}

/** Why nothing came, when every peer has failed. */
export function refuseAllFailed(reports: readonly PeerReport[]): void {
  if (reports.some(({ failure }) => failure === undefined)) return;
  const reasons = reports.slice(0, 5).map(({ peer, failure }) => `${peer}: ${failure}`).join("; ");
  throw new Error(`Cannot collect events: all ${reports.length} peers failed. ${reasons}`);
}

function collect(path: string, options: EventsOptions, context: Context): Files {
  let cutAt: Date | undefined;
  let facts: Readonly<Record<string, unknown>> | undefined;

  async function* entries(): AsyncGenerator<Entry, void, undefined> {
    if (cutAt) throw new Error("Cannot collect twice: run the stage anew");
    cutAt = new Date();
    using kept = spooled("events", options.spoolDir);
    try {
      facts = await record(options, kept, context);
    } catch (error) {
      throw labelled(NAME, error);
    }
    const body = (): Bytes => label(NAME, kept.read());
    yield { ...entryOf(path, cutAt), bytes: kept.size(), body };
  }

  return {
    kind: "files",
    ordered: true,
    entries,
    facts: (): FactSheet => {
      if (!cutAt || !facts) throw new Error("Cannot tell the facts of events before they have been read");
      return { sources: [{ tool: NAME, cutAt: cutAt.toISOString(), facts }], stages: [] };
    },
  };
}

async function record(
  options: EventsOptions,
  kept: Spool,
  context: Context,
): Promise<Readonly<Record<string, unknown>>> {
  const read = await readEvents(options, context);
  try {
    refuseAllFailed(read.reports);
    for await (const block of read.lines()) {
      context.signal.throwIfAborted();
      await options.inspect?.(block, context);
      kept.write(block);
    }
    return factsOf(read);
  } finally {
    read.close();
  }
}

/** For the receipt. 64-bit numbers are texts; `next` is where an incremental backup has to go on. */
function factsOf({ reports, facts, base }: EventsRead): Readonly<Record<string, unknown>> {
  const { events, duplicates, conflicts, odd, first, last } = facts();
  const complete = reports.every(({ failure }) => failure === undefined);
  // What a failed peer alone has must be asked for again.
  const next = complete ? last ?? base?.since : base?.since;
  return {
    peers: reports.length,
    failed: reports.filter(({ failure }) => failure !== undefined).length,
    events,
    duplicates,
    conflicts,
    odd,
    incremental: base?.since !== undefined,
    ...(first === undefined ? {} : { first: String(first) }),
    ...(last === undefined ? {} : { last: String(last) }),
    ...(next === undefined ? {} : { next: String(next) }),
    etags: Object.fromEntries(reports.flatMap(({ etags }) => Object.entries(etags))),
  };
}

function entryOf(path: string, time: Date): Entry {
  const owner = { uid: 0, gid: 0, uname: "", gname: "" };
  return { path, kind: "file", mode: 0o600, mtimeMs: time.getTime(), ...owner, bytes: 0 };
}
