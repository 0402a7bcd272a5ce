/**
 * What a restore did, or would do, entry by entry.
 *
 * @module
 */
import { join } from "node:path";
import type { Entry, IndexEntry, RestoreAction, Want } from "../stage.ts";
import type { Disk } from "./disk.ts";
import { type Place, prober, type Selection, type Spot } from "./select.ts";
import type { Staging } from "./staging.ts";
import type { Plan } from "./swap.ts";

/** Path as reports and messages show it: below the folder the operator named, or in place below the root's stored path. */
export function shownPath(place: Place, path: string): string {
  const rest = place.inner === "" ? path : path.slice(place.inner.length + 1);
  if (place.prefix === "") return rest;
  return rest === "" ? place.prefix : `${place.prefix}/${rest}`;
}

/** Collects what a dry run, or the look at the index before a restore, finds at the targets. */
export interface Preview {
  /** Looks at where a wanted entry would go. */
  readonly look: (entry: Entry | IndexEntry, spot: Spot) => RestoreAction;
  /** What stands in the way, as shown paths: the first five, and how many there are. */
  readonly conflicts: () => { readonly first: readonly string[]; readonly count: number };
}

/** Opens a preview of a selection. */
export function preview(selection: Selection, want: Want, disk: Disk): Preview {
  const probers = selection.places.map(({ target }) => prober(target, disk));
  const first: string[] = [];
  let count = 0;
  let last: string | undefined;
  function look(entry: Entry | IndexEntry, spot: Spot): RestoreAction {
    const { standing, at } = probers[spot.place]!(spot.path, entry.kind === "directory");
    if (standing === "absent") return "create";
    if (standing === "folder") return want.conflict === "overwrite" ? "overwrite" : "skip";
    if (want.conflict === "error") {
      // Everything below one thing in the way is one conflict.
      const name = shownPath(selection.places[spot.place]!, at);
      if (name !== last) {
        count++;
        if (first.length < 5) first.push(name);
      }
      last = name;
    }
    if (at !== spot.path && want.conflict === "overwrite") return "create";
    return want.conflict === "overwrite" ? "overwrite" : "skip";
  }
  return { look, conflicts: () => ({ first, count }) };
}

/** Tells `report` what a finished swap did. */
export function reportPlan(
  plan: Plan,
  staging: Staging,
  place: Place,
  report: NonNullable<Want["report"]>,
  disk: Disk,
): void {
  const top = join(staging.path, "new");
  function tell(path: string, action: RestoreAction): void {
    // Folders above the content were made on the way; nobody asked for them.
    const below = place.inner === "" || path.startsWith(place.inner + "/") ||
      (place.prefix !== "" && path === place.inner);
    const shown = below ? shownPath(place, path) : "";
    if (shown !== "") report(shown, action);
  }
  function walk(root: string, path: string, action: RestoreAction, children: RestoreAction): void {
    tell(path, action);
    const at = path === "" ? root : join(root, path);
    if (!disk.look(at)?.isDirectory()) return;
    for (const name of disk.names(at).sort()) {
      walk(root, path === "" ? name : `${path}/${name}`, children, children);
    }
  }
  const { target } = staging.owner;
  for (const { folder, after } of plan.touches) {
    if (after) tell(folder.slice(target.length + 1), "overwrite");
  }
  for (const { from, old } of plan.moves) {
    if (from === undefined) continue;
    walk(target, from.slice(top.length + 1), old === undefined ? "create" : "overwrite", "create");
  }
  for (const path of plan.skipped) walk(top, path, "skip", "skip");
}
