/**
 * The stage that keeps a store small: decides with `keep`, announces deletions in a receipt, then deletes by exact names.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { readCatalog } from "../catalog.ts";
import { messageOf, StoreError } from "../errors.ts";
import { readLedger } from "../ledger.ts";
import type { Context, RetainWant, Shelf, Stage, Store, Stored, Verdict } from "../stage.ts";
import { acquireLease, type Lease } from "../store/lease.ts";
import { sweep } from "../sweep.ts";
import { type Plan, planStore } from "./plan.ts";
import { checkPolicy, type Policy } from "./policy.ts";
import { removePlanned } from "./remove.ts";

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
    retain: (want, context, shelf) => retainAll(policy, want, context, shelf.stores, shelf),
    run: async (stored, context) => {
      const verdicts: Verdict[] = [];
      // A run that waited has taken a later name than it began with: its own backup is not one from the future.
      const time = stored.shelf.naming.parse(stored.id)?.time ?? context.now;
      const at = { ...context, now: time > context.now ? time : context.now };
      for (const { store } of stored.copies) {
        try {
          verdicts.push(...await retainAll(policy, { confirm: true }, at, [store], stored.shelf));
        } catch (error) {
          context.log.warn("prune", `Cannot prune ${store.url}: ${messageOf(error)}`);
        }
      }
      return { ...stored, verdicts };
    },
    undo: (stored) => Promise.resolve(stored),
  };
}

/**
 * A digest of what was decided: which backups are there, and which of them go. The same list gives the same digest, in any order;
 * 16 hexadecimal digits.
 */
export function planDigest(verdicts: readonly Verdict[]): string {
  const hash = createHash("sha256");
  const order = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0;
  for (
    const { id, store, keep } of verdicts.toSorted((a, b) => order(a.id, b.id) || order(a.store, b.store))
  ) {
    hash.update(`${keep ? "keep" : "remove"} ${id} ${store}\n`);
  }
  return hash.digest("hex").slice(0, 16);
}

/** Plans every store before anything is removed from any. */
async function retainAll(
  policy: Policy,
  want: RetainWant,
  context: Context,
  stores: readonly Store[],
  shelf: Shelf,
): Promise<readonly Verdict[]> {
  const leases = new Map<Store, Lease>();
  try {
    const plans: Plan[] = [];
    for (const store of stores) {
      if (want.confirm) {
        leases.set(store, await leaseOf(store, shelf, context));
        await finish(store, shelf, context);
      }
      plans.push(await planStore(store, shelf, policy, context));
    }
    const planned = plans.flatMap(({ verdicts }) => verdicts);
    checkExpected(want.expect, planned, shelf);
    if (!want.confirm) return planned;
    const done: Verdict[] = [];
    for (const plan of plans) {
      done.push(...await removePlanned(plan, shelf, context, leases.get(plan.store)!.lost));
    }
    return done;
  } finally {
    for (const lease of [...leases.values()].reverse()) await lease.release();
  }
}

function leaseOf(store: Store, shelf: Shelf, context: Context): Promise<Lease> {
  const { run, signal, log, wait } = context;
  return acquireLease(store, shelf.name, { run, signal, log, wait, action: "prune", ...shelf.lease });
}

/** Finishes what an earlier prune had announced and not done. */
async function finish(store: Store, shelf: Shelf, context: Context): Promise<void> {
  const before = await readCatalog(store, shelf);
  await sweep(store, before, await readLedger(store, shelf, before, context.state), context, Infinity);
}

/** Who looked at a list wants that list, and no other. */
function checkExpected(expect: string | undefined, planned: readonly Verdict[], shelf: Shelf): void {
  if (expect === undefined || planDigest(planned) === expect) return;
  const going = planned.filter(({ keep }) => !keep).length;
  throw new StoreError(
    `Cannot prune "${shelf.name}": what is there, or what would go (${going} of ${planned.length} now), is no longer what the ` +
      `dry run "${expect}" showed. Look at a new dry run. Nothing was removed`,
  );
}
