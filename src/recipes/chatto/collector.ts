/**
 * A Chatto server's data as Files, laid out as Chatto lays it out, and the way back.
 *
 * @module
 */
import { join } from "node:path";
import { extract } from "../../collect/extract.ts";
import { drillStreams } from "../../collect/jetstream/drill.ts";
import { directoryEntry, entriesOf, fileEntry } from "../../collect/jetstream/entries.ts";
import type { Link } from "../../nats/link.ts";
import { newTally, readStreams, settle, type Tally } from "../../collect/jetstream/read.ts";
import { stoppable } from "../../collect/stoppable.ts";
import { factsOf } from "../../collect/jetstream.ts";
import { NotFoundError } from "../../errors.ts";
import type { Context, Entry, FactSheet, Files, Stage, U8 } from "../../stage.ts";
import { type AssetTally, readAssets } from "./assets.ts";
import type { AssetPlace } from "./bucket.ts";
import { writeManifest } from "./manifest.ts";
import { restoreChatto } from "./restore.ts";
import { ASSET_STREAM, MANIFEST, NAME, ORDER, skipReason, TOP } from "./rules.ts";
import { clientOf, connectForBackup, type ServerOptions } from "./server.ts";
import { readSettings } from "./settings.ts";

/** What of a Chatto server is backed up, and how. */
export interface ChattoOptions extends ServerOptions {
  /** Whether the key bucket comes along. Without it, and without exported keys, no message can be read after a restore. Default: false. */
  readonly includeKeys?: boolean | undefined;
  /** Whether chatto.toml comes along; only for encrypted backups, for it holds every secret. Default: false. */
  readonly includeConfig?: boolean | undefined;
  /**
   * Whether assets that lie in S3 (`core.assets.storage_backend`) come along, and are restored. Without them a backup is made with a
   * warning. Default: true.
   */
  readonly assets?: boolean | undefined;
  /** Store what could be read when a stream fails. Default: false. */
  readonly partial?: boolean | undefined;
  /** Silence after which the server counts as gone, in milliseconds. Default: 15,000. */
  readonly idleMs?: number | undefined;
  /** Folder for snapshots beyond 4 MiB, which wait there encrypted; default: the system's temporary folder. */
  readonly spoolDir?: string | undefined;
}

/**
 * Stores a Chatto server's streams, buckets and object stores in the layout of `chatto backup`: behind tar, gzip and age with a
 * passphrase, `chatto restore` takes the archive. What Chatto leaves out is left out, EVT is read first and NOTIFICATIONS last. A
 * stream that fails fails the run, unless `partial` is set. Assets that lie in S3 come after the streams, as `assets/KEY` and with
 * `assets.ndjson`, which Chatto's reader passes over; where chatto.toml does not say how to reach them, their absence is a warning.
 *
 * Undo with `want.inPlace` restores into the server of chatto.toml, all or none: into the embedded server's data folder through a
 * nats-server of its own, or into the external one, and assets into their bucket. It takes Chatto's own archives too. `want.only`
 * chooses streams by name, and the assets as "assets".
 *
 * Throws {@linkcode ConfigError} for a chatto.toml that cannot be used, when it runs.
 */
export function chattoCollector(options: ChattoOptions = {}): Stage<void, Files> {
  return {
    name: NAME,
    verb: "collect",
    run: (_input, context) => Promise.resolve().then(() => collect(options, context)),
    undo: (stored, context) =>
      context.want.inPlace ? restoreChatto(options, stored, context) : extract(stored, context),
    drill: (folder, context) => drillStreams(join(folder, TOP, "streams"), context, options),
  };
}

function collect(options: ChattoOptions, context: Context): Files {
  const tally = newTally();
  const assets: AssetTally = { objects: 0, bytes: 0, vanished: 0 };
  const settings = readSettings(options.config ?? "chatto.toml");
  clientOf(settings, "back up");
  let ended = false;

  async function* entries(signal: AbortSignal): AsyncGenerator<Entry, void, undefined> {
    const started = new Date();
    const link = await connectForBackup(settings, "back up");
    try {
      yield directoryEntry(TOP, started);
      yield directoryEntry(`${TOP}/streams`, started);
      yield* read(link, options, context, signal, tally);
      if (tally.found === 0) {
        throw new NotFoundError(`Cannot back up Chatto at ${link.where}: it has no data yet`);
      }
      settle(tally, context.partial ?? options.partial ?? false, context);
      yield file(`${TOP}/${MANIFEST}`, writeManifest(tally, started, new Date()), started);
      if (options.includeConfig) {
        const config = await Deno.readFile(options.config ?? "chatto.toml");
        yield file(`${TOP}/chatto.toml`, config as U8, started);
      }
    } finally {
      await link.close();
    }
    const place = settings.assets;
    if (place && "options" in place && (options.assets ?? true)) {
      yield* readAssets(place.options, context, options.spoolDir, assets);
    } else if (place) warnAssets(place, context);
    ended = true;
  }

  return {
    kind: "files",
    entries: () => stoppable(NAME, context.signal, entries),
    facts: (): FactSheet => {
      if (!ended) throw new Error("Cannot tell the facts of streams before they are read");
      const cutAt = tally.cuts.map((cut) => cut.cutAt).sort()[0] ?? context.now.toISOString();
      const { fingerprint } = settings;
      const facts = {
        ...factsOf(tally),
        ...(assets.objects + assets.vanished > 0 ? { assets: { ...assets } } : {}),
        ...(fingerprint === undefined ? {} : { secretKey: fingerprint }),
      };
      return { sources: [{ tool: NAME, cutAt, facts }], stages: [] };
    },
  };
}

async function* read(
  link: Link,
  { includeKeys = false, idleMs = 15_000, spoolDir }: ChattoOptions,
  context: Context,
  signal: AbortSignal,
  tally: Tally,
): AsyncGenerator<Entry, void, undefined> {
  const how = {
    order: ORDER,
    concurrency: 4,
    consumers: true,
    idleMs,
    spoolDir,
    skip: (name: string) => skipReason(name, includeKeys),
  };
  for await (const snapshot of readStreams(link, how, context, signal, tally)) {
    yield* entriesOf(snapshot, `${TOP}/streams/`, NAME);
  }
}

function warnAssets(place: AssetPlace, context: Context): void {
  const why = "lacking" in place ? `, and ${place.lacking}` : "";
  context.log.warn(
    "assets",
    `Not in this backup: attachments and avatars, which lie in S3 (core.assets.storage_backend) and not in ${ASSET_STREAM}${why}. ` +
      "Back that bucket up as well",
  );
}

function file(path: string, body: U8, time: Date): Entry {
  return { ...fileEntry(path, time), bytes: body.length, body };
}
