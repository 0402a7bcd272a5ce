/**
 * One archive read once for several restorers, none of which sees the end before all of it is verified.
 *
 * @module
 */
import { join } from "node:path";
import { labelled } from "../bytes.ts";
import type { Context, Files, IndexEntry, Progress, Stage, Want } from "../stage.ts";
import { wantedBy } from "./only.ts";
import { type Lane, lane } from "./lane.ts";
import { filter, memberNotes, notesOf } from "./plain.ts";

/** One source of a group. */
export interface Member {
  /** Its folder. */
  readonly name: string;
  /** Its collector. */
  readonly stage: Stage<void, Files>;
}

/** Who takes which entries. */
export interface Split {
  /** All members' names. */
  readonly names: readonly string[];
  /** Members that undo on their own. */
  readonly apart: readonly Member[];
  /** Writes the entries of all others, by their full paths. */
  readonly write: ((files: Files, context: Context) => Promise<void>) | undefined;
}

/**
 * Hands each entry to the one it belongs to. When the archive has ended soundly, the files are finished first, for they can still be
 * refused without a trace; then the members on their own, in order. A failure anywhere fails all that have not finished.
 */
export async function restoreApart(stored: Files, context: Context, split: Split): Promise<void> {
  const { only } = context.want;
  const wanted = wantedBy(only);
  const progress = sharedProgress(context.progress);
  const writer = split.write && writerLane(split.write, stored, context, split.apart, progress());
  const lanes = new Map(
    split.apart.map((member) => [member.name, memberLane(member, stored, context, progress())]),
  );
  const all = [...(writer ? [writer] : []), ...lanes.values()];
  // Without a choice each member is asked to restore, also one that the backup holds nothing of: that is for it to say.
  if (only.length === 0) all.forEach(({ open }) => open());
  try {
    for await (const entry of stored.entries(only.length > 0 ? await needed(stored, wanted) : undefined)) {
      const name = entry.path.split("/", 1)[0]!;
      const lane = lanes.get(name);
      if (!split.names.includes(name)) throw strangerError(entry.path, split.names);
      const chosen = wanted(entry.path);
      if (!lane) await writer?.offer(entry, chosen);
      else if (chosen && entry.path !== name) await lane.offer(inside(name, entry), true);
    }
    for (const lane of all) await lane.end();
  } catch (error) {
    await Promise.all(all.map((lane) => lane.fail(error)));
    throw error;
  }
}

/** What is wanted, and the first names of what is wanted under another: a hard link's content lies there. */
async function needed(stored: Files, wanted: (path: string) => boolean): Promise<(path: string) => boolean> {
  const targets = new Set<string>();
  for await (const { kind, path, target } of stored.listing?.() ?? []) {
    if (kind === "hardlink" && target !== undefined && wanted(path)) targets.add(target);
  }
  return (path) => wanted(path) || targets.has(path);
}

function strangerError(path: string, names: readonly string[]): Error {
  const list = names.map((name) => `"${name}"`).join(", ");
  return new Error(
    `Cannot restore "${path}": this plan has only ${list}. Restore it without the plan, into a folder`,
  );
}

/** The files of all plain members, under their full paths. */
function writerLane(
  write: (files: Files, context: Context) => Promise<void>,
  stored: Files,
  context: Context,
  apart: readonly Member[],
  progress: Progress,
): Lane {
  const others = new Set(apart.map(({ name }) => name));
  const listing = stored.listing;
  const log = {
    info: context.log.info,
    // What matches nothing here may match a member on its own.
    warn: (kind: string, message: string): void =>
      kind === "unmatched" ? undefined : context.log.warn(kind, message),
  };
  return lane((entries) =>
    write({
      ...stored,
      entries,
      listing: listing && (() => filter(listing(), ({ path }) => !others.has(path.split("/", 1)[0]!))),
    }, { ...context, progress, log })
  );
}

/** One member on its own, under the paths it gave itself. */
function memberLane({ name, stage }: Member, stored: Files, context: Context, progress: Progress): Lane {
  const wanted = wantedBy(context.want.only);
  const listing = stored.listing;
  return lane(async (entries) => {
    const files: Files = {
      kind: "files",
      entries,
      facts: stored.facts,
      notes: () => memberNotes(notesOf(stored), name),
      listing: listing && (async function* (): AsyncGenerator<IndexEntry, void, undefined> {
        for await (const entry of listing()) {
          if (entry.path.startsWith(`${name}/`) && wanted(entry.path)) yield inside(name, entry);
        }
      }),
    };
    try {
      await stage.undo(files, { ...context, progress, want: memberWant(context.want, name) });
    } catch (error) {
      throw labelled(stage.name, error);
    }
  });
}

/** The request as a member sees it: its globs have been applied, and its folder is the first part that strip drops. */
function memberWant(want: Want, name: string): Want {
  const { into, strip, report } = want;
  return {
    ...want,
    only: [],
    into: into !== undefined && strip === 0 ? join(into, name) : into,
    strip: Math.max(0, strip - 1),
    report: report && ((path, action) => report(`${name}/${path}`, action)),
  };
}

function inside<
  T extends { readonly path: string; readonly kind: string; readonly target?: string | undefined },
>(
  name: string,
  entry: T,
): T {
  const cut = (path: string): string => path.startsWith(`${name}/`) ? path.slice(name.length + 1) : path;
  return entry.kind === "hardlink" && entry.target !== undefined
    ? { ...entry, path: cut(entry.path), target: cut(entry.target) }
    : { ...entry, path: cut(entry.path) };
}

/** Adds up the progress of several: each call gives a reporter for one of them. */
export function sharedProgress(progress: Progress): () => Progress {
  let bytes = 0;
  let entries = 0;
  return () => {
    let last = { bytes: 0, entries: 0 };
    return (update) => {
      const now = { bytes: update.bytes, entries: update.entries ?? last.entries };
      bytes += now.bytes - last.bytes;
      entries += now.entries - last.entries;
      last = now;
      progress({ phase: update.phase, bytes, entries });
    };
  };
}
