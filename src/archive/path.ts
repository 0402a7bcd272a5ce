/**
 * Paths of entries: what is allowed, how they are ordered, how they are shown.
 *
 * @module
 */
import { shownRaw } from "../raw_name.ts";
export { comparePaths } from "../order.ts";

const SLASH = 0x2f;

/** An empty, "." or ".." part, which an absolute path and a trailing slash make too. */
const ODD_PART = /(?:^|\/)\.{0,2}(?:\/|$)/;

/** Why a path cannot be stored, or undefined when it can. */
export function pathFault(path: string): string | undefined {
  if (path.includes("\0")) return "it holds a NUL";
  if (!path.isWellFormed()) return "it is not valid Unicode";
  if (!ODD_PART.test(path)) return undefined;
  if (path === "") return "it is empty";
  if (path.charCodeAt(0) === SLASH) return "it is absolute";
  return 'it has an empty, "." or ".." part';
}

/** A path between quotes, safe for a terminal and cut to a sensible length. */
export function quote(path: string): string {
  const shown = path.length > 200 ? `${path.slice(0, 200).toWellFormed()}...` : path;
  return shownRaw(JSON.stringify(shown)).replaceAll(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"),
  );
}
