/**
 * Identities: which keys an authority signs with, and whether they are still the same.
 *
 * @module
 */
import { basename } from "node:path";
import { IntegrityError } from "../../errors.ts";
import type { Files } from "../../stage.ts";
import type { ChioAuthorityOptions } from "./authority.ts";
import { keyOfSeed } from "./ed25519.ts";
import type { AuthoritySeen } from "./look/authority.ts";
import type { Recorded } from "./previous.ts";
import { type Extra, factsOf } from "./surface.ts";

/** What came by while the sources were read. */
export interface Seen {
  /** Public keys by where their seeds lie. */
  readonly identity: Map<string, string>;
  /** The database, if there is one. */
  database?: AuthoritySeen;
  /** When it was cut. */
  cutMs?: number;
}

/** Notes the public key of a seed file that comes by. Throws {@linkcode IntegrityError} for one that is none, without its content. */
export function noteSeed(path: string, content: Uint8Array, keys: Map<string, string>): void {
  if (!path.startsWith("seeds/")) return;
  const key = keyOfSeed(new TextDecoder().decode(content));
  if (!key) {
    throw new IntegrityError(
      `The seed "${
        basename(path)
      }" is not 64 hexadecimal digits: no key can be made of it. Check the path in seeds`,
    );
  }
  keys.set(path, key.hex);
}

function identities({ identity, database }: Seen): readonly string[] {
  return [
    ...new Set([...identity.values(), ...database?.publicKey === undefined ? [] : [database.publicKey]]),
  ].sort();
}

/** What is recorded: public keys, generations, never a seed. */
export function factSheet(
  { keys = [] }: ChioAuthorityOptions,
  seen: Seen,
  { accept = [] }: Extra,
): Readonly<Record<string, unknown>> {
  const { database } = seen;
  return {
    identity: identities(seen),
    ...(database && { generation: database.generation, term: database.term, trusted: database.trusted }),
    ...(keys.length > 0 ? { externalKeys: keys } : {}),
    ...(accept.length > 0 ? { accepted: accept } : {}),
  };
}

/** Compares identities with the pinned ones and with those of the backup before. Throws {@linkcode IntegrityError}. */
export function refuseOthers(
  seen: Seen,
  { identity = [] }: ChioAuthorityOptions,
  before: Recorded | undefined,
  { accept = [] }: Extra,
): void {
  const now = identities(seen);
  const missing = identity.find((key) => !now.includes(key));
  if (missing !== undefined && !accept.includes("identity")) throw stranger(missing, "the plan names", now);
  if (!before) return;
  const { facts, id } = before;
  const known = new Set([...now, ...seen.database?.trusted ?? []]);
  const lost = textsOf(facts.identity).find((key) => !known.has(key));
  if (lost !== undefined) throw stranger(lost, `"${id}" recorded`, now);
  if (!seen.database || accept.includes("rollback")) return;
  const gone = textsOf(facts.trusted).find((key) => !known.has(key));
  if (gone !== undefined) throw wentBack(`it trusted the key ${gone} in "${id}" and does no more`);
  for (const name of ["generation", "term"] as const) {
    const then = facts[name];
    if (typeof then === "string" && BigInt(seen.database[name]) < BigInt(then)) {
      throw wentBack(`its ${name} was ${then} in "${id}" and is ${seen.database[name]}`);
    }
  }
}

function stranger(key: string, who: string, now: readonly string[]): IntegrityError {
  return new IntegrityError(
    `The identity ${key}, which ${who}, is gone; there is ${
      now.join(", ") || "none"
    }. Chio makes a new one when it misses its seed: put ` +
      'the old seed back. If the key was changed on purpose, say accept = ["identity"] once',
  );
}

function wentBack(what: string): IntegrityError {
  return new IntegrityError(
    `The authority went back: ${what}. Find out what happened; where it is meant (an older copy was restored on purpose), say ` +
      'accept = ["rollback"] once',
  );
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** Tells a restore which identities it has. Throws {@linkcode IntegrityError} for a seed whose key the backup did not record. */
export function tellRestored(stored: Files, seeds: readonly string[], { tell }: Extra): void {
  const said = factsOf(stored.facts().sources, "authority");
  const recorded = textsOf(said?.facts.identity);
  const strange = seeds.find((key) => said && !recorded.includes(key));
  if (strange !== undefined) {
    throw new IntegrityError(
      `A restored seed makes the key ${strange}, which the backup did not record. Do not start Chio with it`,
    );
  }
  tell?.({
    surface: "authority",
    cutAt: said?.cutAt,
    identity: recorded,
    trusted: textsOf(said?.facts.trusted),
    externalKeys: said?.facts.externalKeys ?? [],
  });
}
