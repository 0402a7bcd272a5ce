/**
 * Names that node:fs cannot make: a thing stands under another one until all is in its folder.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { IntegrityError } from "../errors.ts";
import { bytesOf, isRaw, nameOf } from "../raw_name.ts";
import type { Disk } from "./disk.ts";
import { quote } from "./select.ts";

/** The other names in one tree. */
export interface Aliases {
  /** Where a path with such a name in it stands. Throws {@linkcode IntegrityError} for a text that is no name's. */
  readonly at: (path: string) => string;
  /** Gives what is in a folder its names; that folder's own, and those above, come later. */
  readonly name: (folder: string, disk: Disk) => void;
}

/** Aliases in a tree at `root`. */
export function aliasesIn(root: string): Aliases {
  // Nobody who made the archive can know it.
  const start = `.raw-${randomBytes(8).toString("hex")}-`;
  const known = new Map<string, string>();
  const inside = new Map<string, string[]>();

  function aliasOf(folder: string, name: string, path: string): string {
    const found = known.get(path);
    if (found !== undefined) return found;
    // One name in two texts would be two files in one place.
    if (nameOf(bytesOf(name)) !== name) {
      throw new IntegrityError(
        `Cannot restore ${
          quote(path)
        }: its name is not in canonical form. The archive is damaged or hostile; take another copy`,
      );
    }
    const alias = start + known.size;
    known.set(path, alias);
    const names = inside.get(folder);
    if (names) names.push(name);
    else inside.set(folder, [name]);
    return alias;
  }

  function at(path: string): string {
    let place = root;
    let folder = "";
    for (const name of path.split("/")) {
      const below = folder === "" ? name : `${folder}/${name}`;
      place += `/${isRaw(name) ? aliasOf(folder, name, below) : name}`;
      folder = below;
    }
    return place;
  }

  return {
    at,
    name: (folder, disk) => {
      const here = folder === "" ? root : at(folder);
      for (const name of inside.get(folder) ?? []) {
        const alias = known.get(folder === "" ? name : `${folder}/${name}`)!;
        // Nothing is there of a name that was only asked for, such as that of a link.
        if (disk.look(`${here}/${alias}`)) disk.rename(`${here}/${alias}`, `${here}/${name}`);
      }
    },
  };
}
