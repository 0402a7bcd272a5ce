/**
 * The globs of a plan, compiled (picomatch).
 *
 * @module
 */
import picomatch from "picomatch";
import { bare, type Matcher } from "./leave.ts";

/**
 * Compiles globs that have been checked (dot files match). A glob without a slash matches a name at any depth, as in a .gitignore; one with a
 * slash matches the whole path below the root, and a leading slash only anchors it. A trailing slash matches folders only; in
 * `exclude`, a trailing `/**` leaves the folder itself, empty, as in a .gitignore.
 */
export function globs(list: readonly string[], option: "include" | "exclude"): Matcher | undefined {
  if (list.length === 0) return undefined;
  const tests = list.map((glob) => compile(glob, option));
  return (path, directory) => {
    const name = path.slice(path.lastIndexOf("/") + 1);
    return tests.some((test) => test(path, name, directory));
  };
}

function compile(
  glob: string,
  option: string,
): (path: string, name: string, directory: boolean) => boolean {
  const foldersOnly = glob.endsWith("/");
  const path = bare(glob);
  const anchored = path.includes("/") || /^\.?\//.test(glob);
  const inside = option === "exclude" ? path.replace(/\/\*\*$/, "/**/*") : path;
  // Flag "s": a name may hold a newline.
  const match = picomatch(inside, { dot: true, flags: "s" });
  return (whole, name, directory) => (directory || !foldersOnly) && match(anchored ? whole : name);
}
