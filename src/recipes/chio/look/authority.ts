/**
 * An authority's database: which identity it holds, and whether it went back. The seed in it is read and not kept.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { IntegrityError } from "../../../errors.ts";
import { keyOfSeed } from "../ed25519.ts";
import type { Opened } from "../look.ts";

/** What was found; 64-bit numbers as texts. */
export interface AuthoritySeen {
  /** The public key of its seed; absent before the first key is made. */
  readonly publicKey?: string | undefined;
  /** How often it was rotated. */
  readonly generation: string;
  /** Keys of this and earlier generations. */
  readonly trusted: readonly string[];
  /** The cluster's election term. */
  readonly term: string;
}

/** Looks at one authority's database. Throws {@linkcode IntegrityError} for what is none, or whose key is not its seed's. */
export function lookAtAuthority(open: readonly Opened[]): AuthoritySeen {
  const { db, path } = open[0]!;
  if (!hasTable(db, "authority_state")) {
    throw new IntegrityError(
      `Cannot back up "${path}" as an authority: it has no table authority_state. Give the file of --authority-db`,
    );
  }
  const state = row(
    db,
    "SELECT seed_hex, public_key_hex, CAST(generation AS TEXT) AS generation FROM authority_state",
  );
  const key = state && keyOfSeed(String(state.seed_hex));
  if (state && !key) {
    throw new IntegrityError(`The authority "${path}" holds no usable seed. Restore an older backup of it`);
  }
  if (key && state.public_key_hex !== null && state.public_key_hex !== key.hex) {
    throw new IntegrityError(
      `The authority "${path}" says its key is ${state.public_key_hex}, but its seed makes ${key.hex}. Restore an older backup of it`,
    );
  }
  const trusted = hasTable(db, "authority_trusted_keys")
    ? db.prepare("SELECT public_key_hex AS key FROM authority_trusted_keys ORDER BY key").all()
    : [];
  const fence = hasTable(db, "authority_cluster_fence")
    ? row(db, "SELECT CAST(election_term AS TEXT) AS term FROM authority_cluster_fence")
    : undefined;
  return {
    publicKey: key?.hex,
    generation: String(state?.generation ?? "0"),
    trusted: trusted.map(({ key }) => String(key)),
    term: String(fence?.term ?? "0"),
  };
}

/** Whether a database has a table. */
export function hasTable(db: DatabaseSync, name: string): boolean {
  return db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(name) !== undefined;
}

function row(db: DatabaseSync, sql: string): Readonly<Record<string, unknown>> | undefined {
  return db.prepare(sql).get() as Readonly<Record<string, unknown>> | undefined;
}
