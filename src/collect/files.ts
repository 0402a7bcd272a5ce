/**
 * Files and folders of this machine, both ways.
 *
 * @module
 */
import { accessSync, constants, realpathSync } from "node:fs";
import { setImmediate } from "node:timers";
import { withFill } from "../blocks.ts";
import { label, labelled } from "../bytes.ts";
import { ConfigError } from "../errors.ts";
import { GONE } from "../layers.ts";
import { reach } from "../libc/open.ts";
import { openReading, type Reading } from "../libc/read.ts";
import type { Bytes, Context, Entry, FactSheet, Files, Stage } from "../stage.ts";
import type { Root } from "./extract.ts";
import { checkGlobs, type LeaveOptions, leaving } from "./leave.ts";
import { chained, type Notes, notesOf, plain, type PlainStage, rootsIn, weigh, write } from "./plain.ts";
import { nameRoots, realRoot, rootError } from "./roots.ts";
import type { Found, Seen, WarningKind } from "./found.ts";
import type { Session, SinceSettings } from "./since/session.ts";
import { checkSince } from "./since/options.ts";
import { type Step, type Walk, walker, type WalkOptions } from "./walk.ts";

/** What of the roots is stored, and how strictly. */
export interface FilesOptions {
  /**
   * Globs of what to store; default: everything. A folder that matches is stored with all that is in it. Globs are matched against
   * the path below the root: one without a slash matches a name at any depth (`*.log`), a leading slash anchors it at the root
   * (`/data`), a trailing slash matches folders only.
   */
  readonly include?: readonly string[] | undefined;
  /** Globs of what to leave out, stronger than `include`. `cache/**` leaves the folder `cache` itself, empty. */
  readonly exclude?: readonly string[] | undefined;
  /**
   * Names of ignore files that are honoured in every folder, such as `.gitignore`; the later of two names is stronger. Semantics of
   * gitignore(5) with files nested; a symbolic link is not followed. Default: none.
   */
  readonly ignoreFiles?: readonly string[] | undefined;
  /** Do not descend into other file systems; their mount points are stored as empty folders. Default: false. */
  readonly oneFileSystem?: boolean | undefined;
  /** Of a folder with a valid CACHEDIR.TAG store only the tag. Default: false. */
  readonly excludeCaches?: boolean | undefined;
  /**
   * Fail when a file vanishes, changes while it is read, cannot be read, or has a name that is not UTF-8. Default: false, these
   * are warnings, and all the rest is stored.
   */
  readonly strict?: boolean | undefined;
  /**
   * "full": nanoseconds, extended attributes (`user.*`, `trusted.*` and file capabilities), ACLs, the holes of files over 1 MiB, and names
   * that are not UTF-8, through the system's C library: on Linux, with `--allow-ffi`. `run` throws {@linkcode ConfigError} where that is not
   * granted. "basic": none of it. Default: "full" where it is granted, else "basic"; the receipt says which.
   */
  readonly metadata?: "full" | "basic" | undefined;
  /**
   * Store only what has changed since the newest backup, and a list of what is gone. A file is unchanged when its metadata, its length and
   * its inode are; one whose inode was touched since, or that changed just before it was stored, is read and compared. The host keeps a copy of
   * the index for that (mode 0600); without it, or where a store lacks the newest backup, a full backup is made, and said. A restore needs
   * every backup down to the last full one: retention keeps them. Default: each backup is a full one.
   */
  readonly since?: "latest" | undefined;
  /** With `since`: read every file and compare its content. Default: false. */
  readonly rehash?: boolean | undefined;
  /** With `since`: of so many backups at least one is full. Default: 30. */
  readonly fullEvery?: number | undefined;
  /**
   * With `since`: a full backup is made when the increments since the last one take more than this share of what that one took. Default:
   * 0.5.
   */
  readonly fullShare?: number | undefined;
  /** With `since`: the folder for the copies of indexes. Default: `since` in the user's state folder (XDG_STATE_HOME). */
  readonly indexDir?: string | undefined;
}

/**
 * Stores files and folders. A root is stored under its base name, `/srv/app` as `app/...`, as `tar -C /srv app` would; a record
 * names them: `{ conf: "/etc/app" }`. A relative root means the current folder when the stage is made.
 *
 * Symbolic links are stored as links, except that a root which is a link is followed. Hard links are kept. Sockets, pipes and
 * devices are left out with a warning. A large file that shrinks, or fails, while it is read is filled up with zeros (its length
 * has gone out by then) with a warning `changed` or `unreadable`; one that grows is stored at the length it had.
 *
 * Undo writes into `want.into`, or with `want.inPlace` to where each root was.
 *
 * Throws TypeError for options or roots that make no sense; `run` throws {@linkcode NotFoundError} for a root that does not exist.
 *
 * @example
 * ```ts ignore
 * collect.files(["/srv/app", "/etc/app.conf"], { exclude: ["cache/**", "*.log"] });
 * ```
 */
export function files(
  roots: string | readonly string[] | Readonly<Record<string, string>>,
  options: FilesOptions = {},
): Stage<void, Files> {
  const named = nameRoots(roots);
  const settings = checkOptions(options);
  if (settings.since && named.some(({ path }) => path === GONE)) {
    throw new TypeError(
      `Cannot store "${GONE}": the list of what is gone has that name. Name it: { data: "..." }`,
    );
  }
  // Where the roots were when the backup was made; this plan may name other places by now.
  const rootsOf = (notes: Notes): readonly Root[] => {
    const recorded = rootsIn(notes);
    return recorded.length > 0 ? recorded : named;
  };
  const stage: PlainStage = {
    name: NAME,
    verb: "collect",
    run: (_input, context) => {
      if (settings.metadata === "full") requireLibrary();
      named.forEach(realRoot);
      return Promise.resolve(collect(named, settings, context));
    },
    undo: (stored, context) => write(stored, context, rootsOf(notesOf(stored))),
    [plain]: () => rootsOf,
    [weigh]: (context) => weighAll(named, settings, context),
    [chained]: settings.since,
  };
  return stage;
}

const NAME = "files";

interface Settings extends LeaveOptions, Pick<WalkOptions, "oneFileSystem" | "excludeCaches"> {
  readonly strict: boolean;
  readonly metadata: FilesOptions["metadata"];
  readonly since: SinceSettings | undefined;
}

function checkOptions(options: FilesOptions): Settings {
  const { include = [], exclude = [], ignoreFiles = [] } = options;
  const { oneFileSystem = false, excludeCaches = false, strict = false, metadata } = options;
  if (metadata !== undefined && metadata !== "full" && metadata !== "basic") {
    throw new TypeError(`Cannot use ${JSON.stringify(metadata)} as "metadata": it is "full" or "basic"`);
  }
  for (const name of ignoreFiles) {
    if (name === "" || /[/\0]/.test(name)) {
      throw new TypeError(
        `Cannot use ${JSON.stringify(name)} in "ignoreFiles": give the name of a file, not a path`,
      );
    }
  }
  return {
    include: checkGlobs(include, "include"),
    exclude: checkGlobs(exclude, "exclude"),
    ignoreFiles: [...ignoreFiles],
    oneFileSystem,
    excludeCaches,
    strict,
    metadata,
    since: checkSince(options),
  };
}

/** Header and padding of an entry, more or less. */
const ENTRY_BYTES = 512;

/** A walk that opens no file: what is wrong with one is told when it is read for good, but with `strict`, when it could not be read now. */
async function weighAll(roots: readonly Root[], settings: Settings, context: Context): Promise<number> {
  let bytes = 0;
  let failure: Error | undefined;
  // deno-lint-ignore require-yield -- what is known need not be told of what changes
  function* weighed({ source, entry }: Seen): Generator<undefined, boolean, undefined> {
    if (settings.strict && !isReadable(source)) return false; // it is opened after all, which says why
    bytes += entry.bytes + ENTRY_BYTES;
    return true;
  }
  const warn = (kind: WarningKind, path: string, reason: string): void => {
    if (isFailure(settings, kind)) failure ??= strictError(path, reason);
  };
  const asked = { ...settings, ...await leaving(settings) };
  const libc = libraryFor(settings);
  const avoid = storesOf(context);
  const walk = walker({ ...asked, warn, left: () => {}, avoid, known: weighed, libc });
  const pause = pauses();
  try {
    for (const root of roots.map(realRoot)) {
      for (const step of safely(root, walk)) {
        const found = step instanceof Promise ? await step : step;
        context.signal.throwIfAborted();
        if (failure) throw failure;
        const rest = pause();
        if (rest) await rest;
        if (found) bytes += found.entry.bytes + ENTRY_BYTES;
      }
    }
  } finally {
    libc?.close();
  }
  if (failure) throw failure;
  return bytes;
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** What a warning is with `strict`: devices and the like were never promised, and a live database is still a file. */
function isFailure({ strict }: Settings, kind: WarningKind): boolean {
  return strict && kind !== "special" && kind !== "sqlite";
}

function strictError(path: string, reason: string): Error {
  return new Error(`Cannot back up "${path}": ${reason}. Nothing is stored, because "strict" is set`);
}

/** The real paths of the plan's stores that are folders here. */
function storesOf(context: Context): Set<string> {
  const folders = new Set<string>();
  for (const { folder } of context.shelf?.stores ?? []) {
    if (folder === undefined) continue;
    try {
      folders.add(realpathSync(folder));
    } catch {
      // not there (yet): nothing to leave out
    }
  }
  return folders;
}

/** Counts for the receipt. */
interface Counts {
  entries: number;
  files: number;
  directories: number;
  symlinks: number;
  hardlinks: number;
  bytes: number;
}

const COUNTED = {
  file: "files",
  directory: "directories",
  symlink: "symlinks",
  hardlink: "hardlinks",
} as const;

/** The C library, unless it is not wanted or may not be used. */
function libraryFor({ metadata }: Settings): Reading | undefined {
  return metadata === "basic" ? undefined : openReading();
}

function requireLibrary(): void {
  const found = reach();
  if (!("why" in found)) return;
  throw new ConfigError(
    `Cannot store full metadata: ${found.why}. Run with --allow-ffi=PATH, as "config --permissions" prints it, or leave out ` +
      `"metadata": what the permissions allow is stored then`,
  );
}

/** Names behind warnings that are kept for the index. */
const MOST_NOTES = 10_000;

function collect(roots: readonly Root[], settings: Settings, context: Context): Files {
  const counts: Counts = { entries: 0, files: 0, directories: 0, symlinks: 0, hardlinks: 0, bytes: 0 };
  const warnings: Record<string, number> = {};
  const noted: (readonly [kind: string, path: string])[] = [];
  let read: readonly Root[] = roots;
  let cutAt: string | undefined;
  let complete = false;
  let failure: Error | undefined;
  let session: Session | undefined;
  let libc: Reading | undefined;
  let metadata: "full" | "basic" = "basic";

  function warn(kind: WarningKind, path: string, reason: string): void {
    if (isFailure(settings, kind)) failure ??= strictError(path, reason);
    warnings[kind] = (warnings[kind] ?? 0) + 1;
    if (noted.length < MOST_NOTES) noted.push([kind, path]);
    context.log.warn(kind, `"${path}": ${reason}`);
    session?.doubt(path);
  }

  /** Between any two steps: a walk cannot throw from inside its own error handling. */
  function check(): void {
    context.signal.throwIfAborted();
    if (failure) throw failure;
  }

  function seen(bytes: number): void {
    counts.bytes += bytes;
    context.progress({ phase: "collect", bytes: counts.bytes, entries: counts.entries });
    check();
  }

  function ready({ entry, file }: Found): Entry {
    counts.entries++;
    counts[COUNTED[entry.kind]]++;
    if (!file) return entry;
    if (file.whole) {
      seen(file.whole.length);
      return { ...entry, body: file.whole };
    }
    const fill = file.fill(seen);
    const body = (): Bytes => label(NAME, file.read(seen));
    return {
      ...entry,
      body: withFill(body, async (target) => {
        try {
          return await fill(target);
        } catch (error) {
          throw labelled(NAME, error);
        }
      }),
    };
  }

  async function* entries(): AsyncGenerator<Entry, void, undefined> {
    try {
      if (cutAt !== undefined) throw new Error("Cannot collect twice: run the stage anew");
      cutAt = new Date().toISOString();
      read = roots.map(realRoot);
      const asked = { ...settings, ...await leaving(settings) };
      libc = libraryFor(settings);
      if (libc) metadata = "full";
      if (settings.since) {
        const { openSession } = await import("./since/session.ts"); // most runs are full ones, and start without it
        session = await openSession(settings.since, read, context);
      }
      const stores = storesOf(context);
      const left = (path: string, source: string): void => {
        const what = stores.has(source)
          ? "the store of this backup"
          : "where this host keeps its copy of the index";
        context.log.info(`Left out "${path}": it is ${what}`);
      };
      const avoid = new Set([...stores, ...session ? [session.folder] : []]);
      const walk = walker({ ...asked, warn, left, avoid, known: session?.known, libc });
      const pause = pauses();
      for (const root of read) {
        for (const step of safely(root, walk)) {
          const found = step instanceof Promise ? await step : step;
          check();
          const rest = pause();
          if (rest) await rest;
          if (found && session) yield* session.take(found, ready);
          else if (found) yield ready(found);
        }
        check();
      }
      if (session) yield* session.end(ready);
      context.progress({ phase: "collect", bytes: counts.bytes, entries: counts.entries });
      complete = true;
    } catch (error) {
      throw labelled(NAME, error);
    } finally {
      session?.close();
      libc?.close();
    }
  }

  return {
    kind: "files",
    ordered: true,
    entries,
    facts: (): FactSheet => {
      if (!complete || cutAt === undefined) {
        throw new Error("Cannot tell the facts of files before the last one is read");
      }
      const facts = { roots: roots.length, ...counts, warnings: { ...warnings }, ...session?.facts() };
      const base = session?.base;
      const sources = [{ tool: NAME, cutAt, facts }];
      return { sources, stages: [], metadata, ...(base === undefined ? {} : { base }) };
    },
    notes: () => ({ roots: read, warnings: [...noted] }),
  };
}

function* safely({ source, path }: Root, walk: Walk): Generator<Step, void, undefined> {
  try {
    yield* walk(source, path);
  } catch (error) {
    throw rootError(source, error);
  }
}

/**
 * Lets timers and signals run every 50 ms: a walk that never waits would keep a cancellation from being seen. By the clock that costs
 * least; one that is set meanwhile makes a pause more or one fewer.
 */
function pauses(): () => Promise<void> | undefined {
  let last = Date.now();
  return () => {
    if (Math.abs(Date.now() - last) < 50) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        last = Date.now();
        resolve();
      });
    });
  };
}
