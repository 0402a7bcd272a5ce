/**
 * The old streams of a restore: kept before anything of them goes, and put back when the restore fails.
 *
 * @module
 */
import { messageOf } from "../../errors.ts";
import type { Context } from "../../stage.ts";
import type { Link } from "../../nats/link.ts";
import type { Stored } from "./gather.ts";
import { sendSnapshot } from "./replay.ts";
import { type Snapshot, takeSnapshot } from "./snapshot.ts";
import type { Undo } from "./undo.ts";

/** Takes a snapshot of a stream that is about to go; with `undo` it is on the disk as well. */
export async function keep(
  link: Link,
  name: string,
  { signal }: Context,
  spoolDir: string | undefined,
  undo: Undo | undefined,
): Promise<Stored> {
  let old: Snapshot | undefined;
  try {
    old = await takeSnapshot(link, name, { signal, consumers: true, idleMs: 15_000, spoolDir });
    const stored = { ...old, format: "snapshot" } as const;
    await undo?.add(stored);
    return stored;
  } catch (cause) {
    old?.content.close();
    throw new Error(`Cannot overwrite "${name}": the old stream cannot be kept: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** Removes what is new, restores what was old, and gives the error to throw. */
export async function putBack(
  link: Link,
  done: readonly { readonly name: string; readonly old: Stored | undefined }[],
  error: unknown,
  undo: Undo | undefined,
): Promise<{ readonly error: unknown; readonly whole: boolean }> {
  const problems: unknown[] = [];
  for (const { name, old } of done.toReversed()) {
    try {
      await link.api(`STREAM.DELETE.${name}`, "", 60_000).catch(() => {});
      if (old) await sendSnapshot(link, old, new AbortController().signal);
    } catch (cause) {
      problems.push(new Error(`"${name}": ${messageOf(cause)}`, { cause }));
    }
  }
  if (problems.length === 0) return { error, whole: true };
  const next = undo
    ? `The old streams lie in "${undo.folder}": the next restore into this server puts back what it lacks`
    : "Restore these streams from a backup";
  const told = new AggregateError(
    [error, ...problems],
    `Cannot restore (${messageOf(error)}), and taking it back failed for ${
      problems.map(messageOf).join("; ")
    }. ${next}`,
  );
  return { error: told, whole: false };
}
