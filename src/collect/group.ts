/**
 * Several sources in one backup, each under its own folder.
 *
 * @module
 */
import { join } from "node:path";
import { GONE } from "../layers.ts";
import type { Context, Entry, FactSheet, Files, Stage } from "../stage.ts";
import { type Member, restoreApart, sharedProgress } from "./lanes.ts";
import { checkMembers, rulesOf } from "./members.ts";
import {
  below,
  chained,
  chainedOf,
  memberNotes,
  notesOf,
  plain,
  type PlainStage,
  type RootsOf,
  rootsOf,
  weigh,
  weightOf,
  write,
} from "./plain.ts";

/**
 * Stores several sources, each below a folder of its name, read one after the other in the order of their names.
 *
 * Undo restores all or none of what is files: members whose undo only writes files are written together. Any other member gets
 * its entries, without the folder's name, and does not see their end before the whole backup has been verified and the files
 * stand.
 *
 * A drill runs those of its members.
 *
 * Members with `since` are compared each with a copy of its own. Then the backup is an increment if one of them goes on from the newest
 * backup: the others are stored whole in it, and what they were before is gone. Another set of members makes a full backup.
 *
 * Throws TypeError for no members, a name that is not a plain file name, members with `since` that end a chain by different rules, or
 * databases of which only what has changed is stored.
 *
 * @example
 * ```ts ignore
 * collect.group({
 *   app: collect.files("/srv/app"),
 *   db: collect.command(["pg_dump", "app"], { path: "app.sql" }),
 * });
 * ```
 */
export function group(members: Readonly<Record<string, Stage<void, Files>>>): Stage<void, Files> {
  const list = checkMembers(members);
  const stage: PlainStage = {
    name: "group",
    verb: "collect",
    secret: list.find(({ stage }) => stage.secret !== undefined)?.stage.secret,
    run: (_input, context) => collect(list, context),
    undo: (stored, context) => restore(list, stored, context),
    drill: list.some(({ stage }) => stage.drill)
      ? (folder, context) => drill(list, folder, context)
      : undefined,
    [plain]: (want) => {
      const all = list.map(({ name, stage }) => [name, rootsOf(stage, want)] as const);
      return all.every(isPlain) ? together(all) : undefined;
    },
    [weigh]: async (context) => {
      let bytes = 0;
      for (const { stage } of list) bytes += await weightOf(stage, context);
      return bytes;
    },
    [chained]: rulesOf(list),
  };
  return stage;
}

/** The members' own proofs, one after the other; their names stay out of the receipt. */
async function drill(
  list: readonly Member[],
  folder: string,
  context: Context,
): Promise<Readonly<Record<string, unknown>>> {
  const members: Readonly<Record<string, unknown>>[] = [];
  for (const { name, stage } of list) {
    if (stage.drill) members.push({ tool: stage.name, ...await stage.drill(join(folder, name), context) });
  }
  return { members };
}

async function collect(list: readonly Member[], context: Context): Promise<Files> {
  const progress = sharedProgress(context.progress);
  const since = list.filter(({ stage }) => chainedOf(stage)).map(({ name }) => name);
  const built: (readonly [name: string, files: Files])[] = [];
  for (const { name, stage } of list) {
    const log = {
      info: (message: string): void => context.log.info(`${name}: ${message}`),
      warn: (kind: string, message: string): void => context.log.warn(kind, `${name}: ${message}`),
    };
    const within = JSON.stringify([context.within ?? null, list.map(({ name }) => name), name]);
    built.push([name, await stage.run(undefined, { ...context, log, within, progress: progress() })]);
  }
  return {
    kind: "files",
    ordered: built.every(([, files]) => files.ordered === true),
    entries: () => since.length > 0 ? sinceEntries(built, since, context) : entriesOf(built, context),
    facts: (): FactSheet => {
      const sheets = built.map(([, files]) => files.facts());
      const base = sheets.find(({ base }) => base !== undefined)?.base;
      return {
        ...(base === undefined ? {} : { base }),
        ...metadataOf(sheets),
        sources: sheets.flatMap(({ sources }) => sources),
        stages: sheets.flatMap(({ stages }) => stages),
      };
    },
    notes: () => Object.fromEntries(built.map(([name, files]) => [name, notesOf(files)])),
  };
}

/** All of it is there only where each member that reads files has it. */
function metadataOf(sheets: readonly FactSheet[]): Pick<FactSheet, "metadata"> {
  const said = sheets.map(({ metadata }) => metadata).filter((one) => one !== undefined);
  if (said.length === 0) return {};
  return { metadata: said.includes("basic") ? "basic" : "full" };
}

/** Also one list of what is gone, in place of the members' own. */
async function* sinceEntries(
  built: readonly (readonly [name: string, files: Files])[],
  since: readonly string[],
  context: Context,
): AsyncGenerator<Entry, void, undefined> {
  const { groupGone } = await import("./since/group.ts"); // most groups start without it
  const gone = groupGone();
  try {
    for (const [name, files] of built) {
      let whole = true;
      for await (const entry of entriesOf([[name, files]], context)) {
        if (since.includes(name) && entry.path === `${name}/${GONE}`) {
          whole = false;
          await gone.listed(name, entry);
        } else yield entry;
      }
      if (whole) gone.whole(name);
    }
    yield* gone.end(built.flatMap(([, files]) => files.facts().base ?? []), context.now);
  } finally {
    gone.close();
  }
}

async function* entriesOf(
  built: readonly (readonly [name: string, files: Files])[],
  context: Context,
): AsyncGenerator<Entry, void, undefined> {
  for (const [name, files] of built) {
    yield folderEntry(name, context.now);
    for await (const entry of files.entries()) {
      const path = `${name}/${entry.path}`;
      yield entry.kind === "hardlink"
        ? { ...entry, path, target: `${name}/${entry.target}` }
        : { ...entry, path };
    }
  }
}

function folderEntry(path: string, now: Date): Entry {
  return {
    path,
    kind: "directory",
    mode: 0o755,
    mtimeMs: now.getTime(),
    uid: 0,
    gid: 0,
    uname: "",
    gname: "",
    bytes: 0,
  };
}

function isPlain(pair: readonly [string, RootsOf | undefined]): pair is readonly [string, RootsOf] {
  return pair[1] !== undefined;
}

/** The members' roots as one list. */
function together(members: readonly (readonly [name: string, roots: RootsOf])[]): RootsOf {
  return (notes) => members.flatMap(([name, roots]) => below(name, roots(memberNotes(notes, name))));
}

function restore(list: readonly Member[], stored: Files, context: Context): Promise<void> {
  const all = list.map(({ name, stage }) => [name, rootsOf(stage, context.want)] as const);
  const roots = together(all.filter(isPlain));
  const writeAll = (files: Files, inner: Context): Promise<void> =>
    write(files, inner, roots(notesOf(stored)));
  const apart = list.filter((_, i) => all[i]![1] === undefined);
  if (apart.length === 0) return writeAll(stored, context);
  const names = list.map(({ name }) => name);
  return restoreApart(stored, context, {
    apart,
    names,
    write: apart.length < list.length ? writeAll : undefined,
  });
}
