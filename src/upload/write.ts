/**
 * Writes one backup into its targets, in the order that makes it visible last: intent, archive, sidecars, index, RESTORE.txt,
 * signatures of the receipt, the receipt; then the intent goes.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { baseDigest } from "../base.ts";
import { readAll, utf8, watch } from "../bytes.ts";
import { INDEX, INTENT } from "../catalog.ts";
import { messageOf, StoreError } from "../errors.ts";
import type { Bytes, FactSheet, U8 } from "../stage.ts";
import { commit, create, type Job, makeReceipt, type StoredObject, type Target } from "./commit.ts";
import { restoreText } from "./restore_text.ts";
import { tee } from "./tee.ts";

/** Writes the backup; a target that fails is cleaned up and carries its error, the others go on. */
export async function writeBackup(job: Job): Promise<void> {
  const { id, sealed, signatures, targets, context } = job;
  try {
    const intent = { run: context.run, host: hostname(), pid: Deno.pid, started: context.now.toISOString() };
    await putAll(job, id + INTENT, utf8(JSON.stringify(intent) + "\n"));
    const archive = await putStream(job, "", sealed.body.read(), (chunk) => {
      for (const { signature } of signatures) signature?.add(chunk);
    });
    const facts = sealed.facts();
    const objects = [archive, ...await putBeside(job, archive, facts)];
    sayOtherKeys(job, facts);
    const completedAt = new Date().toISOString();
    for (const target of targets) {
      await attempt(
        target,
        async () => {
          const based = await onBase(job, target, facts);
          await commit(job, target, (parents) => makeReceipt(job, objects, based, completedAt, parents));
        },
      );
    }
    for (const target of targets) {
      if (!target.error) await dropIntent(job, target);
    }
  } catch (error) {
    for (const target of targets) target.error ??= error as Error;
  } finally {
    for (const target of targets) if (target.error) await cleanUp(target);
  }
}

/** The backup is there: that the mark of a run under way stays takes nothing from it. A store that denies deleting is a choice. */
async function dropIntent({ id, context }: Job, { store }: Target): Promise<void> {
  try {
    await store.delete(id + INTENT);
  } catch (error) {
    context.log.warn(
      "intent",
      `"${id}" in ${store.url} is whole, but a mark of its run stays: ${messageOf(error)}`,
    );
  }
}

/** The facts with the base as this target's receipt names it. */
async function onBase({ id, shelf }: Job, { store }: Target, facts: FactSheet): Promise<FactSheet> {
  if (facts.base === undefined || !facts.contents) return facts;
  return { ...facts, contents: { ...facts.contents, base: await baseDigest(store, shelf, facts.base, id) } };
}

/** Writes sidecars, index and RESTORE.txt, together: what takes time is waiting for the disk. Gives the index. */
async function putBeside(
  job: Job,
  archive: StoredObject,
  facts: FactSheet,
): Promise<readonly StoredObject[]> {
  const { id, sealed, signatures } = job;
  const sidecars = signatures.map(async ({ signer, signature }) => {
    const bytes = signature ? await signature.end() : signer.fromDigest!(id, archive.sha256);
    await putAll(job, id + signer.suffix, bytes);
  });
  const index = sealed.index && putStream(job, INDEX, sealed.index.read());
  // All have come to an end before anything is cleaned up.
  for (const end of await Promise.allSettled([index, ...sidecars, putRestoreText(job, facts)])) {
    if (end.status === "rejected") throw end.reason;
  }
  return index ? [await index] : [];
}

/** Writes the same bytes to every target that still stands. */
async function putAll(job: Job, key: string, bytes: U8): Promise<void> {
  await Promise.all(job.targets.map((target) =>
    attempt(target, async () => {
      await create(target, key, bytes, job.context.signal);
    })
  ));
}

/** Streams one object to every target that still stands, digesting on the way. */
async function putStream(
  job: Job,
  suffix: string,
  bytes: Bytes,
  see?: (chunk: U8) => void,
): Promise<StoredObject> {
  const { context } = job;
  const hash = createHash("sha256");
  let size = 0;
  const seen = watch(bytes, (chunk) => {
    context.signal.throwIfAborted();
    hash.update(chunk);
    see?.(chunk);
    size += chunk.length;
    if (suffix === "") context.progress({ phase: "upload", bytes: size });
  });
  const live = job.targets.filter((target) => !target.error);
  if (live.length === 0) {
    await seen.cancel();
    return { suffix, bytes: 0, sha256: "" };
  }
  const key = job.id + suffix;
  const streams = tee(seen, live.length);
  await Promise.all(live.map((target, i) =>
    attempt(target, async () => {
      await create(target, key, streams[i]!, context.signal);
      const item = await target.store.head(key);
      if (item?.bytes !== size) {
        throw new StoreError(
          `Cannot store "${key}" in ${target.store.url}: it holds ${item?.bytes ?? 0} of ${size} bytes`,
        );
      }
    }, streams[i])
  ));
  return { suffix, bytes: size, sha256: hash.digest("hex") };
}

/** Runs a step for a target; its failure is the target's alone. */
async function attempt(target: Target, step: () => Promise<void>, stream?: Bytes): Promise<void> {
  if (target.error) return;
  try {
    await step();
  } catch (error) {
    target.error = error as Error;
    await stream?.cancel(error).catch(() => {}); // already cancelled, or locked by the store that failed
  }
}

/** A backup that none of the keys before can read is right after a rotation, and a lost key's first sign otherwise. */
function sayOtherKeys({ targets, context }: Job, facts: FactSheet): void {
  const mine = facts.recipients ?? [];
  const before = targets.find((target) => target.before)?.before?.recipients ?? [];
  if (mine.length === 0 || before.length === 0 || before.some((recipient) => mine.includes(recipient))) {
    return;
  }
  context.log.warn(
    "recipients",
    `None of the keys that read the backup before can read this one: it went to ${
      before.join(", ")
    }, this one goes to ` +
      `${mine.join(", ")}. If you did not change keys, find the old one now`,
  );
}

/** Writes `<name>.RESTORE.txt` where it is missing or says something else. */
async function putRestoreText(job: Job, facts: FactSheet): Promise<void> {
  const key = `${job.shelf.name}.RESTORE.txt`;
  await Promise.all(job.targets.map((target) =>
    attempt(target, async () => {
      const item = await target.store.head(key);
      const present = item && item.bytes <= TEXT_LIMIT
        ? new TextDecoder().decode(await readAll(await target.store.get(key), TEXT_LIMIT, key))
        : undefined;
      const wanted = restoreText(job.shelf.name, job.sealed.suffix, facts, present);
      if (present !== wanted) await target.store.put(key, utf8(wanted));
    })
  ));
}

const TEXT_LIMIT = 1 << 20;

/** Removes what this run has created, the newest first and the intent last, so that a failed clean-up is swept later. */
async function cleanUp(target: Target): Promise<void> {
  if (target.receipt) return; // visible and whole: only the removal of the intent failed
  for (const key of target.written.toReversed()) {
    try {
      await target.store.delete(key);
    } catch {
      return; // the intent stays, and a later run sweeps
    }
  }
}
