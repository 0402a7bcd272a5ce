/**
 * Names that are not UTF-8, as text: lossless, one to one, and valid Unicode, so that JSON, globs and sorting take them as any other name.
 *
 * A byte that is no part of a UTF-8 character stands as one code point, U+10FF00 plus the byte: U+10FF80 to U+10FFFF, the end of the last
 * private plane. A name that truly holds one of these code points is taken byte by byte too. (Python's `surrogateescape`, PEP 383, does
 * the same with code points that are no valid Unicode.)
 *
 * @module
 */
import { utf8 } from "./bytes.ts";
import type { U8 } from "./stage.ts";

/** Stands for byte 0. */
const FIRST = 0x10ff00;
// The same range in surrogates: such an expression is the quicker one.
const RAW = /\udbff[\udf80-\udfff]/;
const RAW_ALL = /\udbff[\udf80-\udfff]/g;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Whether a text stands for bytes that are not UTF-8. */
export function isRaw(text: string): boolean {
  return RAW.test(text);
}

/** The text of a name's bytes: what they say where they are UTF-8. */
export function nameOf(bytes: Uint8Array): string {
  try {
    const text = decoder.decode(bytes);
    if (!RAW.test(text)) return text;
  } catch {
    // taken apart below
  }
  let out = "";
  for (let at = 0; at < bytes.length;) {
    const text = characterAt(bytes, at);
    out += text ?? String.fromCodePoint(FIRST + bytes[at]!);
    at += text === undefined ? 1 : utf8(text).length;
  }
  return out;
}

/** The bytes of a name. */
export function bytesOf(text: string): U8 {
  if (!RAW.test(text)) return utf8(text);
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code >= FIRST + 0x80) bytes.push(code - FIRST);
    else bytes.push(...utf8(character));
  }
  return Uint8Array.from(bytes);
}

/** The same for people: `caf\xE9`. */
export function shownRaw(text: string): string {
  return text.replaceAll(
    RAW_ALL,
    (one) => `\\x${(one.codePointAt(0)! - FIRST).toString(16).toUpperCase()}`,
  );
}

/** What people write for such a name, `caf\xE9`, as the name. */
export function rawOf(shown: string): string {
  return shown.replaceAll(
    /\\x([89a-fA-F][0-9a-fA-F])/g,
    (_, hex) => String.fromCodePoint(FIRST + parseInt(hex, 16)),
  );
}

/** The character whose UTF-8 begins at `at`; undefined where none does, or one that stands for a byte itself. */
function characterAt(bytes: Uint8Array, at: number): string | undefined {
  const first = bytes[at]!;
  const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  try {
    const text = decoder.decode(bytes.subarray(at, at + length));
    return [...text].length === 1 && !RAW.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}
