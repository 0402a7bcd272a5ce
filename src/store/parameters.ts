/**
 * What follows the "?" in a store's URL.
 *
 * @module
 */

/** Sets options from a query, each parameter as its table says. Throws TypeError for one that is not in the table. */
export function readParameters<T>(
  query: string,
  known: Readonly<Record<string, (options: T, value: string) => void>>,
  options: T,
): void {
  for (const [name, value] of new URLSearchParams(query)) {
    const set = Object.hasOwn(known, name) ? known[name] : undefined;
    if (!set) {
      throw new TypeError(
        `the parameter "${name}" is not known. Use one of ${Object.keys(known).join(", ")}`,
      );
    }
    set(options, value);
  }
}

/** "true" or "false". Throws TypeError for anything else. */
export function truth(value: string): boolean {
  if (value === "true" || value === "false") return value === "true";
  throw new TypeError(`"${value}" is neither "true" nor "false"`);
}
