/**
 * The capability authority and the seeds that sign, both ways. Always encrypted: whoever reads it can sign in their name.
 *
 * @module
 */
import { lstatSync } from "node:fs";
import { resolve } from "node:path";
import { files as collectFiles } from "../../collect/files.ts";
import { group } from "../../collect/group.ts";
import { type SqliteOptions, sqliteWith } from "../../collect/sqlite.ts";
import { ConfigError } from "../../errors.ts";
import type { Context, Files, Stage } from "../../stage.ts";
import { factSheet, noteSeed, refuseOthers, type Seen, tellRestored } from "./identity.ts";
import { lookFor } from "./look.ts";
import type { AuthoritySeen } from "./look/authority.ts";
import { previousOf } from "./previous.ts";
import { checkKeys, chio, chioFact, type ChioStage, type ExternalKey, type Extra } from "./surface.ts";
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
