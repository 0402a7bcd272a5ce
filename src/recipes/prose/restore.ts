/**
 * Restoring a pod: from a backup of ours, or of Prose 0.5, by its whole file name.
 *
 * @module
 */
import { NotFoundError } from "../../errors.ts";
import type { RunOptions } from "../../context.ts";
import { restore } from "../../restore.ts";
import type { Limits, RestoreAction } from "../../stage.ts";
import { parseOldName, restoreOld } from "./old.ts";
import { proseNaming } from "./names.ts";
import { prosePlan, type ProsePlanOptions } from "./plan.ts";

/** What to restore, and how. */
export interface ProseRestoreOptions extends RunOptions {
  /** The whole file name, of ours or of Prose 0.5; or "latest", of ours. Default: "latest". */
  readonly id?: string | undefined;
  /** A folder to write everything into instead; nothing is stopped or replaced then. */
  readonly into?: string | undefined;
  /** Report only. */
  readonly dryRun?: boolean | undefined;
  /** Limits that deviate: of what the receipt says, or where there is none, of the defaults. */
  readonly limits?: Partial<Limits> | undefined;
  /** Told about each entry. */
  readonly report?: ((path: string, action: RestoreAction) => void) | undefined;
}

/**
 * Puts a pod back as a whole, all or none: the four parts are replaced, and the Pod API gets its data while the old data is still there.
 * Verified first, with the plan's own policy; until then Prosody runs. Gives the backup's name. Throws NotFoundError for a name that is
 * not there, IntegrityError for what is not what it was: everything is as before then.
 */
export async function proseRestore(
  options: ProsePlanOptions,
  run: ProseRestoreOptions = {},
): Promise<string> {
  const { id = "latest", into } = run;
  if (!parseOldName(id)) {
    checkId(id);
    const target = into === undefined ? { inPlace: true, conflict: "overwrite" } as const : { into };
    return (await restore(prosePlan(options), { ...run, id, ...target })).id;
  }
  const stores = Array.isArray(options.to) ? options.to : [options.to];
  for (const store of stores) {
    if (!await store.head(id)) continue;
    await restoreOld(options, { store, checks: options.oldChecks ?? store }, id, run);
    return id;
  }
  throw new NotFoundError(`Cannot find "${id}" in ${stores.map(({ url }) => url).join(", ")}`);
}

/** Throws {@linkcode NotFoundError} for what cannot be a backup's name: no store is asked about it. */
export function checkId(id: string): void {
  if (id === "latest" || proseNaming.parse(id) || parseOldName(id)) return;
  const shown = JSON.stringify(id.length > 100 ? `${id.slice(0, 100)}...` : id);
  throw new NotFoundError(
    `Cannot find ${shown}: it is no name of a backup. Names are whole, such as prose_2025-12-02T10:46:50Z.tar.zst.gpg`,
  );
}
