/**
 * A database's dumps as Files: each is kept until its program has ended well and its end has been looked at; and the way back,
 * which asks the server first, and feeds only what has proven sound.
 *
 * @module
 */
import { label, toBytes } from "../../bytes.ts";
import { record } from "../../collect/command.ts";
import { extract } from "../../collect/extract.ts";
import { keep, pour } from "../../collect/feed.ts";
import { wantedBy } from "../../collect/only.ts";
import { fileEntry } from "../../collect/jetstream/entries.ts";
import { type Spool, spooled } from "../../collect/spool.ts";
import { stoppable } from "../../collect/stoppable.ts";
import { IntegrityError, NotFoundError } from "../../errors.ts";
import type { Bytes, Context, Entry, FactSheet, Files, Stage, U8 } from "../../stage.ts";
import type { Call } from "./programs.ts";

/** What the receipt says of a server: versions, numbers. */
export type Facts = Readonly<Record<string, unknown>>;

/** One file of a backup. */
export interface Dump extends Call {
  /** Stored path. */
  readonly path: string;
  /** Throws unless the output is whole: an exit code alone does not prove it. Gives the bytes of it that are the dump; not given: all. */
  readonly check: (output: Spool, signal: AbortSignal) => Promise<number | void>;
}

/** A dump that is about to go back. */
export interface Kept {
  /** Stored path. */
  readonly path: string;
  /** Its content. */
  readonly content: Spool;
}

/** A kind of database. */
export interface Database {
  /** The tool's name in receipts and messages. */
  readonly tool: string;
  /** What of it must not be stored in the clear. */
  readonly secret?: string | undefined;
  /** Folder for what waits, encrypted; default: the system's temporary one. */
  readonly spoolDir: string | undefined;
  /** Asks the server what there is to dump. */
  readonly dumps: (signal: AbortSignal) => Promise<{ readonly facts: Facts; readonly list: readonly Dump[] }>;
  /** Asks the server that is restored into, and refuses before anything is touched; gives the program for each dump, in order. */
  readonly back: (
    kept: readonly Kept[],
    recorded: Facts | undefined,
    context: Context,
  ) => Promise<readonly (Call & Kept)[]>;
  /** See {@linkcode Stage.drill}. */
  readonly drill?: Stage<void, Files>["drill"];
}

/** The stage over a kind of database. */
export function dumpStage(database: Database): Stage<void, Files> {
  return {
    name: database.tool,
    verb: "collect",
    secret: database.secret,
    run: (_input, context) => Promise.resolve(collect(database, context)),
    undo: (stored, context) =>
      context.want.inPlace ? restore(database, stored, context) : extract(stored, context),
    drill: database.drill,
  };
}

function collect(database: Database, context: Context): Files {
  const { tool, spoolDir } = database;
  let cutAt: Date | undefined;
  let facts: Facts | undefined;

  async function* entries(signal: AbortSignal): AsyncGenerator<Entry, void, undefined> {
    if (cutAt) throw new Error("Cannot collect twice: run the stage anew");
    cutAt = new Date();
    const asked = await database.dumps(signal);
    let bytes = 0;
    for (const { path, argv, env, check } of asked.list) {
      using kept = spooled(`"${path}"`, spoolDir);
      await record(argv, { path, env }, signal, kept, context);
      const size = await check(kept, signal) ?? kept.size();
      bytes += size;
      const body = (): Bytes => label(tool, toBytes(() => upTo(size, kept.read())));
      yield { ...fileEntry(path, cutAt), mode: 0o600, bytes: size, body };
    }
    facts = { ...asked.facts, bytes };
  }

  return {
    kind: "files",
    entries: () => stoppable(tool, context.signal, entries),
    facts: (): FactSheet => {
      if (!cutAt || !facts) throw new Error("Cannot tell the facts of a database before it is read");
      return { sources: [{ tool, cutAt: cutAt.toISOString(), facts }], stages: [] };
    },
  };
}

async function* upTo(size: number, bytes: Bytes): AsyncGenerator<U8, void, undefined> {
  let left = size;
  for await (const chunk of bytes) {
    if (left > 0) yield chunk.subarray(0, left);
    left -= chunk.length;
  }
}

async function restore(database: Database, stored: Files, context: Context): Promise<void> {
  const { want, signal } = context;
  const kept: Kept[] = [];
  using all = new DisposableStack();
  for await (const entry of stored.entries()) {
    signal.throwIfAborted();
    if (entry.kind !== "file") continue;
    if (kept.some(({ path }) => path === entry.path)) {
      throw new IntegrityError(`Cannot restore "${entry.path}": the backup holds it twice`);
    }
    if (!wantedBy(want.only)(entry.path)) continue;
    const content = all.use(spooled(`"${entry.path}"`, database.spoolDir));
    await keep(entry, content, context);
    kept.push({ path: entry.path, content });
  }
  if (kept.length === 0) throw new NotFoundError("Cannot restore: no dump of the backup is asked for");
  const recorded = stored.facts().sources.find(({ tool }) => tool === database.tool)?.facts;
  for (const { path, content, argv, env } of await database.back(kept, recorded, context)) {
    if (!want.dryRun) await pour({ argv, env, path }, content, signal);
    want.report?.(path, "overwrite");
  }
}
