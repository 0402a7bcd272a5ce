/**
 * A revocation database: how much it holds, and whether anything of the backup before is gone.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { IntegrityError } from "../../../errors.ts";
import type { Opened } from "../look.ts";
import { hasTable } from "./authority.ts";

/** What was found. */
export interface RevocationsSeen {
  /** Number of revoked capabilities. */
  readonly count: number;
  /** Digest of their ids, in the order they came. */
  readonly sha256: string;
  /** When the newest was revoked, in seconds since 1970; absent when there is none. */
  readonly newest?: number | undefined;
  /** The digest of the first `previous.count` ids, to compare with that of then. */
  readonly before?: string | undefined;
}

/** Looks at one revocation database. Throws {@linkcode IntegrityError} for what is none. */
export function lookAtRevocations(
  open: readonly Opened[],
  { count = 0 }: { readonly count?: number | undefined },
): RevocationsSeen {
  const { db, path } = open[0]!;
  if (!hasTable(db, "revoked_capabilities")) {
    throw new IntegrityError(
      `Cannot back up "${path}" as revocations: it has no table revoked_capabilities. Give the file of --revocation-db`,
    );
  }
  // Rows keep their place when they are updated, and new ones come after them: what was there before is the beginning.
  const rows = db.prepare(
    "SELECT capability_id AS id, revoked_at AS at FROM revoked_capabilities ORDER BY rowid",
  ).iterate();
  const hash = createHash("sha256");
  let seen = 0;
  let newest: number | undefined;
  let before: string | undefined = count === 0 ? hash.copy().digest("hex") : undefined;
  for (const { id, at } of rows) {
    hash.update(`${String(id).length}:${String(id)}`);
    newest = Math.max(newest ?? -Infinity, Number(at));
    if (++seen === count) before = hash.copy().digest("hex");
  }
  return { count: seen, sha256: hash.digest("hex"), newest, before };
}
