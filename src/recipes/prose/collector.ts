/**
 * Prose's data: four folders read while Prosody stands still, and what the Pod API sends along.
 *
 * @module
 */
import { files } from "../../collect/mod.ts";
import { stopped, type StoppedOptions } from "../../collect/stopped.ts";
import { controlOf, type Service } from "../../collect/stopped/service.ts";
import type { Bytes, Context, Entry, FactSheet, Files, Stage } from "../../stage.ts";
import type { PodApiData } from "./api_data.ts";
import { restoreProse } from "./back.ts";
import { livePaths, metadataEntry, type ProsePart, VERSION } from "./layout.ts";
import { ownersNoted } from "./owners.ts";

/** Where Prose's data is, and how it is made to stand still. */
export interface ProseOptions extends Omit<StoppedOptions, "spaceBytes"> {
  /** Prosody, which is stopped while its data is read, and while it is put back. "none": nothing is stopped, and no backup is consistent. */
  readonly service: Service | "none";
  /** Where the parts are, if not where Prose's images have them. Each is a folder or a file. */
  readonly paths?: Readonly<Partial<Record<ProsePart, string>>> | undefined;
  /** Leave Prosody running: the backup may be inconsistent, and says so in its receipt. Default false. */
  readonly noDowntime?: boolean | undefined;
  /** What the Pod API sent, to be stored along. Default: nothing. */
  readonly podApiData?: PodApiData | undefined;
  /**
   * Takes the Pod API's data back, a tar archive, when everything else is restored and the old data is still there: what it throws takes
   * all back. Without it a backup that holds such data is not restored in place.
   */
  readonly podApi?: ((tar: Bytes, signal: AbortSignal) => Promise<void>) | undefined;
}

const NAME = "prose";

/**
 * Collects Prose's data in the layout of its version 0.5: `metadata.json`, `prose-pod-api-data/`, and four folders, in this order. Prosody is down for
 * as long as reading takes. `run` throws for a part that does not exist.
 *
 * Undo with `want.inPlace` replaces the parts as a whole, all or none: the backup is verified and lies beside its place before Prosody
 * stops; what Prosody does not start on, or the Pod API does not take, is taken back. With `want.into` it writes the archive as it is.
 *
 * Throws TypeError for wrong options.
 */
export function proseCollector(options: ProseOptions): Stage<void, Files> {
  const paths = livePaths(options.paths);
  const { service } = options;
  if (service !== "none") controlOf(service);
  const live = files(paths);
  const still = service === "none" ? live : stopped(service, live, options);
  const stops = service !== "none" && !options.noDowntime;
  return {
    name: NAME,
    verb: "collect",
    run: (_input, context) => collect(stops ? still : live, stops, options, context),
    undo: (stored, context) =>
      context.want.inPlace
        ? restoreProse({ stored, context, still, parts: Object.keys(paths), options })
        : live.undo(stored, context),
  };
}

async function collect(
  source: Stage<void, Files>,
  consistent: boolean,
  { podApiData, service }: ProseOptions,
  context: Context,
): Promise<Files> {
  const read = await source.run(undefined, context);
  const noted = ownersNoted();
  if (!consistent) {
    context.log.warn(
      "inconsistent",
      service === "none"
        ? "No service is stopped for this backup: it may be inconsistent. Name Prosody's service in the plan"
        : "Prosody was not stopped: this backup may be inconsistent. Keep one that was made with downtime as well",
    );
  }

  async function* entries(): AsyncGenerator<Entry, void, undefined> {
    yield metadataEntry();
    if (podApiData) yield* podApiData.files();
    for await (const entry of read.entries()) {
      noted.see(entry);
      yield entry;
    }
  }

  return {
    kind: "files",
    // With the Pod API's data before all folders the order is Prose's, not that of the paths.
    ...(podApiData ? { steady: true } : { ordered: true }),
    entries,
    facts: (): FactSheet => {
      const { sources, ...rest } = read.facts();
      const { entries, bytes } = podApiData ?? { entries: 0, bytes: 0 };
      const facts = { version: VERSION, consistent, podApiEntries: entries, podApiBytes: bytes };
      return { ...rest, sources: [{ tool: NAME, cutAt: sources[0]!.cutAt, facts }, ...sources] };
    },
    notes: () => ({ ...read.notes?.(), owners: noted.owners() }),
  };
}
