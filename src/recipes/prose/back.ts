/**
 * The way back of a Prose backup: everything looked through before anything stops, the four parts replaced as a whole, and the Pod API's
 * data handed over while the old data is still there.
 *
 * @module
 */
import { ConfigError, IntegrityError } from "../../errors.ts";
import type { Context, Entry, Files, IndexEntry, Stage } from "../../stage.ts";
import { keepApiData, type Keeper, type PodApiData } from "./api_data.ts";
import type { ProseOptions } from "./collector.ts";
import { API_DATA, checkMetadata, METADATA, notProse } from "./layout.ts";
import { ownersBack } from "./owners.ts";

/** A restore in place. */
interface Job {
  readonly stored: Files;
  readonly context: Context;
  /** Writes the parts, with Prosody down as long as it must be. */
  readonly still: Stage<void, Files>;
  /** What the archive must hold. */
  readonly parts: readonly string[];
  readonly options: ProseOptions;
}

/** Restores in place. Throws {@linkcode IntegrityError} for an archive that is not whole, and everything is as it was. */
export async function restoreProse({ stored, context, still, parts, options }: Job): Promise<void> {
  const { want, signal } = context;
  if (want.only.length > 0) {
    throw new ConfigError(
      "Cannot restore a part of Prose in place: it comes back whole. Use --into DIR for a part",
    );
  }
  using keeper = keepApiData(options.spoolDir);
  const sorting = sorter(parts, keeper, options.podApi !== undefined || want.dryRun);
  let sent: PodApiData | undefined;
  const owned = ownersBack(stored.notes?.()["owners"]);

  async function* entries(): AsyncGenerator<Entry, void, undefined> {
    for await (const entry of stored.entries()) {
      if (await sorting.take(entry)) yield owned(entry);
    }
    sent = sorting.end();
  }

  async function confirm(): Promise<void> {
    if (sent && options.podApi) {
      context.log.info(`Handing ${sent.entries} entries back to the Pod API`);
      await options.podApi(sent.tar(), signal);
    }
    await want.confirm?.();
  }

  const { listing } = stored;
  const rest: Files = {
    kind: "files",
    facts: stored.facts,
    entries,
    listing: listing && (() => partsOf(listing(), parts)),
  };
  await still.undo(rest, { ...context, want: { ...want, replace: want.conflict === "overwrite", confirm } });
}

async function* partsOf(
  entries: AsyncIterable<IndexEntry>,
  parts: readonly string[],
): AsyncGenerator<IndexEntry, void, undefined> {
  for await (const entry of entries) if (parts.includes(topOf(entry.path))) yield entry;
}

/** Tells what belongs where. */
interface Sorter {
  /** Whether the entry is one of the parts'; what is the Pod API's is kept. */
  readonly take: (entry: Entry) => Promise<boolean>;
  /** Throws unless everything was there. Gives the Pod API's data, if there is any. */
  readonly end: () => PodApiData | undefined;
}

function sorter(parts: readonly string[], keeper: Keeper, podApi: boolean): Sorter {
  const seen = new Set<string>();
  let kept = false;

  async function take(entry: Entry): Promise<boolean> {
    const top = topOf(entry.path);
    if (seen.size === 0) {
      await checkMetadata(entry);
      seen.add(METADATA);
      return false;
    }
    if (parts.includes(top)) {
      seen.add(top);
      return true;
    }
    if (top !== API_DATA) throw notProse(`it holds "${top.slice(0, 100)}"`);
    if (!podApi) {
      throw new ConfigError(
        "Cannot restore: the backup holds data of the Pod API, and nobody is named who takes it. Use prose:restore with " +
          "--pod-api URL or --pod-api-data FILE. Nothing was changed",
      );
    }
    kept = true;
    await keeper.add(entry);
    return false;
  }

  function end(): PodApiData | undefined {
    const missing = [METADATA, ...parts].filter((part) => !seen.has(part));
    if (missing.length > 0) {
      throw new IntegrityError(
        `Cannot restore: the backup is not whole, "${
          missing.join('", "')
        }" is missing. Nothing was changed; restore another backup`,
      );
    }
    return kept ? keeper.end() : undefined;
  }
  return { take, end };
}

function topOf(path: string): string {
  return path.split("/", 1)[0]!;
}
