/**
 * What tells `group` that a member's undo only writes files: such members are restored together, all or none.
 *
 * @module
 */
import type { Files, Stage, Want } from "../stage.ts";
import type { Root } from "./extract.ts";

/** A restore that is nothing but writing entries. */
export interface Writing {
  /** Where the entries were, by what the backup recorded. */
  readonly roots: (files: Files) => readonly Root[];
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
