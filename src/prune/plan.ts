/**
 * What retention would do with one store: planned from names, with receipts read only where they decide something.
 *
 * @module
 */
import { ahead } from "../ahead.ts";
import { sha256 } from "../bytes.ts";
import { type Catalog, readCatalog, type Shelved } from "../catalog.ts";
import { IntegrityError, NotFoundError } from "../errors.ts";
import { readReceipt } from "../ledger.ts";
import { prover } from "../seal.ts";
import type { Context, Shelf, Store, U8, Verdict } from "../stage.ts";
import type { Receipt } from "../receipt.ts";
import { type Candidate, type Decision, keep } from "./keep.ts";
import type { Policy } from "./policy.ts";

/** How many questions a store is asked at once. */
export const ASKS = 8;

/** A store's part of a retention run, before anything is done. */
export interface Plan {
  /** Where. */
  readonly store: Store;
  /** What was there. */
  readonly catalog: Catalog;
  /** What is to happen. */
  readonly verdicts: readonly Verdict[];
}

/** A receipt and its bytes. */
interface Read {
  readonly bytes: U8;
  readonly receipt: Receipt;
}

/** What a plan is made with. */
interface Planning {
  readonly store: Store;
  readonly shelf: Shelf;
  readonly context: Context;
  /** Complete backups by id, oldest first. What turns out not to be whole is taken out: it stays, and no rule counts it. */
  readonly whole: Map<string, Shelved>;
  /** Receipts read so far. */
  readonly read: Map<string, Read>;
  /** The bases that are known. */
  readonly bases: Map<string, readonly string[]>;
}

/**
 * Plans one store. Names and times come from the listing. Read are: proofs, newest first, until the newest verified backup is known;
 * the receipts of what stays, for a backup that cannot be read must not take a whole one's place; and what the store itself
 * retains, of what would go.
 */
export async function planStore(
  store: Store,
  shelf: Shelf,
  policy: Policy,
  context: Context,
): Promise<Plan> {
  const catalog = await readCatalog(store, shelf);
  const complete = catalog.backups.filter((backup) => backup.state === "complete");
  const whole = new Map(complete.map((backup) => [backup.id, backup]));
  const planning: Planning = { store, shelf, context, whole, read: new Map(), bases: new Map() };
  const verified = await newestVerified(planning, catalog);
  let decisions: readonly Decision[];
  do decisions = keep(policy, candidates(planning, verified), context.now); while (
    await changed(planning, decisions)
  );
  return { store, catalog, verdicts: await verdictsOf(planning, decisions) };
}

function candidates({ whole, shelf, bases }: Planning, verified: string | undefined): Candidate[] {
  return [...whole.values()].map(({ id, time }) => ({
    id,
    name: shelf.name,
    time,
    verified: id === verified,
    bases: bases.get(id),
  }));
}

/** Looks at what is to stay for the first time; whether that calls for another plan. */
async function changed(planning: Planning, decisions: readonly Decision[]): Promise<boolean> {
  const { whole, read, bases } = planning;
  const fresh = decisions.filter(({ id, keep }) => keep && !read.has(id)).map(({ id }) => id);
  let again = false;
  for await (const { item: id, error } of lookAt(planning, fresh)) {
    if (error) {
      planning.context.log.warn("evidence", error.message);
      whole.delete(id);
      again = true;
    }
  }
  // Also of those that were read before, as somebody's base: what stays may stand on a chain of any length.
  for (const { id, keep } of decisions) {
    const receipt = read.get(id)?.receipt;
    if (!keep || receipt?.event !== "backup" || receipt.contents.base === null || bases.has(id)) continue;
    const base = await findDigest(planning, id, receipt.contents.base);
    bases.set(id, base === undefined ? [] : [base]);
    again ||= base !== undefined;
  }
  return again;
}

/** Reads receipts, several at once; an error is one of what lies there, others are thrown. */
async function* lookAt(
  planning: Planning,
  ids: readonly string[],
): AsyncGenerator<{ readonly item: string; readonly error?: Error }> {
  const { store, shelf, whole, read } = planning;
  for await (const outcome of ahead(ids, ASKS, (id) => readReceipt(store, id, shelf))) {
    const { item } = outcome;
    if ("value" in outcome) {
      const wrong = sizeWrong(whole.get(item), outcome.value.receipt, store);
      if (!wrong) read.set(item, outcome.value);
      yield wrong ? { item, error: wrong } : { item };
    } else if (outcome.error instanceof IntegrityError) yield { item, error: outcome.error };
    else throw outcome.error;
  }
}

/** A receipt whose objects are not there, or not as long as it says, is evidence, and no backup. */
function sizeWrong(backup: Shelved | undefined, receipt: Receipt, store: Store): Error | undefined {
  if (receipt.event !== "backup") return undefined;
  for (const { suffix, bytes } of receipt.objects) {
    const there = backup?.parts.get(suffix)?.bytes;
    if (there === bytes) continue;
    return new IntegrityError(
      `Cannot count "${receipt.id}" in ${store.url} as a backup: "${receipt.id}${suffix}" ` +
        (there === undefined ? "is missing" : `has ${there} of ${bytes} bytes`) +
        ". It stays; look into it with `verify`",
    );
  }
  return undefined;
}

/** The backup whose receipt has this digest: a base is most often the one before; it is newer where a clock was set back. */
async function findDigest(planning: Planning, id: string, digest: string): Promise<string | undefined> {
  const ids = [...planning.whole.keys()];
  const at = ids.indexOf(id);
  for (const older of [...ids.slice(0, at).toReversed(), ...ids.slice(at + 1)]) {
    if (!planning.read.has(older)) { for await (const _ of lookAt(planning, [older])) { /* read */ } }
    const read = planning.read.get(older);
    if (read && sha256(read.bytes) === digest) return older;
  }
  return undefined;
}

/**
 * The newest backup, not dated in the future, that a proof stands for. Proofs are read newest first; a proof comes after what it
 * proves, so that no older one can name a newer backup than the best so far once its own time is before that one's.
 */
async function newestVerified(planning: Planning, catalog: Catalog): Promise<string | undefined> {
  const { store, shelf, whole, read, context } = planning;
  const prove = prover(shelf, (key) => key, store, new Set());
  let best: Shelved | undefined;
  for (const { key, event, time } of catalog.events.toReversed()) {
    if (best && time < best.time) break;
    if (event !== "verify" && event !== "drill") continue;
    try {
      const { bytes, receipt } = await readReceipt(store, key, shelf);
      if (receipt.event !== "verify" && receipt.event !== "drill" || receipt.outcome !== "complete") continue;
      const subject = whole.get(receipt.subject.id);
      if (!subject || subject.time > context.now || best && subject.time <= best.time) continue;
      if (!await prove.check(key, bytes)) continue;
      if (!read.has(subject.id)) { for await (const _ of lookAt(planning, [subject.id])) { /* read */ } }
      const found = read.get(subject.id);
      if (found && sha256(found.bytes) === receipt.subject.sha256) best = subject;
    } catch (error) {
      if (!(error instanceof IntegrityError || error instanceof NotFoundError)) throw error;
      context.log.warn("evidence", error.message);
    }
  }
  for (const { why } of prove.unproven) context.log.warn("evidence", why);
  return best?.id;
}

/** With what each would free. What the store keeps whatever it is told stays, and says so: a deletion would only hide it. */
async function verdictsOf(
  { store, whole }: Planning,
  decisions: readonly Decision[],
): Promise<readonly Verdict[]> {
  const retained = new Map<string, string>();
  const going = decisions.filter(({ keep }) => !keep).map(({ id }) => id);
  if (store.retained) {
    for await (const asked of ahead(going, ASKS, (id) => store.retained!(id))) {
      if ("error" in asked) throw asked.error;
      if (asked.value !== undefined) retained.set(asked.item, asked.value);
    }
  }
  return decisions.map(({ id, keep, reasons }) => {
    const why = retained.get(id);
    let bytes = 0;
    for (const part of whole.get(id)!.parts.values()) bytes += part.bytes;
    const verdict = { id, store: store.url, bytes };
    return why === undefined
      ? { ...verdict, keep, reasons }
      : { ...verdict, keep: true, reasons: [`retained by the store: ${why}`] };
  });
}
