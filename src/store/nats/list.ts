/**
 * Listing a bucket: the stream's leader names every subject, and each description is then read.
 *
 * @module
 */
import { StoreError } from "../../errors.ts";
import { integerAt, objectAt } from "../../nats/exact.ts";
import type { StoreItem } from "../../stage.ts";
import { checkKey, compareKeys, isLease } from "../key.ts";
import { isUnmade } from "./explain.ts";
import { lookUp, type Meta, nameIn } from "./meta.ts";
import { pause, type Session } from "./session.ts";

/** How many descriptions are asked for at once. */
const AT_ONCE = 32;

/** How often the pages of a listing may disagree before it is given up. */
const MOST_TRIES = 8;

/** The item that a description makes. */
export function itemOf(key: string, { bytes, modified }: Meta): StoreItem {
  return { key, bytes, modified };
}

/** Every object whose key starts with `prefix`, in order. */
export async function* list(session: Session, prefix: string): AsyncGenerator<StoreItem, void, undefined> {
  const release = session.hold();
  const waiting: Promise<StoreItem | undefined>[] = [];
  try {
    const keys = await keysOf(session, prefix);
    for (let at = 0; at < keys.length; at++) {
      while (waiting.length < AT_ONCE && at + waiting.length < keys.length) {
        const asked = look(session, keys[at + waiting.length]!);
        asked.catch(() => {}); // awaited in its turn
        waiting.push(asked);
      }
      const item = await waiting.shift();
      if (item) yield item; // else: deleted meanwhile
    }
  } finally {
    await Promise.allSettled(waiting); // who stops early leaves nothing under way
    release();
  }
}

async function look(session: Session, key: string): Promise<StoreItem | undefined> {
  const meta = await lookUp(session, key, "Cannot list");
  return meta?.kind === "object" ? itemOf(key, meta) : undefined;
}

async function keysOf(session: Session, start: string): Promise<string[]> {
  const { prefix } = session.settings;
  const keys: string[] = [];
  for (const subject of await subjectsOf(session, "M", "Cannot list")) {
    const name = nameIn(subject);
    if (!name?.startsWith(prefix + start)) continue;
    const key = name.slice(prefix.length);
    if (isKey(key) && !isLease(key)) keys.push(key);
  }
  return keys.sort(compareKeys);
}

/** What no put can have made is not listed. */
function isKey(key: string): boolean {
  try {
    return checkKey(key) === key;
  } catch {
    return false;
  }
}

/** Every subject of descriptions ("M") or chunks ("C"). Pages that disagree are asked for anew: a listing is complete or throws. */
export async function subjectsOf(session: Session, kind: "M" | "C", action: string): Promise<string[]> {
  const { url } = session.settings;
  for (let attempt = 1; attempt <= MOST_TRIES; attempt++) {
    const subjects = await pagesOf(session, kind, action);
    if (subjects) return subjects;
    await pause(attempt, undefined);
  }
  throw new StoreError(`${action} in ${url}: it keeps changing while it is listed`, { retryable: true });
}

/** All pages, or undefined when the bucket changed between two of them. */
async function pagesOf(session: Session, kind: "M" | "C", action: string): Promise<string[] | undefined> {
  const { bucket, stream } = session.settings;
  const all = new Set<string>();
  let first: number | undefined;
  for (;;) {
    const body = JSON.stringify({ subjects_filter: `$O.${bucket}.${kind}.>`, offset: all.size });
    const answer = await session.call(action, async (link) => {
      try {
        return await link.api(`STREAM.INFO.${stream}`, body);
      } catch (error) {
        if (isUnmade(error, session.settings)) return {};
        throw error;
      }
    });
    const subjects = Object.keys(objectAt(objectAt(answer, "state"), "subjects"));
    const total = Number(integerAt(answer, "total"));
    first ??= total;
    if (first !== total) return undefined;
    const before = all.size;
    for (const subject of subjects) all.add(subject);
    if (all.size >= total) return [...all];
    if (all.size === before) return undefined;
  }
}
