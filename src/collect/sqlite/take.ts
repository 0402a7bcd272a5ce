/**
 * Snapshots from the main thread's side.
 *
 * @module
 */
import type { Context } from "../../stage.ts";
import type { Root } from "../extract.ts";
import type { SqliteLooks } from "../sqlite.ts";
import type { CopyFile } from "./copies.ts";
import { perform } from "./hand.ts";
import type { Snapshot } from "./job.ts";
import type { SqliteSettings } from "./options.ts";

/** Copies all databases on a thread of its own. */
export async function take(
  roots: readonly Root[],
  copies: readonly CopyFile[],
  { check, timeoutMs, looks }: SqliteSettings & { readonly looks: SqliteLooks },
  context: Context,
): Promise<Snapshot> {
  const sources = roots.map(({ source }, i) => ({ path: source, copy: copies[i]!.path }));
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const progress = (bytes: number): void => context.progress({ phase: "collect", bytes, entries: 0 });
  const look = await looks.forward?.();
  const snapshot = await perform(
    { kind: "snapshot", sources, check, timeoutMs, look, stop },
    context.signal,
    progress,
  );
  for (const [i, { pages, pageSize }] of snapshot!.taken.entries()) {
    if (copies[i]!.size() === pages * pageSize) continue;
    throw new Error(
      `Cannot back up "${roots[i]!.source}": its copy has ${
        copies[i]!.size()
      } bytes, not ${pages} pages of ${pageSize}. ` +
        "Something else removes files from the folder of the copies: set spoolDir to a private one",
    );
  }
  return snapshot!;
}
