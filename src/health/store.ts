/**
 * What one store shows at a glance: one listing, the lease, and in a bucket its unfinished uploads.
 *
 * @module
 */
import { readAll, text } from "../bytes.ts";
import { type Catalog, INTENT, newestComplete, readCatalog, type Shelved } from "../catalog.ts";
import { formatSpan } from "../duration.ts";
import { messageOf, NotFoundError } from "../errors.ts";
import type { Shelf, Store } from "../stage.ts";
import { decodeHolder, type Holder, holderPhrase, isDead } from "../store/holder.ts";
import { LEASE_SUFFIX } from "../store/key.ts";
import { type Finding, finding } from "./finding.ts";

/** A store that could be listed. */
export interface Glance {
  /** Where. */
  readonly store: Store;
  /** What lies there. */
  readonly catalog: Catalog;
  /** The newest complete backup there. */
  readonly newest: Shelved | undefined;
}

/** Looks at one store. Undefined where it cannot be listed. */
export async function glance(
  store: Store,
  shelf: Shelf,
  now: Date,
  runMs: number,
): Promise<{ glance?: Glance; findings: Finding[] }> {
  try {
    const catalog = await readCatalog(store, shelf);
    const newest = newestComplete(catalog);
    const findings = [
      ...damaged(store, catalog, newest),
      ...await unfinished(store, shelf, catalog, now, runMs),
      ...await stuckLease(store, shelf, now, runMs),
    ];
    return { glance: { store, catalog, newest }, findings };
  } catch (error) {
    return { findings: [unreachable(store, error)] };
  }
}

/** What is said of a store that does not answer. */
export function unreachable({ url }: Store, error: unknown): Finding {
  const next =
    "Look whether it is switched on, mounted and reachable from here, and whether its keys still hold";
  return finding("unreachable", `Cannot look at ${url}: ${messageOf(error)}`, next, url);
}

function damaged(store: Store, catalog: Catalog, newest: Shelved | undefined): Finding[] {
  const later = catalog.backups.slice(newest ? catalog.backups.indexOf(newest) + 1 : 0)
    .filter(({ state }) => state === "damaged" || state === "orphan");
  return later.map(({ id, state }) =>
    finding(
      "damaged",
      `"${id}" in ${store.url} is newer than the newest whole one, and its ${
        state === "orphan" ? "receipt" : "archive"
      } is gone`,
      'No run of Holdfast leaves that behind: find out who removed it; "verify" says what else is missing',
      store.url,
    )
  );
}

async function unfinished(
  store: Store,
  shelf: Shelf,
  catalog: Catalog,
  now: Date,
  runMs: number,
): Promise<Finding[]> {
  const old = (time: Date): boolean => now.getTime() - time.getTime() > runMs;
  const dead = catalog.backups.flatMap(({ parts, state }) =>
    state === "incomplete" ? [parts.get(INTENT)!] : []
  )
    .filter(({ modified }) => old(modified)).map(({ modified }) => modified);
  const uploads = (await store.unfinished?.() ?? [])
    .filter(({ key, begun }) => key.startsWith(shelf.naming.prefix(shelf.name)) && old(begun)).map((
      { begun },
    ) => begun);
  const found: Finding[] = [];
  const say = (what: string, times: readonly Date[], next: string): void => {
    if (times.length === 0) return;
    const since = new Date(Math.min(...times.map(Number))).toISOString();
    found.push(
      finding("unfinished", `${times.length} ${what} in ${store.url} since ${since}`, next, store.url),
    );
  };
  say(
    "unfinished backups",
    dead,
    "Their runs have died. The next backup removes what they left; look why they died",
  );
  say(
    "unfinished uploads",
    uploads,
    "Their parts cost money. The next backup aborts those of dead runs; a lifecycle rule ends the rest (config --iam)",
  );
  return found;
}

async function stuckLease(store: Store, shelf: Shelf, now: Date, runMs: number): Promise<Finding[]> {
  const key = shelf.name + LEASE_SUFFIX;
  const item = await store.head(key);
  if (!item) return [];
  const holder = await readHolder(store, key);
  if (holder === "gone") return [];
  const started = Date.parse(holder?.started ?? "");
  const held = now.getTime() - (Number.isNaN(started) ? item.modified.getTime() : started);
  if (held <= runMs) return [];
  const dead = isDead(holder);
  return [finding(
    "lock",
    `${holderPhrase(holder)} ${
      dead ? "died and left" : "has held"
    } the lease of "${shelf.name}" in ${store.url} for ${formatSpan(held)}`,
    dead
      ? "The next run takes it over. That none has since says that no run has started: look at the timer"
      : "If that run still works, raise maxRunTime; else end it, and the next run takes over",
    store.url,
  )];
}

async function readHolder(store: Store, key: string): Promise<Holder | undefined | "gone"> {
  try {
    return decodeHolder(text(await readAll(await store.get(key), 64 * 1024, `"${key}"`)));
  } catch (error) {
    if (error instanceof NotFoundError) return "gone"; // let go just now
    if (error instanceof TypeError) return undefined; // not text: nobody's lease
    throw error;
  }
}
