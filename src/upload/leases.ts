/**
 * The leases of all targets of a run.
 *
 * @module
 */
import { realpathSync } from "node:fs";
import { BusyError, ConfigError } from "../errors.ts";
import type { Context, Shelf, Store } from "../stage.ts";
import { acquireLease, type Lease } from "../store/lease.ts";

/** Takes the lease of every target, always in the same order, so that two runs cannot wait for each other. */
export async function leaseAll(
  context: Context,
  shelf: Shelf,
): Promise<{ leases: ReadonlyMap<Store, Lease>; waited: boolean; refused: Map<Store, Error> }> {
  const leases = new Map<Store, Lease>();
  const refused = new Map<Store, Error>();
  let waited = false;
  const options = { run: context.run, signal: context.signal, log: context.log, ...shelf.lease };
  try {
    for (const store of shelf.stores.toSorted((a, b) => a.url < b.url ? -1 : 1)) {
      try {
        leases.set(store, await acquireLease(store, shelf.name, options));
      } catch (error) {
        if (!(error instanceof BusyError)) {
          refused.set(store, error as Error); // this target fails, the others go on
          continue;
        }
        if (!context.wait) throw error;
        waited = true;
        leases.set(store, await acquireLease(store, shelf.name, { ...options, wait: true }));
      }
    }
    return { leases, waited, refused };
  } catch (error) {
    await releaseAll(leases);
    throw error;
  }
}

/** Lets them go, the last taken first. */
export async function releaseAll(leases: ReadonlyMap<Store, Lease>): Promise<void> {
  for (const lease of [...leases.values()].reverse()) await lease.release();
}

/** Two targets that are one folder would wait for each other's lease. */
export function checkFolders(stores: readonly Store[]): void {
  const seen = new Map<string, string>();
  for (const { folder, url } of stores) {
    let real: string;
    try {
      if (folder === undefined) continue;
      real = realpathSync(folder);
    } catch {
      continue; // not there yet
    }
    const other = seen.get(real);
    if (other !== undefined) throw new ConfigError(`Cannot upload: ${other} and ${url} are the same folder`);
    seen.set(real, url);
  }
}
