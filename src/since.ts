/**
 * Where an incremental backup of events goes on: at what the receipt of the newest backup says.
 *
 * @module
 */
import { newestComplete, readCatalog } from "./catalog.ts";
import { readReceipt } from "./ledger.ts";
import { standardNaming } from "./name.ts";
import type { Context, Naming, Store } from "./stage.ts";

/** Which backups an incremental one goes on from. */
export interface SinceOptions {
  /** The backup's name, as in `upload`. */
  readonly name: string;
  /** The store, as in `upload`; with several, the first. */
  readonly from: Store;
  /** How backups are named, where it is not the usual way. */
  readonly naming?: Naming | undefined;
  /** How far before the newest known event to begin again, in the events' own unit: events can arrive late. Default: 0. */
  readonly overlap?: bigint | undefined;
  /** Days after which a full backup is made again. Default: 7. */
  readonly fullEveryDays?: number | undefined;
}

/**
 * What `collect.events` takes as its `base`. Only a backup with a receipt counts, so a run that failed is no gap. A full backup is made
 * when there is none, when the newest one cannot say where to go on, and every `fullEveryDays`. Retention must keep the full backup that
 * increments stand on: keep all of at least twice `fullEveryDays` (`keepWithin: "14d"`). A rule such as `keepDaily` keeps one of a day,
 * which can be an increment without what it stands on.
 *
 * @example
 * ```ts ignore
 * collect.events({ peers, base: sinceLastBackup({ name: "issues", from: store.directory("/var/backups") }) });
 * ```
 */
export function sinceLastBackup(
  options: SinceOptions,
): (
  context: Context,
) => Promise<{ readonly since?: bigint; readonly etags?: Readonly<Record<string, string>> } | undefined> {
  const { name, from, naming = standardNaming, overlap = 0n, fullEveryDays = 7 } = options;
  if (!(fullEveryDays > 0)) {
    throw new RangeError(`Cannot go on from a backup: "fullEveryDays" must be above 0, not ${fullEveryDays}`);
  }
  const shelf = { name, stores: [from], naming };
  return async (context) => {
    const catalog = await readCatalog(from, shelf);
    const oldest = context.now.getTime() - fullEveryDays * 86_400_000;
    const newest = newestComplete(catalog);
    if (!newest) return undefined;
    let recentFull = false;
    let found: ReturnType<typeof nextOf>;
    for (const backup of catalog.backups.toReversed()) {
      if (backup.state !== "complete" || backup.time.getTime() < oldest) continue;
      const facts = factsOf((await readReceipt(from, backup.id, shelf)).receipt);
      if (backup === newest) found = nextOf(facts);
      if (facts?.incremental === false) {
        recentFull = true;
        break;
      }
    }
    if (!recentFull || !found) {
      context.log.info("A full backup of all events");
      return undefined;
    }
    return { since: found.next - overlap, etags: found.etags };
  };
}

function factsOf(receipt: unknown): Readonly<Record<string, unknown>> | undefined {
  const { sources } = receipt as { sources?: { tool: string; facts: Record<string, unknown> }[] };
  return sources?.find(({ tool }) => tool === "events")?.facts;
}

function nextOf(
  facts: Readonly<Record<string, unknown>> | undefined,
): { readonly next: bigint; readonly etags: Readonly<Record<string, string>> } | undefined {
  const { next, etags } = facts ?? {};
  if (typeof next !== "string" || !/^-?\d{1,25}$/.test(next)) return undefined;
  return { next: BigInt(next), etags: (etags ?? {}) as Readonly<Record<string, string>> };
}
