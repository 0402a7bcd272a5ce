/**
 * Members of a group whose undo only writes files: they are restored together, all or none.
 *
 * @module
 */
import type { Context, Files, Stage, Want } from "../stage.ts";
import { extract, type Root } from "./extract.ts";
import type { FullRules } from "./since/choose.ts";

/** What a collector recorded in the sealed index. */
export type Notes = Readonly<Record<string, unknown>>;

/** Where the entries of a collector were; `notes` is what the backup recorded. */
export type RootsOf = (notes: Notes) => readonly Root[];

/** Key of {@linkcode PlainStage}'s answer. */
export const plain: unique symbol = Symbol("plain");

/** Key of {@linkcode PlainStage}'s estimate. */
export const weigh: unique symbol = Symbol("weigh");

/** Key of {@linkcode PlainStage}'s reason. */
export const alone: unique symbol = Symbol("alone");

/** Key of {@linkcode PlainStage}'s rules. */
export const chained: unique symbol = Symbol("chained");

/** A collector that can say that its undo, for this request, only writes files. */
export interface PlainStage extends Stage<void, Files> {
  /** Undefined: the undo does something else. */
  readonly [plain]: (want: Want) => RootsOf | undefined;
  /** Looks at all it would read; gives about how many bytes that is. Throws what would fail the backup. */
  readonly [weigh]?: ((context: Context) => Promise<number>) | undefined;
  /** Why it cannot be one of several in a group; undefined: it can. */
  readonly [alone]?: string | undefined;
  /** Stores only what of a tree has changed, and a list of what is gone, under these rules; undefined: always the whole. */
  readonly [chained]?: FullRules | undefined;
}

/** The rules of a collector that stores only what of a tree has changed. */
export function chainedOf(stage: Stage<void, Files>): FullRules | undefined {
  return (stage as Partial<PlainStage>)[chained];
}

/** Why a collector cannot be one of several. */
export function aloneOf(stage: Stage<void, Files>): string | undefined {
  return (stage as Partial<PlainStage>)[alone];
}

/** About how many bytes a collector will read; 0 where it cannot tell beforehand. */
export async function weightOf(stage: Stage<void, Files>, context: Context): Promise<number> {
  return weigh in stage ? await (stage as PlainStage)[weigh]?.(context) ?? 0 : 0;
}

/** The answer of any collector. */
export function rootsOf(stage: Stage<void, Files>, want: Want): RootsOf | undefined {
  return plain in stage ? (stage as PlainStage)[plain](want) : undefined;
}

/** Writes entries. In place, the folders that a group made for its members have no place, and are left out. */
export function write(files: Files, context: Context, roots: readonly Root[]): Promise<void> {
  if (!context.want.inPlace) return extract(files, context, roots);
  const made = new Set(roots.flatMap(({ path }) => foldersAbove(path)));
  const keep = ({ path }: { readonly path: string }): boolean => !made.has(path);
  const { listing } = files;
  const rest: Files = {
    ...files,
    entries: (wanted) => filter(files.entries(wanted), keep),
    listing: listing && (() => filter(listing(), keep)),
  };
  return extract(rest, context, roots);
}

function foldersAbove(path: string): readonly string[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("/"));
}

/** The items that `keep` is true for. */
export async function* filter<T>(
  items: AsyncIterable<T>,
  keep: (item: T) => boolean,
): AsyncGenerator<T, void, undefined> {
  for await (const item of items) if (keep(item)) yield item;
}

/** The recorded notes; none where the backup has none. */
export function notesOf(files: Files): Notes {
  return files.notes?.() ?? {};
}

/** The notes of one member of a group. */
export function memberNotes(notes: Notes, name: string): Notes {
  const value = Object.hasOwn(notes, name) ? notes[name] : undefined;
  return typeof value === "object" && value !== null ? value as Notes : {};
}

/** The roots that notes record, those of a group's members below their folders. */
export function rootsIn(notes: Notes): readonly Root[] {
  if (Array.isArray(notes.roots)) return notes.roots.every(isRoot) ? notes.roots : [];
  return Object.keys(notes).flatMap((name) => below(name, rootsIn(memberNotes(notes, name))));
}

/** Roots below a folder of the archive. */
export function below(name: string, roots: readonly Root[]): readonly Root[] {
  return roots.map(({ path, source }) => ({ path: `${name}/${path}`, source }));
}

function isRoot(value: unknown): value is Root {
  const { path, source } = (value ?? {}) as Partial<Root>;
  return typeof path === "string" && typeof source === "string";
}
