/**
 * What is taken out of a bucket: objects, and the chunks of writes that died.
 *
 * @module
 */
import { direct } from "./direct.ts";
import { chunkSubject, lookUp, metaSubject, nameIn } from "./meta.ts";
import { subjectsOf } from "./list.ts";
import type { Session } from "./session.ts";
import { checkKey } from "../key.ts";
import { markOf } from "./write.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** The chunks' name that a write gives: its time, its key's mark. */
const OWN = /^HF([0-9a-z]{9})([0-9a-f]{16})[0-9a-f]{12}$/;

/** Removes every message of a subject; with `below`, only those before that sequence. */
export async function purge(session: Session, subject: string, below?: number): Promise<void> {
  const body = JSON.stringify({ filter: subject, ...(below === undefined ? {} : { seq: below }) });
  await session.call(
    "Cannot remove",
    (link) => link.api(`STREAM.PURGE.${session.settings.stream}`, body),
  );
}

/** Deletes an object: the description that was seen, and no newer one; then its chunks. */
export async function remove(session: Session, key: string): Promise<void> {
  const action = `Cannot delete "${checkKey(key)}"`;
  const release = session.hold();
  try {
    const there = await lookUp(session, key, action);
    if (there?.kind !== "object") return;
    await purge(session, metaSubject(session, key), there.seq + 1);
    if (there.chunks > 0) await purge(session, chunkSubject(session, there.nuid));
  } finally {
    release();
  }
}

/** Removes chunks of our own that no description names and to which nothing was added for a day. Best effort. */
export async function sweep(session: Session): Promise<void> {
  const { bucket, prefix } = session.settings;
  try {
    const old = new Map<string, string[]>();
    for (const subject of await subjectsOf(session, "C", "Cannot sweep")) {
      const nuid = subject.slice(subject.lastIndexOf(".") + 1);
      const [, time, mark] = OWN.exec(nuid) ?? [];
      if (!time || !mark || Date.now() - parseInt(time, 36) < DAY_MS) continue;
      old.set(mark, [...old.get(mark) ?? [], nuid]);
    }
    if (old.size === 0) return;
    const names = new Map<string, string>();
    for (const subject of await subjectsOf(session, "M", "Cannot sweep")) {
      const name = nameIn(subject);
      if (name !== undefined) names.set(markOf(name), name);
    }
    for (const [mark, nuids] of old) {
      const name = names.get(mark);
      if (name !== undefined && nuids.length === 1) continue; // its own chunks
      if (name !== undefined && !name.startsWith(prefix)) continue;
      const now = name === undefined
        ? undefined
        : await lookUp(session, name.slice(prefix.length), "Cannot sweep");
      for (const nuid of nuids) {
        if (nuid !== now?.nuid) await removeIfIdle(session, `$O.${bucket}.C.${nuid}`);
      }
    }
  } catch {
    // What matters about the bucket the write itself will say.
  }
}

async function removeIfIdle(session: Session, subject: string): Promise<void> {
  const last = await session.call("Cannot sweep", (link) => direct(session, link, { last_by_subj: subject }));
  if (last && Date.now() - last.time.getTime() > DAY_MS) await purge(session, subject);
}
