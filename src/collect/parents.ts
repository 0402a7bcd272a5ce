/**
 * Folders above roots that go back in place, where several need the same one.
 *
 * @module
 */
import * as fs from "node:fs";
import { dirname } from "node:path";

/**
 * Makes the folders above targets that share a missing one: each target is swapped in by itself, and only one of them could bring it
 * along. Gives what takes those that are still empty away again.
 */
export function makeShared(targets: readonly string[]): () => void {
  const tops = targets.map(topMissing);
  const made: string[] = [];
  for (const [i, target] of targets.entries()) {
    const top = tops[i];
    if (top === undefined || top === target || tops.filter((other) => other === top).length < 2) continue;
    const missing: string[] = [];
    for (let at = dirname(target); !exists(at); at = dirname(at)) missing.push(at);
    for (const folder of missing.toReversed()) {
      fs.mkdirSync(folder);
      made.push(folder);
    }
  }
  return () => {
    for (const folder of made.toReversed()) {
      try {
        fs.rmdirSync(folder);
      } catch {
        // Something lies in it by now.
      }
    }
  };
}

/** The uppermost part of a path that is not there. */
function topMissing(path: string): string | undefined {
  let top: string | undefined;
  for (let at = path; !exists(at); at = dirname(at)) top = at;
  return top;
}

function exists(path: string): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
