/**
 * What the thread beside the main one is asked, and what it says. Types only.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";

/** How a copy is checked. */
export type Check = "full" | "quick" | "off";

/** One database to copy: where it is, and the empty file that takes the copy. */
export interface Source {
  /** The database's absolute path. */
  readonly path: string;
  /** An empty file; its name is gone before the first byte is written to it. */
  readonly copy: string;
}

/** A look at databases inside the transactions they are copied from, on the thread that copies them. */
export interface Look {
  /** URL of a module two folders below what it imports, which exports `look`, an {@linkcode Inspector}. */
  readonly module: string;
  /** The same function, for a thread that must do it itself. It is not passed on. */
  readonly here?: Inspector | undefined;
  /** What it is told; structured-cloneable. */
  readonly data: unknown;
}

/** Looks at open databases, one per source in their order; gives what can be structured-cloned. Throws what fails the backup. */
export type Inspector = (
  open: readonly { readonly path: string; readonly db: DatabaseSync }[],
  data: unknown,
) => unknown;

/** A job. */
export type Job =
  | {
    readonly kind: "snapshot";
    readonly sources: readonly Source[];
    readonly check: Check;
    readonly timeoutMs: number;
    /** A look of the caller's own, when SQLite's checks have passed. */
    readonly look?: Look | undefined;
    /** Not zero: stop. */
    readonly stop: Int32Array;
  }
  | { readonly kind: "check"; readonly paths: readonly string[]; readonly check: Check }
  | { readonly kind: "settle"; readonly path: string; readonly timeoutMs: number };

/** What is known of one copy. */
export interface Taken {
  /** Size of a page in bytes. */
  readonly pageSize: number;
  /** Number of pages. */
  readonly pages: number;
  /** "wal", "delete" and so on: how the source journals. */
  readonly journal: string;
  /** `PRAGMA application_id`. */
  readonly applicationId: number;
  /** `PRAGMA user_version`. */
  readonly userVersion: number;
  /** Rows that break a foreign key; -1: not checked. */
  readonly brokenKeys: number;
  /** When its read transaction began, in milliseconds since 1970. */
  readonly cutMs: number;
}

/** What a snapshot gives. */
export interface Snapshot {
  /** One per source, in their order. */
  readonly taken: readonly Taken[];
  /** Whether nothing was committed to any of them between the first and the last read transaction's begin. */
  readonly exact: boolean;
  /** What the caller's look gave. */
  readonly seen?: unknown;
}

/** What the other side says. */
export type Answer =
  | { readonly ready: true }
  | { readonly bytes: number }
  | { readonly copied: true }
  | { readonly done: Snapshot | undefined }
  | { readonly error: string; readonly integrity: boolean };

/** An error that says whether the data, and not the circumstances, are to blame. */
export class SnapshotError extends Error {
  /** Whether bytes are not what they should be. */
  readonly integrity: boolean;
  /** A sentence, the cause, and whose fault it is. */
  constructor(message: string, integrity: boolean, cause?: unknown) {
    super(message, { cause });
    this.integrity = integrity;
  }
}
