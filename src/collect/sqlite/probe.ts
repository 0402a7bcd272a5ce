/**
 * Whether anything has been committed to databases, without reading them.
 *
 * @module
 */
import { statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import type { Part } from "../../stage.ts";
import { type SqliteStage, watched } from "../sqlite.ts";
import { number, openSource } from "./open.ts";

/** A look at databases that somebody else writes to. */
export interface Probe {
  /**
   * A text that stays the same as long as nothing is committed; undefined: it cannot be told. A snapshot that begins after a look has all
   * that the look knew of.
   */
  readonly look: () => string | undefined;
  /** Closes the databases. */
  readonly close: () => void;
}

/** Whether a stage stores what has changed in databases. */
export function isFollowed(stage: Part | undefined): boolean {
  return (stage as Partial<SqliteStage> | undefined)?.[watched]?.since ?? false;
}

/**
 * A probe of a stage's databases; undefined for any other stage. Each database is held open by a connection without a transaction, whose
 * `PRAGMA data_version` changes when another one commits (https://sqlite.org/pragma.html#pragma_data_version): in WAL mode SQLite looks at the
 * header of the log's index in shared memory, else at the change counter in bytes 24 to 27 of the database. Nothing else is read.
 */
export function probeOf(stage: Part | undefined): Probe | undefined {
  const databases = (stage as Partial<SqliteStage> | undefined)?.[watched];
  if (!databases) return undefined;
  const open = new Map<string, { readonly db: DatabaseSync; readonly file: string; readonly turn: number }>();
  let turns = 0;
  const close = (): void => {
    for (const { db } of open.values()) db.close();
    open.clear();
  };
  return {
    look: () => {
      try {
        // Versions of two connections cannot be compared: which one was asked belongs to the text.
        return databases.paths.map((path) => {
          const { dev, ino } = statSync(path);
          const file = `${dev}:${ino}`;
          let held = open.get(path);
          if (held?.file !== file) { // another file stands there, as after a restore
            held?.db.close();
            open.set(path, held = { db: openSource(path, 0), file, turn: turns++ });
          }
          return `${held.turn}:${number(held.db, "data_version")}`;
        }).join(" ");
      } catch {
        // Locked, moved, damaged: the backup will say it.
        close();
        return undefined;
      }
    },
    close,
  };
}
