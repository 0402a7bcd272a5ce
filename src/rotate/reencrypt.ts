/**
 * For a leaked key: every backup that it reads is encrypted again, and only then removed.
 *
 * @module
 */
import { makeContext } from "../context.ts";
import { ConfigError, messageOf } from "../errors.ts";
import { type Plan, shelfOf } from "../find.ts";
import type { Context, Store } from "../stage.ts";
import type { Lease } from "../store/lease.ts";
import { leaseAll, releaseAll } from "../upload/leases.ts";
import { type Choice, choose, type Chosen } from "./choose.ts";
import { currentRecipients, finish, type Held, refuseCurrent } from "./look.ts";
import { checkSigned, openArchive, type Work } from "./one.ts";
import { removeHeld } from "./remove.ts";
import type { ReencryptOptions, RotateResult, RotateStep } from "./result.ts";
import { succeed } from "./succeed.ts";

/** So many, or so many bytes, are encrypted again before their predecessors go: a receipt lists all that stays. */
const BATCH = { backups: 16, bytes: 2 ** 30 } as const;

/**
 * Encrypts again, with the plan's keys of today, what other keys read: verified, decrypted and encrypted in one stream, with new
 * checksums, signatures and a receipt that names its predecessor, under the next free second of its time; read back; and only then
 * is the predecessor announced as removed, and removed. Interrupted anywhere, each backup is there whole at least once, and the next
 * run goes on. A backup that cannot be opened stays as it is, with its error.
 *
 * What it cannot undo: whoever has copied a backup and has the key can read that copy for ever.
 */
export async function reencrypt(plan: Plan, options: ReencryptOptions = {}): Promise<RotateResult> {
  const shelf = shelfOf(plan);
  const context = makeContext(options);
  const current = await currentRecipients(plan, context);
  if (!current) {
    throw new ConfigError(
      "Cannot re-encrypt: there is no key to encrypt to. Name a plan, or a recipient (--recipient)",
    );
  }
  if (options.key !== undefined) refuseCurrent(options.key, current);
  const opens = options.opens ?? plan.stages.find(({ verb }) => verb === "encrypt")!;
  const work: Work = { plan, shelf, opens, context };
  const which = { current, key: options.key, other: options.opens !== undefined };
  if (!options.confirm) return await preview(work, await choose(work, shelf.stores, which));
  const { leases, refused } = await leaseAll(context, shelf);
  try {
    for (const [store, error] of refused) {
      context.log.warn("target", `Nothing is done in ${store.url}: ${messageOf(error)}`);
    }
    const stores = shelf.stores.filter((store) => leases.has(store));
    if (stores.length === 0) throw [...refused.values()][0]!;
    for (const store of stores) await finish(store, shelf, context);
    return await carryOut(work, await choose(work, stores, which), leases);
  } finally {
    await releaseAll(leases);
  }
}

/** What would be done, and whether a key for it is at hand. */
async function preview(work: Work, { chosen, others }: Choice): Promise<RotateResult> {
  const steps: RotateStep[] = [];
  for (const { id, held, todo } of chosen) {
    work.context.signal.throwIfAborted();
    let error: Error | undefined;
    try {
      if (todo.length > 0) {
        checkSigned(held[0]!, work.shelf);
        await openArchive(work, held);
      }
    } catch (cause) {
      error = cause as Error;
    }
    steps.push({ id, stores: held.map(({ store }) => store.url), bytes: bytesOf(held), error });
  }
  return { steps, others };
}

async function carryOut(
  work: Work,
  { chosen, others, names, bases }: Choice,
  leases: ReadonlyMap<Store, Lease>,
): Promise<RotateResult> {
  const { context } = work;
  const steps = new Map<string, RotateStep>();
  let batch: { readonly one: Chosen; readonly ready: readonly Held[] }[] = [];
  let size = 0;
  const flush = async (): Promise<void> => {
    for (const store of work.shelf.stores) {
      const held = batch.flatMap(({ ready }) => ready.filter((one) => one.store === store));
      if (held.length === 0) continue;
      const gone = await removeHeld(
        store,
        work.shelf,
        held,
        "reencrypted",
        guarded(context, leases.get(store)),
      );
      for (const { head: { id } } of held.filter(({ head }) => gone.has(head.id))) {
        const step = steps.get(id)!;
        steps.set(id, { ...step, stores: [...step.stores, store.url] });
      }
    }
    batch = [];
    size = 0;
  };
  // What builds on another is only whole with it: then all are written before any goes.
  const chained = chosen.some(({ held }) => held[0]!.receipt.contents.base !== null);
  for (const one of chosen) {
    context.signal.throwIfAborted();
    const bytes = bytesOf(one.held);
    const { successor, ready, error } = await succeed(work, one, leases, { names, bases });
    steps.set(one.id, { id: one.id, successor, stores: [], bytes, error });
    batch.push({ one, ready });
    size += bytes;
    if (!chained && (batch.length >= BATCH.backups || size >= BATCH.bytes)) await flush();
  }
  if (chained && [...steps.values()].some(({ error }) => error)) {
    context.log.warn(
      "base",
      "Nothing was removed: some of these backups build on others, and not all could be encrypted again",
    );
    return { steps: [...steps.values()], others };
  }
  await flush();
  return { steps: [...steps.values()], others };
}

function guarded(context: Context, lease: Lease | undefined): Context {
  return lease ? { ...context, signal: AbortSignal.any([context.signal, lease.lost]) } : context;
}

function bytesOf(held: readonly Held[]): number {
  return held[0]?.shelved.parts.get("")?.bytes ?? 0;
}
