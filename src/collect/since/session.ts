/**
 * One run that stores only what has changed, from the choice of its base to the copy of its index.
 *
 * @module
 */
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, messageOf } from "../../errors.ts";
import { stateFolder } from "../../home.ts";
import type { Context, Entry } from "../../stage.ts";
import type { Root } from "../extract.ts";
import type { Found, Seen } from "../found.ts";
import { spool } from "../spool.ts";
import { chooseBase, type FullRules, nothing, planKey } from "./choose.ts";
import { compare, goneEntry } from "./compare.ts";
import { type CopyWriter, removeCopies, writeCopy } from "./copy.ts";
import { hashing } from "./hashing.ts";

/** How increments are made. */
export interface SinceSettings extends FullRules {
  /** Whether contents are compared though all else is as it was. */
  readonly rehash: boolean;
  /** Where the host keeps its copies of indexes. */
  readonly indexDir: string | undefined;
}

/** A run that is compared with the one before. */
export interface Session {
  /** The real path of the folder with the copies: never stored. */
  readonly folder: string;
  /** Whether a file is as it was. */
  readonly known: (seen: Seen) => Generator<undefined, boolean, undefined>;
  /** Told that what is being stored is not quite what was there. */
  readonly doubt: (path: string) => void;
  /** What is to be stored of what was found; `ready` makes its entry. */
  readonly take: (found: Found, ready: (found: Found) => Entry) => AsyncGenerator<Entry, void, undefined>;
  /** The rest, and the list of what is gone; then the copy is complete. */
  readonly end: (ready: (found: Found) => Entry) => AsyncGenerator<Entry, void, undefined>;
  /** The base's file name, for the receipt. */
  readonly base: string | undefined;
  /** For the receipt. */
  readonly facts: () => Readonly<Record<string, unknown>>;
  /** Frees what it holds. May be called twice. */
  readonly close: () => void;
}

/** Copies that stay when a full backup is made: if it fails, the next run can go on from one of them. */
const SPARE = 2;

/** Begins. Says in the log why the backup is a full one, where it is. */
export async function openSession(
  settings: SinceSettings,
  roots: readonly Root[],
  context: Context,
): Promise<Session> {
  const folder = settings.indexDir ?? defaultFolder();
  const key = { folder, plan: planKey(roots, context) };
  // A look at what there is (`backup --dry-run`) has no shelf: it builds on nothing, and leaves nothing.
  const { base, increments, lines } = context.shelf
    ? await chooseBase(key, settings, context)
    : { increments: 0, lines: nothing() };
  const copy = context.shelf === undefined ? NO_KEEPER : keeper(() => {
    const writer = writeCopy(key, context.run);
    removeCopies(key, [...base ? [base.receipt.run] : [], context.run], base ? 0 : SPARE);
    return writer;
  }, context);
  const list = spool("the list of what is gone", undefined);
  const tree = { entries: 0, bytes: 0 };
  let gone = 0;
  const comparison = compare({
    before: lines,
    rehash: settings.rehash || context.rehash === true,
    now: (line, bytes) => {
      tree.entries++;
      tree.bytes += bytes;
      copy.add(line);
    },
    gone: (bytes) => {
      gone++;
      list.write(bytes);
    },
  });

  async function* store(
    found: Iterable<Found>,
    ready: (found: Found) => Entry,
  ): AsyncGenerator<Entry, void, undefined> {
    for (const one of found) {
      const { entry, digest } = hashing(ready(one));
      yield entry;
      if (entry.kind === "file" || entry.kind === "hardlink") comparison.stored(one, digest());
    }
  }

  async function* end(ready: (found: Found) => Entry): AsyncGenerator<Entry, void, undefined> {
    yield* store(comparison.end(), ready);
    if (base) yield goneEntry(list.size(), context.now, list.read);
    copy.finish();
  }

  const increment = { incremental: true, builtOn: base?.id, chain: increments + 1 };
  return {
    folder: realFolder(folder),
    known: comparison.known,
    doubt: comparison.doubt,
    take: (found, ready) => store(comparison.take(found), ready),
    end,
    base: base?.id,
    facts: () => base ? { ...increment, gone, tree: { ...tree } } : { incremental: false, tree: { ...tree } },
    close: () => {
      lines.return();
      copy.close();
      list.close();
    },
  };
}

function realFolder(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    return folder; // it could not be made, and holds nothing
  }
}

function defaultFolder(): string {
  const state = stateFolder((name) => Deno.env.get(name));
  if (state !== undefined) return join(state, "since");
  throw new ConfigError(
    "Cannot store only what has changed: there is no folder for this host's copy of the index. Set HOME or XDG_STATE_HOME, or " +
      "give indexDir",
  );
}

const NO_KEEPER: CopyWriter = { add: () => {}, finish: () => {}, close: () => {} };

/** A copy that cannot be kept is a warning: the backup is whole without it, and the next one is a full one. */
function keeper(begin: () => CopyWriter, { log }: Context): CopyWriter {
  let writer: CopyWriter | undefined;
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      writer?.close();
      writer = undefined;
      log.warn(
        "since",
        `The next backup is a full one: this host cannot keep its copy of the index (${messageOf(error)})`,
      );
    }
  };
  attempt(() => writer = begin());
  return {
    add: (line) => {
      if (writer) attempt(() => writer!.add(line));
    },
    finish: () => {
      if (writer) attempt(() => writer!.finish());
    },
    close: () => writer?.close(),
  };
}
