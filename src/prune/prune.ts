/**
 * The stage that keeps a store small: decides with `keep`, announces deletions in a receipt, then deletes by exact names.
 *
 * @module
 */
import { sha256 } from "../bytes.ts";
import { type Catalog, readCatalog } from "../catalog.ts";
import { IntegrityError, messageOf } from "../errors.ts";
import { appendEvent, type Head, readLedger, readReceipt } from "../ledger.ts";
import type { Receipt } from "../receipt.ts";
import type { Context, Shelf, Stage, Store, Stored, U8, Verdict } from "../stage.ts";
import { acquireLease } from "../store/lease.ts";
import { removeBackup, removeEvent, sweep } from "../sweep.ts";
import { type Candidate, keep } from "./keep.ts";
import { checkPolicy, type Policy } from "./policy.ts";

/** Prune receipts that stay, so that a host that looks in now and then can follow what was removed. */
const PRUNES_KEPT = 10;

/**
 * Applies a retention policy after each backup, to each store by itself. Only complete backups count; the newest, and the newest
 * that verified, always stay. A store that cannot be pruned is a warning: the backup itself is done. Undo passes through.
 * Throws TypeError or RangeError at once for an empty or impossible policy.
 */
export function prune(policy: Policy): Stage<Stored, Stored> {
  checkPolicy(policy);
  return {
    name: "prune",
    verb: "prune",
    retain: async (confirm, context, shelf) => {
      const verdicts: Verdict[] = [];
      for (const store of shelf.stores) {
        verdicts.push(...await pruneStore(store, shelf, policy, confirm, context));
      }
      return verdicts;
    },
    run: async (stored, context) => {
      const verdicts: Verdict[] = [];
      for (const { store } of stored.copies) {
        try {
          verdicts.push(...await pruneStore(store, stored.shelf, policy, true, context));
        } catch (error) {
          context.log.warn("prune", `Cannot prune ${store.url}: ${messageOf(error)}`);
        }
      }
      return { ...stored, verdicts };
    },
    undo: (stored) => Promise.resolve(stored),
  };
}

async function pruneStore(
  store: Store,
  shelf: Shelf,
  policy: Policy,
  confirm: boolean,
  context: Context,
): Promise<Verdict[]> {
  if (!confirm) {
    return await retained(
      store,
      decide(store, shelf, policy, await readShelf(store, shelf, context), context.now),
    );
  }
  const { run, signal, log, wait } = context;
  const lease = await acquireLease(store, shelf.name, {
    run,
    signal,
    log,
    wait,
    action: "prune",
    ...shelf.lease,
  });
  try {
    const before = await readCatalog(store, shelf);
    await sweep(store, before, await readLedger(store, shelf, before), context, Infinity);
    const contents = await readShelf(store, shelf, context);
    const verdicts = await retained(store, decide(store, shelf, policy, contents, context.now));
    await remove(store, shelf, contents, verdicts, context);
    return verdicts;
  } finally {
    await lease.release();
  }
}

/** A shelf with every receipt that matters to retention. */
interface Contents {
  readonly catalog: Catalog;
  /** Each complete backup's place in the ledger. */
  readonly heads: ReadonlyMap<string, Head>;
  /** Each event's receipt. */
  readonly events: ReadonlyMap<string, { readonly head: Head; readonly receipt: Receipt }>;
  /** The base each backup builds on, as the digest of its receipt. */
  readonly bases: ReadonlyMap<string, string>;
}

async function readShelf(store: Store, shelf: Shelf, context: Context): Promise<Contents> {
  const catalog = await readCatalog(store, shelf);
  const heads = new Map<string, Head>();
  const events = new Map<string, { head: Head; receipt: Receipt }>();
  const bases = new Map<string, string>();
  for (const { id } of catalog.backups.filter((backup) => backup.state === "complete")) {
    const read = await readOrWarn(store, id, shelf, context);
    if (!read) continue; // evidence: it stays, and no rule counts it
    heads.set(id, { id, sha256: sha256(read.bytes) });
    if (read.receipt.event === "backup" && read.receipt.contents.base) {
      bases.set(id, read.receipt.contents.base);
    }
  }
  for (const { key } of catalog.events) {
    const read = await readOrWarn(store, key, shelf, context);
    if (read) events.set(key, { head: { id: key, sha256: sha256(read.bytes) }, receipt: read.receipt });
  }
  return { catalog, heads, events, bases };
}

async function readOrWarn(
  store: Store,
  id: string,
  shelf: Shelf,
  context: Context,
): Promise<{ bytes: U8; receipt: Receipt } | undefined> {
  try {
    return await readReceipt(store, id, shelf);
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
    context.log.warn("evidence", error.message);
    return undefined;
  }
}

function decide(
  store: Store,
  shelf: Shelf,
  policy: Policy,
  contents: Contents,
  now: Date,
): Verdict[] {
  const proofs = new Map<string, Date>();
  for (const { receipt } of contents.events.values()) {
    if (receipt.event !== "verify" && receipt.event !== "drill") continue;
    const subject = contents.heads.get(receipt.subject.id);
    if (receipt.outcome !== "complete" || subject?.sha256 !== receipt.subject.sha256) continue;
    proofs.set(receipt.subject.id, new Date(receipt.completedAt));
  }
  const byDigest = new Map([...contents.heads.values()].map((head) => [head.sha256, head.id]));
  const candidates: Candidate[] = [];
  for (const backup of contents.catalog.backups) {
    if (!contents.heads.has(backup.id)) continue;
    const base = contents.bases.get(backup.id);
    const baseId = base === undefined ? undefined : byDigest.get(base);
    candidates.push({
      id: backup.id,
      name: shelf.name,
      time: backup.time,
      verified: proofs.has(backup.id),
      verifiedAt: proofs.get(backup.id),
      bases: baseId === undefined ? [] : [baseId],
    });
  }
  return keep(policy, candidates, now).map(({ id, keep, reasons }) => ({
    id,
    store: store.url,
    keep,
    reasons,
  }));
}

/** What the store keeps whatever it is told stays, and says so: a deletion would only hide it, and free nothing. */
async function retained(store: Store, verdicts: Verdict[]): Promise<Verdict[]> {
  if (!store.retained) return verdicts;
  const checked: Verdict[] = [];
  for (const verdict of verdicts) {
    const why = verdict.keep ? undefined : await store.retained(verdict.id);
    checked.push(
      why === undefined ? verdict : { ...verdict, keep: true, reasons: [`retained by the store: ${why}`] },
    );
  }
  return checked;
}

/** Writes the tombstones, then deletes. A crash in between is finished by the next run. */
async function remove(
  store: Store,
  shelf: Shelf,
  contents: Contents,
  verdicts: readonly Verdict[],
  context: Context,
): Promise<void> {
  const going = new Set(verdicts.filter((verdict) => !verdict.keep).map((verdict) => verdict.id));
  if (going.size === 0) return;
  const goingEvents = obsoleteEvents(contents, going);
  const all = [...contents.heads.values(), ...[...contents.events.values()].map((event) => event.head)];
  const tombstones = all.filter(({ id }) => going.has(id) || goingEvents.has(id));
  const live = all.filter(({ id }) => !going.has(id) && !goingEvents.has(id));
  await appendEvent(store, shelf, context, "prune", (id, parents) => ({
    schema: "holdfast.receipt.v1",
    event: "prune",
    name: shelf.name,
    id,
    run: context.run,
    parents: [...parents],
    createdAt: context.now.toISOString(),
    completedAt: new Date().toISOString(),
    outcome: "complete",
    tombstones: tombstones.map((head) => ({ ...head })),
    live: live.map((head) => ({ ...head })),
  }));
  for (const backup of contents.catalog.backups) {
    if (going.has(backup.id)) await removeBackup(store, backup);
  }
  for (const event of contents.catalog.events) {
    if (goingEvents.has(event.key)) await removeEvent(store, event);
  }
}

/** Proofs whose backup goes, and all but the last few prunes. */
function obsoleteEvents(contents: Contents, going: ReadonlySet<string>): Set<string> {
  const prunes = [...contents.events.values()].filter(({ receipt }) => receipt.event === "prune");
  const old = prunes.slice(0, Math.max(0, prunes.length - (PRUNES_KEPT - 1))).map(({ head }) => head.id);
  const proofs = [...contents.events.values()].flatMap(({ head, receipt }) =>
    (receipt.event === "verify" || receipt.event === "drill") && going.has(receipt.subject.id)
      ? [head.id]
      : []
  );
  return new Set([...old, ...proofs]);
}
