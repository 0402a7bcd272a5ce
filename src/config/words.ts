/**
 * Words for messages: what a value is, and what a misspelt word may have meant.
 *
 * @module
 */

/** What a value read from a file is, for people: "a number", "a list". */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Date) return "a date";
  if (typeof value === "object") return "a table";
  return { string: "a string", number: "a number", boolean: "true or false", bigint: "a number" }[
    typeof value as string
  ] ?? typeof value;
}

/** ` Did you mean "x"?` for the known word nearest to `word`, when one is near; otherwise the words that are known. */
export function suggest(word: string, known: readonly string[]): string {
  let best: string | undefined;
  let least = Math.max(2, Math.ceil(word.length / 3)) + 1;
  for (const candidate of known) {
    const away = distance(word.toLowerCase(), candidate.toLowerCase());
    if (away < least) {
      least = away;
      best = candidate;
    }
  }
  if (best !== undefined && least < best.length) return `Did you mean "${best}"?`;
  return known.length === 0 ? "None is known here" : `Known here: ${known.join(", ")}`;
}

/** Levenshtein's distance with neighbours swapped counted as one. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, before[j - 2]! + 1);
      }
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}
