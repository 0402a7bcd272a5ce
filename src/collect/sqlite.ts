/**
 * SQLite databases while they are written to, both ways.
 *
 * @module
 */
import type { Context, Entry, FactSheet, Files, SourceFact, Stage } from "../stage.ts";
import type { Root } from "./extract.ts";
import { nameRoots, realRoot } from "./roots.ts";
import { alone, notesOf, rootsIn } from "./plain.ts";
import { type CopyFile, copyFile, sweep } from "./sqlite/copies.ts";
import { entryOf, factOf, judge } from "./sqlite/facts.ts";
import { take } from "./sqlite/take.ts";
import type { Look, Snapshot } from "./sqlite/job.ts";
import {
  ALONE,
  checkOptions,
  refuseDeltaNames,
  type SqliteOptions,
  type SqliteSettings,
} from "./sqlite/options.ts";
import { restore, type StagedDatabase } from "./sqlite/restore.ts";
import { choose, deltaEntries } from "./sqlite/since.ts";
import { stoppable } from "./stoppable.ts";

export type { SqliteOptions } from "./sqlite/options.ts";

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
 * With `since: "latest"` a run stores for a database `app.db` only the pages that are new: `app.db.delta/map` says where they go (a line with
 * page size and length in bytes, then for each run of pages its place, its length, and where it begins in `app.db.delta/pages`, in
 * pages), `app.db.delta/sha256` what comes out. The receipt names the backup it builds on, retention keeps that one as long, and a restore
 * puts all of them together. What is remembered between runs is a digest for each page, in the state that `backup` is given.
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
  return make(databases, options, {});
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

/** {@linkcode sqlite} with a recipe's own looks, which are at whole databases: what has changed alone is refused. */
export function sqliteWith(
  databases: string | readonly string[] | Readonly<Record<string, string>>,
  options: SqliteOptions,
  looks: SqliteLooks,
): Stage<void, Files> {
  if (options.since !== undefined) {
    throw new TypeError(
      "Cannot use since for the databases of a recipe: they are stored whole. Leave it out",
    );
  }
  return make(databases, options, looks);
}

function make(
  databases: string | readonly string[] | Readonly<Record<string, string>>,
  options: SqliteOptions,
  looks: SqliteLooks,
): Stage<void, Files> {
  const named = nameRoots(databases);
  const settings = { ...checkOptions(options), looks };
  if (settings.rules) refuseDeltaNames(named);
  const stage: SqliteStage = {
    ...settings.rules && { [alone]: ALONE },
    [watched]: { paths: named.map(({ source }) => source), since: settings.rules !== undefined },
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
  return stage;
}

const NAME = "sqlite";

/** Key of {@linkcode SqliteStage}'s databases. */
export const watched: unique symbol = Symbol("watched");

/** The stage, for whoever looks whether its databases have changed. */
export interface SqliteStage extends Stage<void, Files> {
  /** Where the databases are, and whether only what has changed is stored. */
  readonly [watched]: { readonly paths: readonly string[]; readonly since: boolean };
}

type Settings = SqliteSettings & { readonly looks: SqliteLooks };

function collect(roots: readonly Root[], settings: Settings, context: Context): Files {
  let read: readonly Root[] = roots;
  let sheet: Pick<FactSheet, "sources" | "base"> | undefined;
  let started = false;

  async function* entries(signal: AbortSignal): AsyncGenerator<Entry, void, undefined> {
    if (started) throw new Error("Cannot collect twice: run the stage anew");
    started = true;
    read = roots.map(realRoot);
    sweep(settings.spoolDir);
    const copies: CopyFile[] = [];
    try {
      for (const _root of read) copies.push(copyFile(settings.spoolDir));
      const inner = { ...context, signal };
      const snapshot = await take(read, copies, settings, inner);
      judge(read, snapshot, settings, context);
      settings.looks.check?.(snapshot);
      const { rules } = settings;
      const choice = rules && await choose(read, copies, snapshot.taken, rules, inner);
      const entry = (i: number): Entry => entryOf(NAME, read[i]!, copies[i]!, snapshot.taken[i]!);
      if (choice?.base !== undefined) yield* deltaEntries(NAME, read, copies, choice.seen, entry);
      else yield* wholeEntries(copies, entry);
      await choice?.remember();
      const { fact } = settings.looks;
      const facts = snapshot.taken.map((taken, i) => factOf(NAME, taken, i, settings, snapshot, choice));
      sheet = { sources: [...facts, ...fact ? [fact(snapshot)] : []], base: choice?.base };
    } finally {
      for (const copy of copies) copy.close();
    }
  }

  return {
    kind: "files",
    ordered: true,
    entries: () => stoppable(NAME, context.signal, entries),
    facts: (): FactSheet => {
      if (!sheet) throw new Error("Cannot tell the facts of databases before they are read");
      return { ...sheet, stages: [] };
    },
    notes: () => ({ roots: read }),
  };
}

function* wholeEntries(
  copies: readonly CopyFile[],
  entry: (i: number) => Entry,
): Generator<Entry, void, undefined> {
  for (const [i, copy] of copies.entries()) {
    yield entry(i);
    copy.close();
  }
}
