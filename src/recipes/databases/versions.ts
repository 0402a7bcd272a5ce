/**
 * Versions of a server, as a receipt records them and a restore compares them.
 *
 * @module
 */

/** The version in what a program says of itself, or all it says. */
export function versionIn(text: string): string {
  return /\d+(?:\.\d+)+/.exec(text)?.[0] ?? text;
}

/** By the first two numbers: patches of one version read each other's data. */
export function isOlder(one: string, other: string): boolean {
  const [a = 0, b = 0] = one.split(".").map((part) => Number.parseInt(part, 10));
  const [c = 0, d = 0] = other.split(".").map((part) => Number.parseInt(part, 10));
  return a < c || (a === c && b < d);
}

/** Says that a restore is refused for the version's sake, and how to have it nevertheless. */
export function tooOld(failed: string, what: string, is: string | number, was: string | number): Error {
  return new Error(
    `${failed}: ${what} is version ${is}, the backup is from version ${was}, and an older one may not ` +
      "understand it. Nothing was touched. Restore into the same or a newer version, or set anyVersion = true to try it",
  );
}
