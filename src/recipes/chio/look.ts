/**
 * Looks at databases of Chio's inside the transactions they are copied from: on SQLite's thread, over the very pages that are stored.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import type { Inspector, Look } from "../../collect/sqlite/job.ts";
import { lookAtAuthority } from "./look/authority.ts";
import { lookAtReceipts } from "./look/receipts.ts";
import { lookAtRevocations } from "./look/revocations.ts";

/** An open database. */
export interface Opened {
  /** Its path. */
  readonly path: string;
  /** Open, inside a read transaction. */
  readonly db: DatabaseSync;
}

/** What to look for, by surface. */
const LOOKS = { receipts: lookAtReceipts, authority: lookAtAuthority, revocations: lookAtRevocations };

/** What a look is told. */
export interface Asked {
  /** Which look. */
  readonly surface: keyof typeof LOOKS;
  /** What it needs. */
  readonly options: unknown;
}

/** Does a look: what the worker calls. */
export const look: Inspector = (open, data) => {
  const { surface, options } = data as Asked;
  return (LOOKS[surface] as (open: readonly Opened[], options: unknown) => unknown)(open, options);
};

/** A look for the copier. */
export function lookFor(surface: Asked["surface"], options: unknown): Look {
  return { module: import.meta.url, here: look, data: { surface, options } satisfies Asked };
}
