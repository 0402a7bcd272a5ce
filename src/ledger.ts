/**
 * The ledger: receipts that name their parents by digest. Every event names all heads it can see; a prune's receipt lists what is
 * gone (tombstones) and what stays (live), so that a walk starts at the newest one and older receipts may go.
 *
 * @module
 */
import { ahead } from "./ahead.ts";
import { readAll, sha256, text, utf8 } from "./bytes.ts";
import { type Catalog, readCatalog, RECEIPT } from "./catalog.ts";
import { ExistsError, IntegrityError, NotFoundError } from "./errors.ts";
import { formatName } from "./name.ts";
import { type Prover, prover, signReceipt } from "./seal.ts";
import { decodeReceipt, encodeReceipt, type PruneReceipt, type Receipt, RECEIPT_LIMIT } from "./receipt.ts";
import type { Context, Shelf, State, Store, U8 } from "./stage.ts";

/** How many receipts are read at once. */
const READS = 8;

/** A receipt's place in the ledger. */
export interface Head {
  /** The backup's file name, or the event's key. */
  readonly id: string;
  /** Lower-case hexadecimal SHA-256 of the receipt as stored. */
  readonly sha256: string;
}

interface Node extends Head {
  readonly parents: readonly string[];
}

/** The part of a ledger a walk needs: the newest prune and all that came after it. */
export interface Ledger {
  /** The newest prune receipt, where the walk starts. */
  readonly base: (Head & { readonly receipt: PruneReceipt }) | undefined;
  /** Receipts that are there and cannot be read: damaged, renamed or swapped. */
  readonly unreadable: readonly { readonly id: string; readonly why: string }[];
  /** Heads and prunes without the signature that the plan asks for: nothing they say counts, and no receipt names them. */
  readonly unproven: readonly { readonly id: string; readonly why: string }[];
  /** Digests of receipts that a prune read here has removed. */
  readonly gone: ReadonlySet<string>;
  /** Every receipt that the base does not list, the base included. */
  readonly nodes: readonly Node[];
  /** Receipts that no other names as a parent: what the next event must name. */
  readonly heads: readonly Head[];
}

/** What a host remembers of a ledger between runs. */
interface Memory {
  /** The heads as last seen. */
  readonly heads: readonly Head[];
  /** Receipts already read: they never change. */
  readonly known: Readonly<Record<string, Omit<Node, "id">>>;
}

/** Reads a receipt of a shelf; throws NotFoundError, or IntegrityError when it is malformed or claims another place. */
export async function readReceipt(
  store: Store,
  id: string,
  shelf: Shelf,
): Promise<{ bytes: U8; receipt: Receipt }> {
  const key = receiptKey(id, shelf);
  const bytes = await readBytes(store, key);
  const receipt = decodeReceipt(bytes, id);
  if (receipt.id !== id || receipt.name !== shelf.name) {
    throw new IntegrityError(
      `Cannot trust "${key}" in ${store.url}: its receipt was made for "${receipt.id}". ` +
        `It has been renamed or swapped; restore another backup and find out who did it`,
    );
  }
  return { bytes, receipt };
}

/**
 * Reads a receipt that carries every signature the plan asks for, or that this host remembers as a head. Throws NotFoundError, or
 * IntegrityError when it is malformed, claims another place, or is not signed as it must be.
 */
export async function provenReceipt(
  store: Store,
  id: string,
  shelf: Shelf,
  state: State,
): Promise<{ bytes: U8; receipt: Receipt }> {
  const read = await readReceipt(store, id, shelf);
  const seen = new Set((await recall(state, store, shelf))?.heads.map((head) => head.sha256));
  const prove = prover(shelf, (id) => receiptKey(id, shelf), store, seen);
  if (!await prove.check(id, read.bytes)) throw new IntegrityError(prove.unproven[0]!.why);
  return read;
}

/** The key of a receipt: an event's id is its key. */
function receiptKey(id: string, shelf: Shelf): string {
  return shelf.naming.parse(id) ? id + RECEIPT : id;
}

async function readBytes(store: Store, key: string): Promise<U8> {
  return await readAll(await store.get(key), RECEIPT_LIMIT, `the receipt "${key}"`);
}

/** Reads what a writer needs; receipts it has read before come from the host's memory. */
export async function readLedger(
  store: Store,
  shelf: Shelf,
  catalog: Catalog,
  state?: State,
): Promise<Ledger> {
  const memory = state && await recall(state, store, shelf);
  const known = memory?.known ?? {};
  const seen = new Set(memory?.heads.map((head) => head.sha256));
  const prove = prover(shelf, (id) => receiptKey(id, shelf), store, seen);
  const newest = await newestProven(catalog, prove);
  let base: Ledger["base"];
  const nodes: Node[] = [];
  const unreadable: { id: string; why: string }[] = [];
  if (newest) {
    try {
      const { bytes, receipt } = await readReceipt(store, newest.key, shelf);
      if (receipt.event !== "prune") {
        throw new IntegrityError(`Cannot read "${newest.key}": it is not a prune's receipt`);
      }
      base = { id: newest.key, sha256: sha256(bytes), receipt };
      nodes.push({ id: base.id, sha256: base.sha256, parents: receipt.parents });
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error;
      unreadable.push({ id: newest.key, why: error.message });
    }
  }
  const unproven = prove.unproven;
  const covered = new Set(base?.receipt.live.map((item) => item.id));
  const gone = new Set(base?.receipt.tombstones.map((item) => item.sha256));
  const unread: string[] = [];
  for (const id of receiptIds(catalog)) {
    if (id === newest?.key || covered.has(id)) continue;
    const seen = known[id];
    if (seen) nodes.push({ id, ...seen });
    else unread.push(id);
  }
  for await (const read of ahead(unread, READS, (id) => readReceipt(store, id, shelf))) {
    const id = read.item;
    try {
      if ("error" in read) throw read.error;
      const { bytes, receipt } = read.value;
      nodes.push({ id, sha256: sha256(bytes), parents: receipt.parents });
      if (receipt.event === "prune" && await prove.check(id, bytes)) {
        for (const item of receipt.tombstones) gone.add(item.sha256);
      }
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error;
      unreadable.push({ id, why: error.message });
    }
  }
  const named = new Set(nodes.flatMap((node) => node.parents));
  const heads: Head[] = [];
  for (const { id, sha256 } of nodes.filter((node) => !named.has(node.sha256))) {
    if (await prove.check(id)) heads.push({ id, sha256 });
  }
  return { base, unreadable, unproven, gone, nodes, heads };
}

/** The newest prune; one that is not proven says nothing. */
async function newestProven(catalog: Catalog, prove: Prover): Promise<Catalog["events"][number] | undefined> {
  for (const event of catalog.events.filter((event) => event.event === "prune").toReversed()) {
    if (await prove.check(event.key)) return event;
  }
  return undefined;
}

/** Every receipt of a catalog: complete and damaged backups, and events. */
export function receiptIds(catalog: Catalog): string[] {
  return [
    ...catalog.backups.filter((backup) => backup.parts.has(RECEIPT)).map((backup) => backup.id),
    ...catalog.events.map((event) => event.key),
  ];
}

/** What an audit of the ledger found. */
export interface Audit {
  /** Evidence of tampering, each a sentence; empty when all agrees. */
  readonly problems: readonly string[];
  /** What is there without the signature that the plan asks for, each a sentence. */
  readonly forged: string[];
  /** Whether deletion of the newest receipts could be told: false when this host remembers no head. */
  readonly remembered: boolean;
}

/**
 * Checks that nothing is missing without a tombstone. Reads every receipt after the newest prune afresh. `given` are heads that an
 * operator kept elsewhere.
 */
export async function audit(
  store: Store,
  shelf: Shelf,
  catalog: Catalog,
  state: State,
  given: readonly Head[] = [],
): Promise<Audit> {
  const ledger = await readLedger(store, shelf, catalog);
  const present = new Set(receiptIds(catalog));
  const digests = digestsOf(ledger);
  const problems: string[] = [];
  for (const item of ledger.base?.receipt.live ?? []) {
    if (!present.has(item.id) && !ledger.gone.has(item.sha256)) {
      problems.push(`"${item.id}" is gone, which "${ledger.base?.id}" had kept`);
    }
  }
  for (const node of ledger.nodes) {
    if (node.id === ledger.base?.id) continue; // what came before the newest prune may be gone
    for (const parent of node.parents.filter((parent) => !digests.has(parent))) {
      problems.push(`the receipt before "${node.id}" (${parent.slice(0, 12)}...) is gone`);
    }
  }
  for (const { why } of ledger.unreadable) problems.push(why);
  const forged = ledger.unproven.map(({ why }) => why);
  const remembered = given.length > 0 || await recall(state, store, shelf) !== undefined;
  for (const head of await unexplained(store, shelf, ledger, given)) {
    problems.push(
      `"${head.id}" is gone, or is not what it was: the head you gave (${head.sha256.slice(0, 12)}...)`,
    );
  }
  for (const head of await lostHeads(state, store, shelf, ledger)) {
    problems.push(`"${head.id}" is gone, which this host had seen`);
  }
  if (problems.length + forged.length === 0) await remember(state, store, shelf, ledger, ledger.heads);
  return { problems, forged, remembered };
}

/** Heads this host has seen that the ledger holds no more, and that no prune removed. */
export async function lostHeads(
  state: State,
  store: Store,
  shelf: Shelf,
  ledger: Ledger,
): Promise<readonly Head[]> {
  const memory = await recall(state, store, shelf);
  return await unexplained(store, shelf, ledger, memory?.heads ?? []);
}

/** Those of `heads` that are neither there nor announced as removed. Older prunes are read only where something is missing. */
async function unexplained(
  store: Store,
  shelf: Shelf,
  ledger: Ledger,
  heads: readonly Head[],
): Promise<readonly Head[]> {
  const digests = digestsOf(ledger);
  const missing = heads.filter((head) => !digests.has(head.sha256));
  if (missing.length === 0) return missing;
  for (const live of ledger.base?.receipt.live ?? []) {
    if (!live.id.endsWith(".prune.json")) continue;
    for (const item of await tombstonesOf(store, shelf, live)) digests.add(item.sha256);
  }
  return missing.filter((head) => !digests.has(head.sha256));
}

/** What a prune has removed, if its receipt still is what the newest prune says it was: that proves it. */
async function tombstonesOf(store: Store, shelf: Shelf, prune: Head): Promise<readonly Head[]> {
  try {
    const { bytes, receipt } = await readReceipt(store, prune.id, shelf);
    return receipt.event === "prune" && sha256(bytes) === prune.sha256 ? receipt.tombstones : [];
  } catch (error) {
    if (error instanceof IntegrityError || error instanceof NotFoundError) return [];
    throw error;
  }
}

/** Every receipt that a ledger knows: there, kept by the newest prune, or removed by one. */
function digestsOf(ledger: Ledger): Set<string> {
  return new Set([
    ...ledger.nodes.map((node) => node.sha256),
    ...ledger.gone,
    ...(ledger.base?.receipt.live ?? []).map((item) => item.sha256),
  ]);
}

/** Remembers the heads and the receipts read so far; a head that went missing stays remembered until it is accepted. */
export async function remember(
  state: State,
  store: Store,
  shelf: Shelf,
  ledger: Ledger,
  heads: readonly Head[],
): Promise<void> {
  const lost = await lostHeads(state, store, shelf, ledger);
  const known = Object.fromEntries(
    ledger.nodes.map(({ id, sha256, parents }) => [id, { sha256, parents }]),
  );
  await state.put(
    memoryKey(store, shelf),
    utf8(JSON.stringify({ heads: [...heads, ...lost], known } satisfies Memory)),
  );
}

async function recall(state: State, store: Store, shelf: Shelf): Promise<Memory | undefined> {
  const bytes = await state.get(memoryKey(store, shelf));
  if (!bytes) return undefined;
  try {
    return JSON.parse(text(bytes)) as Memory;
  } catch {
    return undefined; // a damaged memory is as good as none: verify then says it cannot tell
  }
}

function memoryKey(store: Store, shelf: Shelf): string {
  return `ledger-${sha256(utf8(`${store.url}\n${shelf.name}`)).slice(0, 32)}`;
}

/**
 * Takes the ledger of one store as it stands, after an operator has looked into what is missing: a prune's receipt that lists all that
 * is there, with tombstones for what this host knows to be gone. Gives what was accepted as missing.
 */
export async function acceptLedger(store: Store, shelf: Shelf, context: Context): Promise<readonly Head[]> {
  const catalog = await readCatalog(store, shelf);
  const ledger = await readLedger(store, shelf, catalog);
  const unproven = new Set(ledger.unproven.map(({ id }) => id));
  const present = new Set(receiptIds(catalog).filter((id) => !unproven.has(id)));
  const live: Head[] = [];
  for (const id of present) live.push(headOf(id, await readBytes(store, receiptKey(id, shelf))));
  const kept = (ledger.base?.receipt.live ?? []).filter((item) => !present.has(item.id));
  const lost = [...kept, ...await lostHeads(context.state, store, shelf, ledger)];
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
    tombstones: lost.map((head) => ({ ...head })),
    live,
  }));
  return lost;
}

/** The head a receipt makes. */
export function headOf(id: string, bytes: U8): Head {
  return { id, sha256: sha256(bytes) };
}

/**
 * Appends an event's receipt under `<name>_<UTC>.<event>.json`, in the next free second. `make` is given its id and parents.
 */
export async function appendEvent(
  store: Store,
  shelf: Shelf,
  context: Context,
  event: "prune" | "verify" | "drill",
  make: (id: string, parents: readonly string[]) => Receipt,
): Promise<void> {
  const ledger = await readLedger(store, shelf, await readCatalog(store, shelf), context.state);
  const parents = ledger.heads.map((head) => head.sha256).sort();
  for (let second = 0; second < 60; second++) {
    const id = formatName(shelf.name, new Date(context.now.getTime() + second * 1000), `.${event}.json`);
    const signer = shelf.seals?.[0]?.signer.identity;
    const receipt: Receipt = { ...make(id, parents), ...(signer === undefined ? {} : { signer }) };
    const bytes = encodeReceipt(receipt);
    try {
      await signReceipt(store, shelf, id, bytes);
      await store.put(id, bytes, { ifAbsent: true });
    } catch (error) {
      if (error instanceof ExistsError) continue;
      throw error;
    }
    const head = headOf(id, bytes);
    const node = { ...head, parents };
    await remember(context.state, store, shelf, { ...ledger, nodes: [...ledger.nodes, node] }, [head]);
    return;
  }
  throw new ExistsError(`Cannot record the ${event} of "${shelf.name}": every name of this minute is taken`);
}
