/**
 * What tells `group` that a member's undo only writes files: such members are restored together, all or none.
 *
 * @module
 */
import type { Files, Stage, Want } from "../stage.ts";
import type { Root } from "./extract.ts";

/** What a collector recorded in the sealed index. */
export type Notes = Readonly<Record<string, unknown>>;

/** A restore that is nothing but writing entries. */
export interface Writing {
  /** Where the entries were; `notes` is what the backup recorded. */
  readonly roots: (notes: Notes) => readonly Root[];
  /** Folders of the archive that no root covers: they are made by a group, and skipped in place. */
  readonly folders: readonly string[];
}

/** Key of {@linkcode PlainStage}'s answer. */
export const plain: unique symbol = Symbol("plain");

/** A collector that can say that its undo, for this request, only writes files. */
export interface PlainStage extends Stage<void, Files> {
  /** Undefined: the undo does something else. */
  readonly [plain]: (want: Want) => Writing | undefined;
}

/** The answer of any collector. */
export function writingOf(stage: Stage<void, Files>, want: Want): Writing | undefined {
  return plain in stage ? (stage as PlainStage)[plain](want) : undefined;
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
