/**
 * SQLite databases while they are written to, both ways.
 *
 * @module
 */
import { statSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { label } from "../bytes.ts";
import type { Bytes, Context, Entry, FactSheet, Files, SourceFact, Stage } from "../stage.ts";
import type { Root } from "./extract.ts";
import { nameRoots, realRoot } from "./roots.ts";
import { notesOf, rootsIn } from "./plain.ts";
import { type CopyFile, copyFile, sweep } from "./sqlite/copies.ts";
import { perform } from "./sqlite/hand.ts";
import type { Check, Look, Snapshot, Taken } from "./sqlite/job.ts";
import { restore, type StagedDatabase } from "./sqlite/restore.ts";
import { stoppable } from "./stoppable.ts";

/** How databases are copied and checked. */
export interface SqliteOptions {
  /**
   * How a copy is checked before it is archived, and a restored one before it takes its place: "full" (`integrity_check`, default),
   * "quick" (`quick_check`: not the indexes), "off".
   */
  readonly check?: "full" | "quick" | "off" | undefined;
  /** What a row that breaks a foreign key is: "warn" (default) counts and warns, "error" fails the run, "off" says nothing. */
  readonly foreignKeys?: "warn" | "error" | "off" | undefined;
  /** How long to wait for a lock of another connection, in milliseconds. Default: 5,000. */
  readonly timeoutMs?: number | undefined;
  /** Folder for the copies, which lie there without a name until they are archived; default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
}

/**
 * Stores SQLite databases as they are at one moment, while others write to them; by base names, or by the keys of a record. A read
 * transaction is held on each from before the first page is copied until its checks have passed, so nobody who writes in WAL mode
 * waits, and nothing starts over. In the older journal modes writers wait while the copy is made: they need a busy time-out.
 *
 * Several databases are cut together: the transactions begin one after the other, again until none of the databases was committed to
 * in between. The receipt says `cut: "exact"`, or `"spread"` with a warning where writers left no such moment in 50 attempts.
 *
 * A copy needs as much space as the database, checked first. It has no name while it has content, so that nothing is left of it after any
 * end, `kill -9` included. The checks run in the transaction that is copied from, on the very pages of the copy. Facts: page size and
 * count, journal mode, `application_id`, `user_version`, broken foreign keys.
 *
 * Undo extracts beside the target, checks each database there, and swaps it in by a rename; what stood there is kept until then.
 * {@linkcode BusyError} while a process has the old one open. A `-wal` and `-shm` beside it are folded into the old one first.
 *
 * Throws TypeError or RangeError for wrong options; `run` throws {@linkcode NotFoundError} for a database that does not exist. Reading
 * throws {@linkcode IntegrityError} for what is damaged, encrypted, no database, or without the log its `-shm` speaks of.
 *
 * @example
 * ```ts ignore
 * collect.sqlite({ "app.db": "/srv/app/data.db", "queue.db": "/srv/app/queue.db" });
 * ```
 */
export function sqlite(
  databases: string | readonly string[] | Readonly<Record<string, string>>,
  options: SqliteOptions = {},
): Stage<void, Files> {
  return sqliteWith(databases, options, {});
}

/** What a recipe adds: looks of its own at the databases, both ways. Not part of the public API. */
export interface SqliteLooks {
  /** A look inside the transactions that are copied from; asked for when the copying begins. */
  readonly forward?: (() => Promise<Look>) | undefined;
  /** A judgement of what the look gave (`seen`): what it throws fails the backup. */
  readonly check?: ((snapshot: Snapshot) => void) | undefined;
  /** What the look gave, as a source of its own. */
  readonly fact?: ((snapshot: Snapshot) => SourceFact) | undefined;
  /** A look at restored databases before they take their places. */
  readonly back?: ((staged: readonly StagedDatabase[]) => Promise<void>) | undefined;
}

/** {@linkcode sqlite} with a recipe's own looks. */
export function sqliteWith(
  databases: string | readonly string[] | Readonly<Record<string, string>>,
  options: SqliteOptions,
  looks: SqliteLooks,
): Stage<void, Files> {
  const named = nameRoots(databases);
  const settings = { ...checkOptions(options), looks };
  return {
    name: NAME,
    verb: "collect",
    run: (_input, context) => {
      named.forEach(realRoot);
      return Promise.resolve(collect(named, settings, context));
    },
    undo: (stored, context) => {
      const recorded = rootsIn(notesOf(stored));
      return restore(stored, context, {
        ...settings,
        roots: recorded.length > 0 ? recorded : named,
        look: looks.back,
      });
    },
  };
}

const NAME = "sqlite";

interface Settings {
  readonly check: Check;
  readonly foreignKeys: "warn" | "error" | "off";
  readonly timeoutMs: number;
  readonly spoolDir: string;
  readonly looks: SqliteLooks;
}

function checkOptions(options: SqliteOptions): Omit<Settings, "looks"> {
  const { check = "full", foreignKeys = "warn", timeoutMs = 5000, spoolDir = tmpdir() } = options;
  oneOf("check", check, ["full", "quick", "off"]);
  oneOf("foreignKeys", foreignKeys, ["warn", "error", "off"]);
  if (!Number.isInteger(timeoutMs) || timeoutMs < 0 || timeoutMs > 2 ** 31 - 1) {
    throw new RangeError(`Cannot wait ${timeoutMs} ms for a lock: timeoutMs is a whole number from 0`);
  }
  return { check, foreignKeys, timeoutMs, spoolDir: resolve(spoolDir) };
}

function oneOf(option: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return;
  throw new TypeError(`Cannot use ${JSON.stringify(value)} as ${option}: choose ${known.join(", ")}`);
}

function collect(roots: readonly Root[], settings: Settings, context: Context): Files {
  let read: readonly Root[] = roots;
  let sources: readonly SourceFact[] | undefined;
  let started = false;

  async function* entries(signal: AbortSignal): AsyncGenerator<Entry, void, undefined> {
    if (started) throw new Error("Cannot collect twice: run the stage anew");
    started = true;
    read = roots.map(realRoot);
    sweep(settings.spoolDir);
    const copies: CopyFile[] = [];
    try {
      for (const _root of read) copies.push(copyFile(settings.spoolDir));
      const snapshot = await take(read, copies, settings, { ...context, signal });
      judge(read, snapshot, settings, context);
      settings.looks.check?.(snapshot);
      for (const [i, { path, source }] of read.entries()) {
        yield entryOf(path, source, copies[i]!, snapshot.taken[i]!);
        copies[i]!.close();
      }
      const { fact } = settings.looks;
      sources = [
        ...snapshot.taken.map((taken) => factOf(taken, settings, snapshot.exact)),
        ...fact ? [fact(snapshot)] : [],
      ];
    } finally {
      for (const copy of copies) copy.close();
    }
  }

  return {
    kind: "files",
    ordered: true,
    entries: () => stoppable(NAME, context.signal, entries),
    facts: (): FactSheet => {
      if (!sources) throw new Error("Cannot tell the facts of databases before they are read");
      return { sources, stages: [] };
    },
    notes: () => ({ roots: read }),
  };
}

async function take(
  roots: readonly Root[],
  copies: readonly CopyFile[],
  { check, timeoutMs, looks }: Settings,
  context: Context,
): Promise<Snapshot> {
  const sources = roots.map(({ source }, i) => ({ path: source, copy: copies[i]!.path }));
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const progress = (bytes: number): void => context.progress({ phase: "collect", bytes, entries: 0 });
  const look = await looks.forward?.();
  const snapshot = await perform(
    { kind: "snapshot", sources, check, timeoutMs, look, stop },
    context.signal,
    progress,
  );
  for (const [i, { pages, pageSize }] of snapshot!.taken.entries()) {
    if (copies[i]!.size() === pages * pageSize) continue;
    throw new Error(
      `Cannot back up "${roots[i]!.source}": its copy has ${
        copies[i]!.size()
      } bytes, not ${pages} pages of ${pageSize}. ` +
        "Something else removes files from the folder of the copies: set spoolDir to a private one",
    );
  }
  return snapshot!;
}

/** What the checks found that is for the operator to weigh. */
function judge(
  roots: readonly Root[],
  { taken, exact }: Snapshot,
  { foreignKeys }: Settings,
  context: Context,
): void {
  if (!exact) {
    context.log.warn(
      "cut",
      "The databases were written to without a pause: each is consistent, but they are not from one moment",
    );
  }
  for (const [i, { brokenKeys }] of taken.entries()) {
    if (brokenKeys < 1 || foreignKeys === "off") continue;
    const found = `${brokenKeys} row(s) of "${
      roots[i]!.source
    }" break a foreign key. See PRAGMA foreign_key_check`;
    if (foreignKeys === "error") throw new Error(`Cannot back up: ${found}`);
    context.log.warn("foreignKeys", found);
  }
}

function entryOf(path: string, source: string, copy: CopyFile, { cutMs }: Taken): Entry {
  const { mode, uid, gid } = statSync(source);
  const read = (): Bytes => label(NAME, copy.read());
  return {
    path,
    kind: "file",
    mode: mode & 0o7777,
    mtimeMs: cutMs,
    uid,
    gid,
    uname: "",
    gname: "",
    bytes: copy.size(),
    body: read,
  };
}

function factOf({ cutMs, ...taken }: Taken, { check }: Settings, exact: boolean): SourceFact {
  const { brokenKeys, ...rest } = taken;
  const bytes = taken.pages * taken.pageSize;
  const keys = brokenKeys < 0 ? {} : { brokenKeys };
  const facts = { bytes, ...rest, ...keys, check, cut: exact ? "exact" : "spread" };
  return { tool: NAME, cutAt: new Date(cutMs).toISOString(), facts };
}
