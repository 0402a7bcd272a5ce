/**
 * PAX extended headers: `LENGTH KEY=VALUE\n` records, and their decimal times (POSIX.1-2017 `pax`, "pax Extended Header").
 *
 * @module
 */
import { concat, utf8 } from "../bytes.ts";
import { IntegrityError } from "../errors.ts";
import { bytesOf, nameOf } from "../raw_name.ts";
import type { U8 } from "../stage.ts";

/** The longest extended header or GNU long name that is read or written: 1 MiB. */
export const EXTRA_LIMIT: number = 1024 * 1024;

/** Values as bytes: names need not be UTF-8. */
export type PaxRecords = Map<string, Uint8Array>;

/** The content of an extended header. */
export function encodePax(records: readonly (readonly [string, string | Uint8Array])[]): U8 {
  if (!records.every(isText)) return encodeRecords(records);
  return utf8(
    records.map(([key, value]) => {
      const rest = ` ${key}=${value}\n`;
      const bytes = utf8(rest).length;
      // The length counts its own digits.
      let length = bytes + 1;
      while (String(length).length + bytes !== length) length = String(length).length + bytes;
      return length + rest;
    }).join(""),
  );
}

function isText(
  record: readonly [string, string | Uint8Array],
): record is readonly [string, string] {
  return typeof record[1] === "string";
}

/** The same where values are bytes. Keys are text as src/raw_name.ts has it. */
export function encodeRecords(records: readonly (readonly [string, string | Uint8Array])[]): U8 {
  return concat(records.flatMap(([key, value]) => {
    const word = bytesOf(key);
    const bytes = typeof value === "string" ? utf8(value) : Uint8Array.from(value);
    const rest = word.length + bytes.length + 3;
    let length = rest + 1;
    while (String(length).length + rest !== length) length = String(length).length + rest;
    return [utf8(`${length} `), word, utf8("="), bytes, utf8("\n")];
  }));
}

/** Between the values of a key that comes many times: those of a sparse map (GNU tar's PAX 0.0). */
export const REPEATED = "\n";
const REPEATS: readonly string[] = ["GNU.sparse.offset", "GNU.sparse.numbytes"];

/** The records of an extended header; of two with one key the later stands, but for sparse maps. Throws {@linkcode IntegrityError}. */
export function decodePax(bytes: Uint8Array, where: string): PaxRecords {
  const records: PaxRecords = new Map();
  const repeated = new Map<string, string[]>();
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const digits = space < 0 || space - at > 7 ? "" : String.fromCharCode(...bytes.subarray(at, space));
    const end = /^[1-9][0-9]*$/.test(digits) ? at + Number(digits) : 0;
    const equals = bytes.indexOf(0x3d, space);
    // A length that is none, or leads outside, does not lead to a newline.
    if (bytes[end - 1] !== 0x0a || equals < 0 || equals >= end - 1) {
      throw new IntegrityError(
        `Cannot read ${where}: its PAX records are malformed. The archive is damaged or was made by a faulty program`,
      );
    }
    const key = decodeKey(bytes.subarray(space + 1, equals), where);
    const value = bytes.subarray(equals + 1, end - 1);
    if (REPEATS.includes(key)) {
      const values = repeated.get(key) ?? [];
      values.push(lossy.decode(value).replaceAll(REPEATED, "?"));
      repeated.set(key, values);
    }
    records.set(key, value);
    at = end;
  }
  for (const [key, values] of repeated) records.set(key, utf8(values.join(REPEATED)));
  return records;
}

const lossy = new TextDecoder();

function decodeKey(bytes: Uint8Array, where: string): string {
  // The name of an extended attribute need not be UTF-8.
  if (bytes.length > 0) return nameOf(bytes);
  throw new IntegrityError(`Cannot read ${where}: a PAX record has no key. The archive is damaged`);
}

/** Milliseconds, and nanoseconds after them, as decimal seconds: -1500 is "-1.5". */
export function encodeTime(ms: number, ns = 0): string {
  if (ns !== 0) return encodeNanoseconds(BigInt(ms) * 1_000_000n + BigInt(ns));
  const abs = Math.abs(ms);
  const fraction = String(abs % 1000).padStart(3, "0").replace(/0+$/, "");
  return `${ms < 0 ? "-" : ""}${Math.floor(abs / 1000)}${fraction && "." + fraction}`;
}

function encodeNanoseconds(ns: bigint): string {
  const digits = String(ns < 0n ? -ns : ns).padStart(10, "0");
  return `${ns < 0n ? "-" : ""}${digits.slice(0, -9)}.${digits.slice(-9).replace(/0+$/, "")}`;
}

/** Decimal seconds as milliseconds, rounded down (towards the past); undefined when malformed or out of range. */
export function decodeTime(value: string): number | undefined {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(value);
  if (!match) return undefined;
  const fraction = match[3] ?? "";
  const abs = Number(match[2]) * 1000 + Number(fraction.slice(0, 3).padEnd(3, "0"));
  if (!Number.isSafeInteger(abs)) return undefined;
  if (match[1] === "") return abs;
  return 0 - abs - (/[1-9]/.test(fraction.slice(3)) ? 1 : 0);
}

/** A decimal number that JavaScript holds exactly; undefined otherwise. */
export function decodeNumber(value: string): number | undefined {
  const number = /^[0-9]{1,16}$/.test(value) ? Number(value) : NaN;
  return Number.isSafeInteger(number) ? number : undefined;
}
