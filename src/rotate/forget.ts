/**
 * For a lost key: removes what nobody can read any more.
 *
 * @module
 */
import { makeContext } from "../context.ts";
import { type Plan, shelfOf } from "../find.ts";
import type { Context, Shelf } from "../stage.ts";
import { leaseAll, releaseAll } from "../upload/leases.ts";
import { currentRecipients, finish, type Held, holdings, refuseCurrent } from "./look.ts";
import { removeHeld } from "./remove.ts";
import type { ForgetOptions, RotateResult, RotateStep } from "./result.ts";

/**
 * Removes the backups that only lost keys could read, as their receipts say; receipts that the plan's signers did not sign count for
 * nothing, and what they name stays. Each store's ledger says it. Without `confirm` it only says what would go. Throws ConfigError
 * for a key that the plan still encrypts to.
 */
export async function forget(plan: Plan, options: ForgetOptions): Promise<RotateResult> {
  if (options.keys.length === 0) throw new TypeError("Cannot forget a key: none is named");
  const shelf = shelfOf(plan);
  const context = makeContext(options);
  const current = await currentRecipients(plan, context) ?? [];
  for (const key of options.keys) refuseCurrent(key, current);
  if (!options.confirm) return await look(shelf, options.keys, context);
  const { leases, refused } = await leaseAll(context, shelf);
  try {
    for (const error of refused.values()) throw error;
    for (const store of shelf.stores) await finish(store, shelf, context);
    const result = await look(shelf, options.keys, context, async (held) => {
      const { store } = held[0]!;
      const lost = leases.get(store)!.lost;
      const signal = AbortSignal.any([context.signal, lost]);
      return await removeHeld(store, shelf, held, "forgotten", { ...context, signal });
    });
    return result;
  } finally {
    await releaseAll(leases);
  }
}

async function look(
  shelf: Shelf,
  lost: readonly string[],
  context: Context,
  remove?: (held: readonly Held[]) => Promise<ReadonlySet<string>>,
): Promise<RotateResult> {
  const steps = new Map<string, RotateStep>();
  let others = 0;
  for (const store of shelf.stores) {
    const all = await holdings(store, shelf, context);
    const going = all.filter(({ receipt: { recipients } }) =>
      recipients.length > 0 && recipients.every((recipient) => lost.includes(recipient))
    );
    warnOfBases(all, going, context);
    others = Math.max(others, all.length - going.length);
    const gone = remove && going.length > 0 ? await remove(going) : new Set(going.map(({ head }) => head.id));
    for (const { head: { id }, shelved } of going.filter(({ head }) => gone.has(head.id))) {
      const before = steps.get(id);
      const bytes = shelved.parts.get("")?.bytes ?? 0;
      steps.set(id, { id, bytes, stores: [...before?.stores ?? [], store.url] });
    }
  }
  return { steps: [...steps.values()], others };
}

function warnOfBases(all: readonly Held[], going: readonly Held[], { log }: Context): void {
  const digests = new Set(going.map(({ head }) => head.sha256));
  const ids = new Set(going.map(({ head }) => head.id));
  for (const { head, receipt } of all) {
    if (ids.has(head.id) || !digests.has(receipt.contents.base ?? "")) continue;
    log.warn(
      "base",
      `"${head.id}" builds on a backup that nobody can read any more: it holds only its own part`,
    );
  }
}
