/**
 * PostgreSQL: a whole server's data folder, as it can be started.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { toBytes, watch } from "../../bytes.ts";
import { readTar } from "../../archive/read.ts";
import { start } from "../../child.ts";
import { untilAborted } from "../../collect/command.ts";
import { stoppable } from "../../collect/stoppable.ts";
import type { Context, Entry, FactSheet, Files, Stage, U8 } from "../../stage.ts";
import { clusterBack } from "./postgres_cluster_back.ts";
import { drillCluster } from "./postgres_cluster_drill.ts";
import { checkManifest, type Held, MANIFEST } from "./postgres_manifest.ts";
import { checkServer, postgresEnv, type PostgresServer } from "./postgres_server.ts";
import { reserveWal } from "./postgres_slot.ts";
import { ask, checkTexts, programIn } from "./programs.ts";
import { versionIn } from "./versions.ts";

/** Where a server is, and where its data folder goes back to. */
export interface PostgresClusterOptions extends PostgresServer {
  /** The data folder, for a restore in place: "/var/lib/postgresql/17/main". */
  readonly dataDir?: string | undefined;
}

/** The folder that a backup holds. */
export const FOLDER = "pgdata";
const NAME = "postgresCluster";
const FAILED = "Cannot back up PostgreSQL";
const LIMITS = { entries: 100_000_000, pathBytes: 4096 };

/**
 * Stores a server's data folder as `pgdata/`, all databases as of one moment, with the write-ahead log that this takes
 * (`pg_basebackup`, streamed: nothing waits on a disk); writers do not wait. A temporary replication slot keeps the log meanwhile.
 * It is stored only when the program has ended well, each file agrees with the server's own manifest in length and SHA-256, the
 * manifest with itself, and every segment of the log is there. The role needs REPLICATION, the server version 13 or later and no
 * tablespaces of its own (dump those with `postgres`). Versions and the range of the log stand in the receipt.
 *
 * Undo writes the folder, and has `pg_verifybackup` look at all of it before it takes its place, where that is installed. With
 * `want.inPlace` it goes to `dataDir`, which must not exist or be empty, and only for the same major version of the server; start
 * that when it is done. A drill starts a private server on the folder and has `pg_amcheck` look through it.
 *
 * Throws TypeError or RangeError for options that cannot be.
 *
 * @example
 * ```ts ignore
 * postgresCluster({ host: "/run/postgresql", user: "backup", dataDir: "/var/lib/postgresql/17/main" });
 * ```
 */
export function postgresCluster(options: PostgresClusterOptions = {}): Stage<void, Files> {
  checkServer(options);
  checkTexts("PostgreSQL", { dataDir: options.dataDir });
  return {
    name: NAME,
    verb: "collect",
    secret: "the passwords of the server's roles",
    run: (_input, context) => Promise.resolve(collect(options, context)),
    undo: (stored, context) => clusterBack(NAME, options, stored, context),
    drill: (folder, context) => drillCluster(options, folder, context),
  };
}

function collect(options: PostgresClusterOptions, context: Context): Files {
  let cutAt: Date | undefined;
  let facts: Readonly<Record<string, unknown>> | undefined;

  async function* entries(signal: AbortSignal): AsyncGenerator<Entry, void, undefined> {
    if (cutAt) throw new Error("Cannot collect twice: run the stage anew");
    cutAt = new Date();
    const program = programIn(options.bin, "pg_basebackup");
    const clientVersion = versionIn(await ask(FAILED, { argv: [program, "--version"], env: {} }, signal));
    await using slot = await reserveWal(FAILED, options, context.run, signal);
    const held = new Map<string, Held>();
    let manifest: U8 | undefined;
    for await (const entry of fromServer(program, options, signal)) {
      if (held.size === 0) yield folderOf(entry, slot.folderMode);
      if (entry.path === MANIFEST && entry.body) manifest = await whole(entry.body);
      const body = entry.path === MANIFEST ? manifest : entry.body;
      yield { ...entry, path: `${FOLDER}/${entry.path}`, ...noting(entry, body, held) };
    }
    const about = checkManifest(FAILED, manifest, held, slot.segmentBytes);
    facts = { serverVersion: slot.serverVersion, clientVersion, ...about };
  }

  return {
    kind: "files",
    entries: () => stoppable(NAME, context.signal, entries),
    facts: (): FactSheet => {
      if (!cutAt || !facts) throw new Error("Cannot tell the facts of a database before it is read");
      return { sources: [{ tool: NAME, cutAt: cutAt.toISOString(), facts }], stages: [] };
    },
  };
}

/** The data folder itself, which is not in the program's archive: a server wants nobody else in it. */
function folderOf(first: Entry, mode: number): Entry {
  const { body: _body, sha256: _sum, ...meta } = first;
  return { ...meta, path: FOLDER, kind: "directory", mode, bytes: 0 };
}

async function whole(body: NonNullable<Entry["body"]>): Promise<U8> {
  return body instanceof Uint8Array ? body : new Uint8Array(await new Response(body()).arrayBuffer());
}

/** The content with its digest, which `held` gets when all of it has gone by. */
function noting(entry: Entry, body: Entry["body"], held: Map<string, Held>): Pick<Entry, "body" | "sha256"> {
  const { path, kind, bytes } = entry;
  if (kind !== "file") {
    held.set(path, { kind, bytes: 0, sha256: "" });
    return {};
  }
  const sum = createHash("sha256");
  let digest: U8 = new Uint8Array(0);
  const end = (): void => {
    digest = new Uint8Array(sum.digest());
    held.set(path, { kind, bytes, sha256: digest.toHex() });
  };
  const sha256 = (): U8 => digest;
  if (typeof body === "function") {
    return { body: () => watch(body(), (chunk) => sum.update(chunk), end), sha256 };
  }
  sum.update(body ?? new Uint8Array(0));
  end();
  return { body: body ?? new Uint8Array(0), sha256 };
}

/** What the program sends, to its end. */
async function* fromServer(
  program: string,
  options: PostgresClusterOptions,
  signal: AbortSignal,
): AsyncGenerator<Entry, void, undefined> {
  const flags = ["--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast", "--no-password"];
  const argv = [program, ...flags, "--manifest-checksums=SHA256", "--label=holdfast"];
  const child = start({ argv, cwd: undefined, env: await postgresEnv(options), use: "stdout", signal });
  try {
    try {
      for await (const entry of readTar(toBytes(() => untilAborted(child.stdout!, signal)), LIMITS)) {
        yield { ...entry, path: entry.path.replace(/^(?:\.\/)+/, "") };
      }
    } catch (error) {
      // A program that fails has cut its archive short: it knows better why.
      const failure = await child.end();
      signal.throwIfAborted();
      throw failure === undefined ? error : refusal(program, failure, error);
    }
    const failure = await child.end();
    signal.throwIfAborted();
    if (failure !== undefined) throw refusal(program, failure, undefined);
  } finally {
    await child.stop();
  }
}

function refusal(program: string, failure: string, cause: unknown): Error {
  const tablespaces = /single tablespace/.test(failure)
    ? ". The server has tablespaces of its own: dump it with collect = { postgres = ... }"
    : "";
  return new Error(`${FAILED}: "${program}" ${failure}${tablespaces}. Nothing was stored`, { cause });
}
