/**
 * The order of paths, in archives, in their indexes and in what a host remembers of them.
 *
 * @module
 */

/**
 * Path order: part by part, bytewise by UTF-8, as if "/" sorted before every other byte. A folder comes directly before what
 * is in it. Negative: `a` first; 0: equal; positive: `b` first.
 */
export function comparePaths(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

const SLASH = 0x2f;

/** UTF-16 sorts surrogates (U+10000 and up) before U+E000 to U+FFFF; UTF-8 sorts them after. */
function rank(unit: number): number {
  if (unit === SLASH) return -1;
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
