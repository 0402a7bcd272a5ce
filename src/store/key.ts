/**
 * What every store agrees on about keys and ranges.
 *
 * @module
 */
import type { ByteRange } from "../stage.ts";

/** Suffix of lease objects and lock files. A listing never shows them. */
export const LEASE_SUFFIX = ".lease";

/** Temporary files of the directory store: `.<start of the key>.tmp-<16 hexadecimal digits>`. */
export const TEMP_NAME: RegExp = /^\..*\.tmp-[0-9a-f]{16}$/;

// Control characters garble listings, a backslash is a separator on Windows, U+FFFD is what Deno shows for a byte that is
// not UTF-8: two names would look the same.
// deno-lint-ignore no-control-regex -- control characters are what it looks for
const UNSAFE = /[\u0000-\u001f\u007f\\\ufffd]/;

/**
 * A key as every store can keep it: `/`-separated parts, none empty, `.` or `..`, at most 255 bytes each and 1,024 in all
 * (the limits of file systems and of S3), no control characters. Throws TypeError otherwise.
 */
export function checkKey(key: string): string {
  const why = wrongWith(key);
  if (why !== undefined) throw new TypeError(`Cannot use ${JSON.stringify(key)} as a key: ${why}`);
  return key;
}

function wrongWith(key: string): string | undefined {
  if (key === "") return "it is empty";
  if (!key.isWellFormed() || UNSAFE.test(key)) {
    return "control characters, backslashes and text that is not Unicode are not allowed";
  }
  if (byteLength(key) > 1024) return "it is longer than 1,024 bytes";
  for (const part of key.split("/")) {
    if (part === "") return 'it begins or ends with "/", or holds "//"';
    if (part === "." || part === "..") return `"${part}" is not allowed as a part`;
    if (byteLength(part) > 255) return "a part is longer than 255 bytes";
    if (TEMP_NAME.test(part)) return "names of this form are kept for temporary files";
  }
  return undefined;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Whether a key is a lease, which listings leave out. */
export function isLease(key: string): boolean {
  return key.endsWith(LEASE_SUFFIX);
}

/** Order of keys: by their bytes in UTF-8, as S3 lists them. JavaScript's own order differs above U+FFFF. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const high = isSurrogate(x);
    return high === isSurrogate(y) ? x - y : high ? 1 : -1;
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}

/** A range in whole bytes with `start <= end`; throws RangeError otherwise. */
export function checkRange(range: ByteRange): void {
  const { start, end } = range;
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
    throw new RangeError(
      `Cannot read bytes ${start} to ${end}: a range is two whole numbers, 0 <= start <= end`,
    );
  }
}

/** The range, or all of an object of `size` bytes. Throws RangeError for a range that ends behind the object. */
export function resolveRange(key: string, size: number, range: ByteRange | undefined): ByteRange {
  if (range && range.end > size) {
    throw new RangeError(
      `Cannot read bytes ${range.start} to ${range.end} of "${key}": it has ${size} bytes`,
    );
  }
  return range ?? { start: 0, end: size };
}
