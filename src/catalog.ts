/**
 * What lies on a shelf: a store's listing sorted into backups with their parts, and events. What fits no name is foreign: it is
 * counted nowhere and never touched.
 *
 * @module
 */
import { type Listed, note, packParts } from "./catalog_parts.ts";
import { parseName } from "./name.ts";
import type { Shelf, Store, StoreItem } from "./stage.ts";

/** The commit marker's suffix: a backup without it is not one. */
export const RECEIPT = ".receipt.json";
/** The first thing a run writes, the last it removes. */
export const INTENT = ".intent";
/** The entry list with offsets, sealed like the archive. */
export const INDEX = ".index";

const PART =
  /^(?:\.intent|\.index|\.receipt\.json(?:\.[a-z0-9]{1,8})?|\.(?:sha256|sha512|minisig|sig|asc))?$/;
const SIGNATURE = /\.(?:minisig|sig|asc)$/;
const EVENT = /^\.(prune|verify|drill|rotate)\.json$/;

/**
 * How complete a backup is. "complete": archive and receipt. "incomplete": an intent and no receipt: a run under way, or one that died.
 * "orphan": an archive with neither, which no run of ours leaves behind. "damaged": a receipt whose archive is gone.
 * "leftover": other parts alone, from an interrupted deletion.
 */
export type ShelfState = "complete" | "incomplete" | "orphan" | "damaged" | "leftover";

/** One backup on a shelf. */
export interface Shelved {
  /** The archive's file name. */
  readonly id: string;
  /** From its name. */
  readonly time: Date;
  /** Its objects by suffix: "" is the archive itself. */
  readonly parts: ReadonlyMap<string, StoreItem>;
  /** How complete it is. */
  readonly state: ShelfState;
}

/** One event receipt on a shelf. */
export interface ShelvedEvent {
  /** The object's key. */
  readonly key: string;
  /** "prune", "verify", "drill", "rotate". */
  readonly event: string;
  /** From its name. */
  readonly time: Date;
  /** Keys of its signatures. */
  readonly signatures: readonly string[];
}

/** Everything of one name in one store. */
export interface Catalog {
  /** Oldest first. */
  readonly backups: readonly Shelved[];
  /** Oldest first. */
  readonly events: readonly ShelvedEvent[];
}

/** Lists a shelf in one store. Throws when the store cannot be listed completely. */
export async function readCatalog(store: Store, shelf: Shelf): Promise<Catalog> {
  const backups = new Map<string, Shelved>();
  const events: Omit<ShelvedEvent, "signatures">[] = [];
  const signatures = new Map<string, string[]>();
  let last: { readonly id: string; readonly listed: Listed } | undefined;
  const close = (): void => {
    if (!last) return;
    const { id, listed } = last;
    const parts = packParts(id, listed);
    backups.set(id, { id, time: listed.time, parts, state: stateOf(parts) });
  };
  for await (const item of store.list(shelf.naming.prefix(shelf.name))) {
    const { key } = item;
    // Most objects lie right behind their archive.
    if (last && key.startsWith(last.id) && PART.test(key.slice(last.id.length))) {
      note(last.listed, key.slice(last.id.length), item);
      continue;
    }
    const event = parseEvent(key, shelf.name);
    if (event) {
      events.push(event);
      continue;
    }
    const signed = key.replace(SIGNATURE, "");
    if (parseEvent(signed, shelf.name)) {
      signatures.set(signed, [...signatures.get(signed) ?? [], key]);
      continue;
    }
    const part = parsePart(key, shelf);
    if (!part) continue;
    if (part.id !== last?.id) {
      close();
      last = { id: part.id, listed: listedAgain(part.time, backups.get(part.id)) };
    }
    note(last.listed, part.suffix, item);
  }
  close();
  const sorted = [...backups.values()];
  sorted.sort((a, b) => a.time.getTime() - b.time.getTime() || (a.id < b.id ? -1 : 1));
  events.sort((a, b) => a.time.getTime() - b.time.getTime() || (a.key < b.key ? -1 : 1));
  return { backups: sorted, events: events.map((e) => ({ ...e, signatures: signatures.get(e.key) ?? [] })) };
}

/** A backup's objects so far: other names may lie between them. */
function listedAgain(time: Date, before: Shelved | undefined): Listed {
  const listed: Listed = { time, suffixes: [], bytes: [], modified: [] };
  for (const [suffix, item] of before?.parts ?? []) note(listed, suffix, item);
  return listed;
}

/** The newest complete backup, or undefined. */
export function newestComplete(catalog: Catalog): Shelved | undefined {
  return catalog.backups.findLast((backup) => backup.state === "complete");
}

function parseEvent(key: string, name: string): Omit<ShelvedEvent, "signatures"> | undefined {
  if (!key.endsWith(".json")) return undefined;
  const parsed = parseName(key);
  if (!parsed || parsed.name !== name) return undefined;
  const match = EVENT.exec(parsed.suffix);
  return match ? { key, event: match[1]!, time: parsed.time } : undefined;
}

/** Splits a key into a backup's file name and a part's suffix: the longest file name that is one wins. */
function parsePart(key: string, shelf: Shelf): { id: string; time: Date; suffix: string } | undefined {
  for (let end = key.length, dots = 0; end > 0 && dots < 4; end = key.lastIndexOf(".", end - 1), dots++) {
    const parsed = shelf.naming.parse(key.slice(0, end));
    if (!parsed) continue;
    const suffix = key.slice(end);
    return parsed.name === shelf.name && PART.test(suffix)
      ? { id: key.slice(0, end), time: parsed.time, suffix }
      : undefined;
  }
  return undefined;
}

function stateOf(parts: ReadonlyMap<string, StoreItem>): ShelfState {
  const archive = parts.has("");
  if (parts.has(RECEIPT)) return archive ? "complete" : "damaged";
  if (parts.has(INTENT)) return "incomplete";
  return archive ? "orphan" : "leftover";
}
