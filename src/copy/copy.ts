/**
 * Brings targets up to date that have missed backups.
 *
 * @module
 */
import { chainOf } from "../base.ts";
import { readCatalog } from "../catalog.ts";
import { makeContext } from "../context.ts";
import { ConfigError, findError, IntegrityError, messageOf, NotFoundError } from "../errors.ts";
import { type Plan, shelfOf } from "../find.ts";
import { type Ledger, readLedger, remember } from "../ledger.ts";
import type { Context, Shelf, Store } from "../stage.ts";
import { acquireLease } from "../store/lease.ts";
import { checkFolders } from "../upload/leases.ts";
import { copyOne } from "./one.ts";
import type { CopyOptions, CopyResult, CopyStep, CopyTrouble } from "./result.ts";
import { has, type Holding, isUnmade, lookAt, lookAtTarget } from "./shelves.ts";

/**
 * Copies whole backups to the stores that lack them, oldest first, with index, checksums and signatures, checked while they are read
 * (receipt, signatures, length, SHA-256) and visible only when whole. What retention removed from a target is not put back.
 *
 * Each target has a ledger of its own: the copy's receipt takes that ledger's heads as its parents, so a backup that comes late
 * is neither a fork nor a gap. Where that changes a signed receipt, it is signed again: the plan's secret key is needed then, and only
 * then. A copy that was killed goes on with what lies there. Holds the lease of the target: {@linkcode BusyError} during a run.
 *
 * Throws ConfigError unless there are two stores, and the first error when nothing could be read anywhere.
 */
export async function copy(plan: Plan, options: CopyOptions = {}): Promise<CopyResult> {
  const shelf = shelfOf(plan);
  const context = makeContext(options);
  const sources = options.from ?? shelf.stores;
  const targets = options.to ?? shelf.stores;
  const all = [...new Map([...sources, ...targets].map((store) => [store.url, store])).values()];
  if (all.length < 2) {
    throw new ConfigError(
      `Cannot copy "${shelf.name}": there is only ${
        all[0]?.url
      }. Name a second store in the plan, or pass one (--to)`,
    );
  }
  checkFolders(all);
  const holdings: Holding[] = [];
  const errors: unknown[] = [];
  for (const store of sources) {
    if (isUnmade(store) && targets.some(({ url }) => url === store.url)) continue; // it is about to be made
    try {
      holdings.push(await lookAt(store, shelf));
    } catch (error) {
      context.signal.throwIfAborted();
      errors.push(error);
      context.log.warn("target", `Cannot copy from ${store.url}: ${messageOf(error)}`);
    }
  }
  if (errors.length > 0 && holdings.length === 0) throw errors[0];
  const wanted = await choose(holdings, options.id, shelf);
  const copied: CopyStep[] = [];
  const troubles: CopyTrouble[] = [];
  for (const target of targets) {
    const from = holdings.filter(({ store }) => store.url !== target.url);
    const run = { plan, shelf, wanted, from, target, context, dryRun: options.dryRun ?? false };
    try {
      await catchUp(run, copied, troubles);
    } catch (error) {
      context.signal.throwIfAborted();
      troubles.push({ to: target.url, error: error as Error });
    }
  }
  return { copied, troubles };
}

/** The file names to look for, oldest first: with one that is named, those that it builds on. */
async function choose(
  holdings: readonly Holding[],
  id: string | undefined,
  shelf: Shelf,
): Promise<readonly string[]> {
  const times = new Map<string, Date>();
  for (const { catalog } of holdings) {
    for (const backup of catalog.backups) {
      if (backup.state === "complete") times.set(backup.id, backup.time);
    }
  }
  const ids = [...times].sort((a, b) => a[1].getTime() - b[1].getTime() || (a[0] < b[0] ? -1 : 1)).map((
    [id],
  ) => id);
  if (id === undefined) return ids;
  const found = id === "latest" ? ids.at(-1) : ids.find((one) => one === id);
  if (found !== undefined) return await withBases(found, holdings, shelf);
  throw new NotFoundError(
    `Cannot find ${id === "latest" ? `a backup of "${shelf.name}"` : `"${id}"`} in ${
      holdings.map(({ store }) => store.url).join(", ")
    }. \`list\` shows what is there`,
  );
}

/** Where a chain is not whole anywhere, the backup alone: copying it says what is missing. */
async function withBases(id: string, holdings: readonly Holding[], shelf: Shelf): Promise<readonly string[]> {
  for (const { store } of holdings.filter((holding) => has(holding, id))) {
    try {
      return (await chainOf(store, shelf, id)).map(({ id }) => id).toReversed();
    } catch (error) {
      if (!findError(error, IntegrityError) && !findError(error, NotFoundError)) throw error;
    }
  }
  return [id];
}

interface Run {
  readonly plan: Plan;
  readonly shelf: Shelf;
  readonly wanted: readonly string[];
  readonly from: readonly Holding[];
  readonly target: Store;
  readonly context: Context;
  readonly dryRun: boolean;
}

/** Copies to one target what it lacks, under its lease. */
async function catchUp(run: Run, copied: CopyStep[], troubles: CopyTrouble[]): Promise<void> {
  const { shelf, target, context } = run;
  const before = await lookAtTarget(target, shelf);
  if (run.dryRun || missingAt(run, before).length === 0) {
    for (const id of missingAt(run, before)) {
      const source = run.from.find((holding) => has(holding, id))!;
      copied.push({ id, from: source.store.url, to: target.url, bytes: bytesOf(source, id) });
    }
    return;
  }
  const { signal, log, wait } = context;
  const options = { run: context.run, signal, log, wait, action: "copy", ...shelf.lease };
  const lease = await acquireLease(target, shelf.name, options);
  try {
    const held = { ...context, signal: AbortSignal.any([signal, lease.lost]) };
    await fill({ ...run, context: held }, copied, troubles);
  } finally {
    await lease.release();
  }
}

async function fill(run: Run, copied: CopyStep[], troubles: CopyTrouble[]): Promise<void> {
  const { shelf, target: store, context } = run;
  let target = await lookAt(store, shelf);
  let ledger: Ledger = await readLedger(store, shelf, await readCatalog(store, shelf), context.state);
  const twins = new Map<string, string>();
  for (const id of missingAt(run, target)) {
    let failure: unknown;
    const sources = run.from.filter((holding) => has(holding, id));
    for (const source of sources) {
      try {
        const { head, parents, bytes } = await copyOne({
          ...run,
          id,
          source,
          target,
          heads: ledger.heads,
          twins,
        });
        ledger = { ...ledger, nodes: [...ledger.nodes, { ...head, parents }], heads: [head] };
        await remember(context.state, store, shelf, ledger, [head]);
        copied.push({ id, from: source.store.url, to: store.url, bytes });
        failure = undefined;
        break;
      } catch (error) {
        context.signal.throwIfAborted();
        failure = error;
        target = await lookAt(store, shelf); // with what the attempt has left
        if (source !== sources.at(-1)) context.log.warn("copy", messageOf(error));
      }
    }
    if (failure !== undefined) troubles.push({ id, to: store.url, error: failure as Error });
  }
}

function missingAt({ wanted, from }: Run, target: Holding): readonly string[] {
  return wanted.filter((id) =>
    !has(target, id) && !target.pruned.has(id) && from.some((holding) => has(holding, id))
  );
}

function bytesOf({ backups }: Holding, id: string): number {
  const { parts } = backups.get(id)!;
  return (parts.get("")?.bytes ?? 0) + (parts.get(".index")?.bytes ?? 0);
}
