/**
 * Running several surfaces together: backups in the safe order, and restores that end with a list.
 *
 * @module
 */
import { newestComplete, readCatalog } from "../../catalog.ts";
import { usersOf } from "../../collect/sqlite/users.ts";
import { makeContext, type RunOptions } from "../../context.ts";
import { BusyError, ConfigError, messageOf, NotFoundError } from "../../errors.ts";
import { type Plan, shelfOf } from "../../find.ts";
import { readReceipt } from "../../ledger.ts";
import { restore } from "../../restore.ts";
import { backup, type BackupResult } from "../../run.ts";
import type { Conflict } from "../../stage.ts";
import { join } from "node:path";
import type { KnownHead } from "./heads.ts";
import { type AfterRestore, afterRestore } from "./after.ts";
import type { Peer } from "./peers.ts";
import { readMarks } from "./previous.ts";
import { type Accept, factsOf, inOrder, planWith, type Surface, surfaceOf } from "./surface.ts";

/** What several surfaces take together. */
export interface ChioBackupOptions extends RunOptions {
  /** What is not refused this once. */
  readonly accept?: readonly Accept[] | undefined;
}

/** What became of one surface. */
export interface ChioBackup {
  /** Which. */
  readonly surface: Surface;
  /** What its backup did. */
  readonly result: BackupResult;
}

/**
 * Backs up the surfaces one after the other in the safe order, whatever the order of `plans`, all under one time. One that fails does
 * not stop the others; then an AggregateError holds what failed. Extra schedules just back up some of the plans more often.
 */
export async function chioBackup(
  plans: readonly Plan[],
  options: ChioBackupOptions = {},
): Promise<readonly ChioBackup[]> {
  const { accept, now = new Date(), ...rest } = options;
  const done: ChioBackup[] = [];
  const failures: unknown[] = [];
  for (const { plan, surface } of chosen(plans)) {
    try {
      done.push({ surface, result: await backup(planWith(plan, { accept }), { ...rest, now }) });
    } catch (error) {
      failures.push(error);
      options.signal?.throwIfAborted();
    }
  }
  if (failures.length === 0) return done;
  const said = failures.map(messageOf).join("; ");
  throw new AggregateError(
    failures,
    `${failures.length} of ${plans.length} surfaces of Chio were not backed up: ${said}`,
  );
}

interface Chosen {
  readonly plan: Plan;
  readonly surface: Surface;
  readonly databases: readonly string[];
}

function chosen(plans: readonly Plan[]): readonly Chosen[] {
  if (plans.length === 0) throw new TypeError("Cannot go on: there is no plan of Chio's");
  const all = plans.map((plan): Chosen => {
    const said = surfaceOf(plan);
    if (!said) {
      throw new TypeError("Cannot use a plan: its source is none of Chio's (chio.receipts and its kin)");
    }
    return { plan, surface: said.surface, databases: said.databases };
  });
  return inOrder(all, ({ surface }) => surface);
}

/** What to restore, and what is known besides. */
export interface ChioRestoreOptions extends RunOptions {
  /** The newest backups that are not newer. Default: the newest. */
  readonly at?: Date | undefined;
  /** A folder; each surface gets its own in it. */
  readonly into?: string | undefined;
  /** Everything to where it was, instead of `into`. */
  readonly inPlace?: boolean | undefined;
  /** What to do with what stands there. Default: "error". */
  readonly conflict?: Conflict | undefined;
  /** What is not refused this once. */
  readonly accept?: readonly Accept[] | undefined;
  /** A newer revocation database, whose rows the restored one gets. */
  readonly mergeRevocations?: string | undefined;
  /** The peers' keys of today. */
  readonly peerKeys?: readonly Peer[] | undefined;
  /** Heads of the chain known from elsewhere: what `readAnchors` gives. */
  readonly heads?: readonly KnownHead[] | undefined;
}

/**
 * Restores the surfaces, the receipts last, and lists what is to be done before Chio serves. Everything is refused before anything is
 * touched while a process has one of the databases open ({@linkcode BusyError}), or something stands in the way.
 */
export async function chioRestore(
  plans: readonly Plan[],
  options: ChioRestoreOptions = {},
): Promise<AfterRestore> {
  const { into, inPlace = false, conflict, accept, at } = options;
  if ((into === undefined) !== inPlace) {
    throw new ConfigError("Cannot restore: say where to, either a folder or in place");
  }
  const list = chosen(plans);
  if (inPlace) refuseUsers(list);
  const jobs = await Promise.all(list.map(async (one) => ({ ...one, id: await idAt(one.plan, at) })));
  const heads = [
    ...options.heads ?? [],
    ...await laterHeads(jobs.find(({ surface }) => surface === "receipts")),
  ];
  const where = (surface: Surface): { into?: string; inPlace: boolean } =>
    into === undefined ? { inPlace } : { into: join(into, surface), inPlace };
  const run = { ...options, into: undefined, at: undefined, conflict };
  for (const { plan, surface, id } of jobs) {
    await restore(plan, { ...run, ...where(surface), id, dryRun: true });
  }
  const parts: Readonly<Record<string, unknown>>[] = [];
  for (const { plan, surface, id } of jobs.toReversed()) {
    const extra = { accept, heads, merge: options.mergeRevocations };
    const tell = (part: Readonly<Record<string, unknown>>): void => void parts.push({ ...part, id });
    const result = await restore(planWith(plan, { ...extra, tell }), { ...run, ...where(surface), id });
    if (id === "latest") parts.splice(-1, 1, { ...parts.at(-1), id: result.id });
  }
  return afterRestore(parts, options, makeContext(options));
}

function refuseUsers(list: readonly Chosen[]): void {
  for (const path of list.flatMap(({ databases }) => databases)) {
    const { pids } = usersOf([path, `${path}-wal`, `${path}-shm`]);
    if (pids.length === 0) continue;
    throw new BusyError(
      `Cannot restore "${path}": it is open in process ${
        pids.join(", ")
      }. Stop Chio, then restore again; nothing has changed`,
    );
  }
}

/** The newest backup that is not newer than `at`. */
async function idAt(plan: Plan, at: Date | undefined): Promise<string> {
  if (!at) return "latest";
  const shelf = shelfOf(plan);
  let newest: { readonly id: string; readonly time: Date } | undefined;
  for (const store of shelf.stores) {
    const { backups } = await readCatalog(store, shelf);
    const found = backups.findLast(({ state, time }) => state === "complete" && time <= at);
    if (found && (!newest || newest.time < found.time)) newest = found;
  }
  if (newest) return newest.id;
  throw new NotFoundError(
    `Cannot find a backup of "${shelf.name}" from ${at.toISOString()} or before. See list`,
  );
}

/** The head that the newest backup of all recorded: it was seen, whatever is restored now. */
async function laterHeads(
  job: (Chosen & { readonly id: string }) | undefined,
): Promise<readonly KnownHead[]> {
  if (!job || job.id === "latest") return [];
  const shelf = shelfOf(job.plan);
  const heads: KnownHead[] = [];
  for (const store of shelf.stores) {
    const newest = newestComplete(await readCatalog(store, shelf));
    if (!newest) continue;
    const { receipt } = await readReceipt(store, newest.id, shelf);
    const said = receipt.event === "backup" ? factsOf(receipt.sources, "receipts") : undefined;
    const { head } = said ? readMarks(said.facts.watermarks) : {};
    if (head) heads.push({ seq: head.seq, sha256: head.sha256, from: `the backup "${newest.id}"` });
  }
  return heads;
}
