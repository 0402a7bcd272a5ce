/**
 * The stage that pulls: takes the lease, opens the signers, looks at the target, and only then reads. Writes intent, archive,
 * sidecars, index, and the receipt last; removes the intent at the end.
 *
 * @module
 */
import { newestComplete, readCatalog } from "../catalog.ts";
import { ExistsError, IntegrityError, messageOf, StoreError } from "../errors.ts";
import { formatBytes } from "../bytes.ts";
import { type Ledger, lostHeads, readLedger, readReceipt } from "../ledger.ts";
import { checkName, formatTime, standardNaming } from "../name.ts";
import { checkRequirements, requireOnCreate } from "../policy.ts";
import type { BackupReceipt } from "../receipt.ts";
import type {
  Context,
  LeaseTimes,
  Naming,
  Requirements,
  Sealed,
  Shelf,
  Stage,
  Store,
  Stored,
} from "../stage.ts";
import { checkLease } from "../store/lease.ts";
import { openSigners, type Target } from "./commit.ts";
import { download } from "./download.ts";
import { checkFolders, leaseAll, releaseAll } from "./leases.ts";
import { incrementsOf } from "./restore_text.ts";
import { writeBackup } from "./write.ts";
import { sweep } from "../sweep.ts";

/** Where backups go, and what they are called. */
export interface UploadOptions {
  /** The backup's name: the group that retention and the ledger work on. */
  readonly name: string;
  /** One store or several. Each gets its own copy and its own receipt; one failing does not stop another. */
  readonly to: Store | readonly Store[];
  /** How files are named. Default: `<name>_<UTC>.<suffixes>`. */
  readonly naming?: Naming | undefined;
  /** What every backup must be, when it is made and when it is read. Default: what the stages do by themselves. */
  readonly require?: Requirements | "none" | undefined;
  /** Age in milliseconds after which the remains of a run that died are swept. Default: 24 hours. */
  readonly graceMs?: number | undefined;
  /** Times of the lease where the store has no locks (buckets). Default: renewed every 10 seconds, abandoned after 60. */
  readonly lease?: LeaseTimes | undefined;
}

/**
 * Stores a backup in every target. Nothing is visible as a backup before its receipt, and the receipt is written only when the
 * source, the byte count and the digest agree. Undo opens the download and checks size and digest while reading.
 * Throws {@linkcode BusyError} when another run holds the lease, {@linkcode ExistsError} when the name is taken.
 */
export function upload(options: UploadOptions): Stage<Sealed, Stored> {
  const { naming = standardNaming, graceMs = 24 * 60 * 60 * 1000 } = options;
  const stores = Array.isArray(options.to) ? options.to as readonly Store[] : [options.to as Store];
  if (stores.length === 0) throw new TypeError("Cannot upload: no store is given in `to`");
  const urls = stores.map((store) => store.url);
  const twice = urls.find((url, i) => urls.indexOf(url) !== i);
  if (twice !== undefined) throw new TypeError(`Cannot upload: the store ${twice} is given twice`);
  checkRequirements(options.require);
  const shelf: Shelf = {
    name: checkName(options.name),
    stores,
    naming,
    require: options.require,
    lease: checkLease(options.lease),
  };
  return {
    name: "upload",
    verb: "upload",
    shelf,
    run: (sealed, context) => store(sealed, context, shelf, graceMs),
    undo: (stored, context) => download(stored, context),
  };
}

async function store(sealed: Sealed, context: Context, bare: Shelf, graceMs: number): Promise<Stored> {
  const shelf: Shelf = sealed.seals ? { ...bare, seals: sealed.seals } : bare;
  requireOnCreate(shelf, sealed);
  checkFolders(shelf.stores);
  const { leases, waited, refused } = await leaseAll(context, shelf);
  try {
    const { id, opened } = await openTargets(sealed, context, shelf, graceMs, waited);
    const signatures = await openSigners(sealed.signers, id);
    const targets = opened.map((target): Target => {
      const { store } = target;
      return { ...target, error: target.error ?? refused.get(store), lost: leases.get(store)?.lost };
    });
    if (targets.every((target) => target.error)) throw failure(targets);
    await writeBackup({ id, shelf, sealed, signatures, targets, context });
    const copies = targets.flatMap(({ store, receipt }) => receipt ? [{ store, receipt }] : []);
    if (copies.length === 0) throw failure(targets);
    const failures = targets.flatMap(({ store, error }) => error ? [{ store, error }] : []);
    for (const { store, error } of failures) {
      context.log.warn("target", `No copy in ${store.url}: ${messageOf(error)}`);
    }
    return { kind: "stored", id, shelf, copies, failures };
  } finally {
    await releaseAll(leases);
  }
}

/** Finds a name that is free in all targets. Of two runs within a second the later takes the next; a time the caller has set stays. */
async function openTargets(
  sealed: Sealed,
  context: Context,
  shelf: Shelf,
  graceMs: number,
  waited: boolean,
): Promise<{ readonly id: string; readonly opened: readonly Target[] }> {
  const isSet = Math.abs(Date.now() - context.now.getTime()) > 60_000;
  for (let later = waited;; later = true) {
    const id = await chooseId(sealed, context, shelf, later);
    const opened: Target[] = [];
    for (const store of shelf.stores) opened.push(await openTarget(store, id, context, shelf, graceMs));
    if (later || isSet || !opened.some(({ error }) => error instanceof ExistsError)) return { id, opened };
  }
}

/** The file name. A run that comes after another takes the time at which it may begin, in a second of its own. */
async function chooseId(sealed: Sealed, context: Context, shelf: Shelf, waited: boolean): Promise<string> {
  if (!waited) return shelf.naming.format(shelf.name, context.now, sealed.suffix);
  const started = formatTime(new Date());
  while (formatTime(new Date()) === started) await new Promise((resolve) => setTimeout(resolve, 50));
  return shelf.naming.format(shelf.name, new Date(), sealed.suffix);
}

/** Looks at a target before a byte is read: is it there, is the name free, is there room, what are the heads. */
async function openTarget(
  store: Store,
  id: string,
  context: Context,
  shelf: Shelf,
  graceMs: number,
): Promise<Target> {
  let ledger: Ledger | undefined;
  try {
    const catalog = await readCatalog(store, shelf);
    if (catalog.backups.some((backup) => backup.id === id)) {
      throw new ExistsError(
        `Cannot create "${id}" in ${store.url}: it exists. Nothing was changed; run again in a second`,
      );
    }
    ledger = await readLedger(store, shelf, catalog, context.state);
    await sweep(store, catalog, ledger, context, graceMs);
    const last = newestComplete(catalog);
    const before = last && await readBefore(store, last.id, shelf);
    await checkSpace(store, last?.parts.get("")?.bytes ?? 0, before);
    await sayEvidence(store, shelf, ledger, context);
    if (before) context.progress({ phase: "collect", bytes: 0, totalBytes: before.contents.bytes });
    return { store, ledger, before, written: [] };
  } catch (error) {
    return { store, ledger, written: [], error: error as Error };
  }
}

/** There must be room for what the last backup took. Of a plan that makes increments only reading tells how much the next one takes. */
async function checkSpace(store: Store, lastBytes: number, before: BackupReceipt | undefined): Promise<void> {
  const { files, pages } = incrementsOf(before?.sources ?? []);
  const free = files || pages ? undefined : await store.space?.();
  if (free === undefined || free >= lastBytes) return;
  throw new StoreError(
    `Cannot store in ${store.url}: ${formatBytes(free)} are free, the last backup took ` +
      `${formatBytes(lastBytes)}. Free some space, or prune`,
  );
}

/** What is missing or unreadable does not stop a new backup, but is said. */
async function sayEvidence(store: Store, shelf: Shelf, ledger: Ledger, context: Context): Promise<void> {
  for (const { id } of await lostHeads(context.state, store, shelf, ledger)) {
    context.log.warn(
      "evidence",
      `"${id}" was in ${store.url} and is gone; no prune removed it. Run verify, and look into it`,
    );
  }
  for (const { why } of [...ledger.unreadable, ...ledger.unproven]) context.log.warn("evidence", why);
}

/** The receipt of the backup before, where it can be read. */
async function readBefore(store: Store, id: string, shelf: Shelf): Promise<BackupReceipt | undefined> {
  try {
    const { receipt } = await readReceipt(store, id, shelf);
    return receipt.event === "backup" ? receipt : undefined;
  } catch (error) {
    if (error instanceof IntegrityError) return undefined; // told by sayEvidence
    throw error;
  }
}

function failure(targets: readonly Target[]): unknown {
  const errors = [...new Set(targets.flatMap((target) => target.error ?? []))];
  if (errors.length === 1) return errors[0];
  return new AggregateError(errors, `Every target failed: ${errors.map(messageOf).join("; ")}`);
}
