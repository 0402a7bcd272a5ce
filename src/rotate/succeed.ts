/**
 * Brings one backup's successor into every store that has the backup.
 *
 * @module
 */
import { readCatalog } from "../catalog.ts";
import { messageOf } from "../errors.ts";
import { headOf, readLedger } from "../ledger.ts";
import { decodeReceipt } from "../receipt.ts";
import type { Store } from "../stage.ts";
import type { Lease } from "../store/lease.ts";
import type { Target } from "../upload/commit.ts";
import type { Choice, Chosen } from "./choose.ts";
import { type Held, secondOf } from "./look.ts";
import { readBack, type Work, writeAgain } from "./one.ts";

/** How far one backup has come. */
export interface Succession {
  /** The new file name. */
  readonly successor?: string | undefined;
  /** The copies whose successor has been read back: they may go. */
  readonly ready: readonly Held[];
  /** Why a copy stays. */
  readonly error?: Error | undefined;
}

/** Encrypts it again where that has not been done, and reads each successor back. */
export async function succeed(
  work: Work,
  { held, todo, done }: Chosen,
  leases: ReadonlyMap<Store, Lease>,
  { names, bases }: Pick<Choice, "names" | "bases">,
): Promise<Succession> {
  const { context } = work;
  const successors = new Map(done);
  let error: Error | undefined;
  try {
    if (todo.length > 0) {
      const targets = await openTargets(work, todo, leases);
      const id = await writeAgain(work, freeTime(held[0]!, names), held, targets, bases);
      for (const target of targets) {
        error ??= target.error;
        if (target.receipt) successors.set(target.store, heldOf(target, id, held[0]!));
      }
    }
  } catch (cause) {
    context.signal.throwIfAborted();
    error = cause as Error;
  }
  const ready: Held[] = [];
  for (const one of held) {
    const successor = successors.get(one.store);
    if (!successor) continue;
    try {
      await readBack(work, successor);
      bases.set(one.head.sha256, successor.head.sha256);
      ready.push(one);
    } catch (cause) {
      context.signal.throwIfAborted();
      error ??= cause as Error;
      context.log.warn("target", `"${one.head.id}" stays in ${one.store.url}: ${messageOf(cause)}`);
    }
  }
  return { successor: [...successors.values()][0]?.head.id, ready, error };
}

async function openTargets(
  { shelf, context }: Work,
  todo: readonly Held[],
  leases: ReadonlyMap<Store, Lease>,
): Promise<readonly Target[]> {
  return await Promise.all(todo.map(async ({ store, head }) => ({
    store,
    ledger: await readLedger(store, shelf, await readCatalog(store, shelf), context.state),
    replaces: head,
    lost: leases.get(store)?.lost,
    written: [],
  })));
}

/** The next free second after the backup's own: by time it stays where it was. */
function freeTime({ shelved }: Held, names: Set<number>): Date {
  let second = secondOf(shelved.time);
  while (names.has(second)) second++;
  names.add(second);
  return new Date(second * 1000);
}

function heldOf({ store, receipt }: Target, id: string, { shelved }: Held): Held {
  const bytes = receipt!;
  const decoded = decodeReceipt(bytes, id);
  if (decoded.event !== "backup") throw new TypeError("Cannot go on: what was written is not a backup");
  return { store, bytes, head: headOf(id, bytes), receipt: decoded, shelved };
}
