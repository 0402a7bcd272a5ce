/**
 * Databases back to where they were.
 *
 * @module
 */
import { statSync } from "node:fs";
import { BusyError, messageOf } from "../../errors.ts";
import type { Context, Entry, Files } from "../../stage.ts";
import { extract, type Inspect, type Root } from "../extract.ts";
import { DELTA } from "./delta.ts";
import { perform } from "./hand.ts";
import type { Check } from "./job.ts";
import { chainOf, rebuild } from "./rebuild.ts";
import { usersOf } from "./users.ts";

/** How databases go back. */
export interface Return {
  /** Where they were. */
  readonly roots: readonly Root[];
  /** How the restored files are checked before they take the place of others. */
  readonly check: Check;
  /** How long to wait for a lock, in milliseconds. */
  readonly timeoutMs: number;
  /** The caller's own look at the staged databases, when SQLite's checks have passed: what it throws takes all back. */
  readonly look?: ((staged: readonly StagedDatabase[]) => Promise<void>) | undefined;
}

/** A restored database that has not taken its place yet. */
export interface StagedDatabase {
  /** Stored path. */
  readonly path: string;
  /** Where it waits. */
  readonly staged: string;
  /** Where it will stand. */
  readonly target: string;
}

/**
 * Extracts, checks every staged database, and only then lets them take their places. What stands there must not be open, and its log
 * is folded into it first, so that no stale `-wal` or `-shm` lies beside its successor, and the old file alone is the old state. An
 * increment is put together with all it stands on.
 */
export async function restore(files: Files, context: Context, options: Return): Promise<void> {
  const paths: string[] = [];
  const { full, increments } = await chainOf(files);
  const latest = await metadataOf(increments.at(-1));
  const seen: Files = { ...full, entries: (wanted) => noting(full.entries(wanted), paths, latest) };
  const inspect: Inspect = async (placed) => {
    const spots = paths.flatMap((path) => {
      const spot = placed(path);
      return spot ? [{ path, ...spot }] : [];
    });
    await rebuild(increments, placed, context);
    const staged = spots.map(({ staged }) => staged);
    await perform({ kind: "check", paths: staged, check: options.check }, context.signal);
    await options.look?.(spots);
    if (context.want.conflict === "skip") return;
    for (const { target } of spots) await vacate(target, context, options.timeoutMs);
  };
  await extract(seen, increments.length > 0 ? unbounded(context) : context, options.roots, inspect);
}

/** Each archive of a chain is held to its own bounds when it is read: those of the newest say nothing of the full backup. */
function unbounded(context: Context): Context {
  const { want } = context;
  return { ...context, want: { ...want, limits: { ...want.limits, entries: 2 ** 40, bytes: 2 ** 50 } } };
}

/** Mode, owner and time of the databases as an increment lists them. */
async function metadataOf(files: Files | undefined): Promise<ReadonlyMap<string, Partial<Entry>>> {
  const found = new Map<string, Partial<Entry>>();
  for await (const { path, mode, uid, gid, mtimeMs } of files?.listing?.() ?? []) {
    if (path.endsWith(`${DELTA}/pages`)) {
      found.set(path.slice(0, -`${DELTA}/pages`.length), { mode, uid, gid, mtimeMs });
    }
  }
  return found;
}

async function* noting(
  entries: ReturnType<Files["entries"]>,
  paths: string[],
  latest: ReadonlyMap<string, Partial<Entry>>,
): AsyncGenerator<Entry, void, undefined> {
  for await (const entry of entries) {
    if (entry.kind === "file") paths.push(entry.path);
    yield { ...entry, ...latest.get(entry.path) };
  }
}

/** Makes sure that nobody uses the database at `target`, and that it has no log. */
async function vacate(target: string, context: Context, timeoutMs: number): Promise<void> {
  const logs = [`${target}-wal`, `${target}-shm`];
  const { pids, certain } = usersOf([target, ...logs]);
  if (pids.length > 0) {
    throw new BusyError(
      `Cannot restore "${target}": it is open in ${
        pids.map((pid) => pid < 0 ? "a process of another container" : `process ${pid}`).join(", ")
      }. Stop what uses it, then restore again; nothing has changed`,
    );
  }
  if (!certain && exists(target)) {
    context.log.info(
      `"${target}" may be open in another user's process, which cannot be seen from here. It is replaced by a rename: ` +
        "such a process goes on with the old file until it is restarted",
    );
  }
  if (!logs.some(exists)) return;
  if (!exists(target)) {
    throw new BusyError(
      `Cannot restore "${target}": a log lies beside it without its database, and would be played into the restored one. ` +
        `Move "${logs[0]}" and "${logs[1]}" away, then restore again; nothing has changed`,
    );
  }
  await fold(target, context, timeoutMs);
  const left = logs.filter(exists);
  if (left.length === 0) return;
  throw new BusyError(
    `Cannot restore "${target}": "${
      left[0]
    }" stays, so another process has the database open. Stop it, then restore again; ` +
      "nothing has changed",
  );
}

async function fold(target: string, context: Context, timeoutMs: number): Promise<void> {
  try {
    await perform({ kind: "settle", path: target, timeoutMs }, context.signal);
  } catch (cause) {
    context.signal.throwIfAborted();
    throw new Error(
      `Cannot restore "${target}": the log beside it cannot be folded into it (${
        messageOf(cause)
      }). Move "${target}" with its ` +
        "-wal and -shm to another folder, then restore again; nothing has changed",
      { cause },
    );
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
