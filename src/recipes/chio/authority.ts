/**
 * The capability authority and the seeds that sign, both ways. Always encrypted: whoever reads it can sign in their name.
 *
 * @module
 */
import { lstatSync } from "node:fs";
import { basename, resolve } from "node:path";
import { files as collectFiles } from "../../collect/files.ts";
import { group } from "../../collect/group.ts";
import { type SqliteOptions, sqliteWith } from "../../collect/sqlite.ts";
import { ConfigError, IntegrityError } from "../../errors.ts";
import type { Context, Files, Stage } from "../../stage.ts";
import { keyOfSeed } from "./ed25519.ts";
import { lookFor } from "./look.ts";
import type { AuthoritySeen } from "./look/authority.ts";
import { previousOf, type Recorded } from "./previous.ts";
import {
  checkKeys,
  chio,
  chioFact,
  type ChioStage,
  type ExternalKey,
  type Extra,
  factsOf,
} from "./surface.ts";
import { tapped } from "./tap.ts";

/** What holds an authority's identity. At least `database` or a seed. */
export interface ChioAuthorityOptions extends SqliteOptions {
  /** The file of `--authority-db`. */
  readonly database?: string | undefined;
  /** Seed files: of `--authority-seed-file`, of the auth server, of the identity federation. */
  readonly seeds?: readonly string[] | undefined;
  /** Public keys that must be among the identities, in hexadecimal: a seed that was made anew by mistake is then refused at once. */
  readonly identity?: readonly string[] | undefined;
  /** Signing keys that lie in a key service or a module: recorded by id and public key. */
  readonly keys?: readonly ExternalKey[] | undefined;
}

const SECRET = "an authority's seed";

/**
 * Stores the authority's database and seed files. The seeds' public keys are recorded, never the seeds: a later backup whose keys are
 * others is refused, for Chio makes a new identity without a word when it misses its seed; a rotation in the database, which keeps the
 * old keys as trusted ones, is fine. Generations, terms and trusted keys may not go back.
 *
 * A chain with `encrypt.plaintext` behind it cannot be made. Undo tells the restored identities; seeds come back with their mode.
 */
export function authority(options: ChioAuthorityOptions): ChioStage {
  return make(options, {});
}

function make(options: ChioAuthorityOptions, extra: Extra): ChioStage {
  const { database, seeds = [], keys = [] } = options;
  checkKeys(keys);
  if (database === undefined && seeds.length === 0) {
    throw new TypeError("Cannot back up an authority: name its database, or a seed file");
  }
  const seen: Seen = { identity: new Map() };
  const source = members(options, seen);
  return {
    name: "chio",
    verb: "collect",
    secret: SECRET,
    run: async (_input, context) => {
      const fresh: Seen = { identity: new Map() };
      const files = await members(options, fresh).run(undefined, context);
      for (const seed of seeds) checkMode(seed, context);
      return collect(files, options, extra, fresh, context);
    },
    undo: async (stored, context) => {
      const keys = new Map<string, string>();
      await source.undo(tapped(stored, (path, content) => noteSeed(path, content, keys)), context);
      tellRestored(stored, [...keys.values()], extra);
    },
    [chio]: {
      surface: "authority",
      databases: database === undefined ? [] : [resolve(database)],
      again: (more) => make(options, { ...extra, ...more }),
    },
  };
}

/** What came by while the sources were read. */
interface Seen {
  /** Public keys by where their seeds lie. */
  readonly identity: Map<string, string>;
  /** The database, if there is one. */
  database?: AuthoritySeen;
  /** When it was cut. */
  cutMs?: number;
}

function members(options: ChioAuthorityOptions, seen: Seen): Stage<void, Files> {
  const { database, seeds = [] } = options;
  const list: Record<string, Stage<void, Files>> = {};
  if (database !== undefined) {
    list.database = sqliteWith(database, options, {
      forward: () => Promise.resolve(lookFor("authority", undefined)),
      fact: (snapshot) => {
        seen.database = snapshot.seen as AuthoritySeen;
        seen.cutMs = snapshot.taken[0]!.cutMs;
        return { tool: "chio-database", cutAt: new Date(seen.cutMs).toISOString(), facts: {} };
      },
    });
  }
  if (seeds.length > 0) list.seeds = collectFiles(seeds, { strict: true });
  return group(list);
}

function noteSeed(path: string, content: Uint8Array, keys: Map<string, string>): void {
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

/** Chio refuses a seed that others could have changed. */
function checkMode(seed: string, { log }: Context): void {
  const stat = lstatSync(seed, { throwIfNoEntry: false });
  if (!stat) {
    throw new ConfigError(
      `Cannot back up the seed "${seed}": it does not exist. Chio would make a new identity without a word`,
    );
  }
  if (stat.isSymbolicLink()) {
    log.warn("seed", `"${seed}" is a symbolic link: Chio's later versions refuse it`);
  } else if ((stat.mode & 0o177) !== 0) {
    log.warn("seed", `"${seed}" can be used by others than its owner: chmod 600 it`);
  }
}

function collect(
  files: Files,
  options: ChioAuthorityOptions,
  extra: Extra,
  seen: Seen,
  context: Context,
): Files {
  const watched = tapped(files, (path, content) => noteSeed(path, content, seen.identity));
  let facts: Readonly<Record<string, unknown>> | undefined;
  async function* entries(): ReturnType<Files["entries"]> {
    yield* watched.entries();
    // The facts of the database are there now.
    files.facts();
    const before = extra.accept?.includes("identity") ? undefined : await previousOf(context, "authority");
    facts = factSheet(options, seen, extra);
    refuseOthers(seen, options, before, extra);
  }
  return {
    ...watched,
    entries,
    facts: () => {
      const sheet = files.facts();
      if (!facts) throw new Error("Cannot tell the facts of an authority before it is read");
      const sources = sheet.sources.filter(({ tool }) => tool !== "chio-database");
      return {
        ...sheet,
        sources: [...sources, chioFact("authority", seen.cutMs ?? context.now.getTime(), facts)],
      };
    },
  };
}

function identities({ identity, database }: Seen): readonly string[] {
  return [
    ...new Set([...identity.values(), ...database?.publicKey === undefined ? [] : [database.publicKey]]),
  ].sort();
}

function factSheet(
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

function refuseOthers(
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

function tellRestored(stored: Files, seeds: readonly string[], { tell }: Extra): void {
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
