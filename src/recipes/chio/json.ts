/**
 * JSON as Chio signs it: RFC 8785, except that integers up to 64 bits are printed exactly.
 *
 * @module
 */

/** A JSON value; integers without a fraction are bigint. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;

/** An object of JSON values. */
export interface JsonObject {
  readonly [key: string]: Json;
}

const MOST = 2n ** 64n - 1n;
const LEAST = -(2n ** 63n);

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;

/** Reads JSON without losing digits. Throws SyntaxError, also for strings that are not Unicode (lone surrogates). */
export function parseJson(text: string): Json {
  const revive: Reviver = (key, value, { source }) => {
    if (!key.isWellFormed() || (typeof value === "string" && !value.isWellFormed())) {
      throw new SyntaxError("a string holds a lone surrogate");
    }
    if (typeof value !== "number" || source === undefined || !/^-?\d+$/.test(source)) return value;
    const exact = BigInt(source);
    return exact >= LEAST && exact <= MOST ? exact : value;
  };
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown) as Json;
}

/** An object, or a SyntaxError. */
export function parseObject(text: string): JsonObject {
  const value = parseJson(text);
  if (!isObject(value)) throw new SyntaxError("it is not an object");
  return value;
}

/** Whether a value is an object. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The canonical text: keys by UTF-16 code units, no white space, numbers as ECMAScript prints them. `older`: the first generation
 * escaped U+007F to U+009F as well.
 */
export function canonical(value: Json, older = false): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "string") return quoted(value, older);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item: Json) => canonical(item, older)).join(",")}]`;
  const object = value as JsonObject;
  const members = Object.keys(object).sort().map((key) =>
    `${quoted(key, older)}:${canonical(object[key]!, older)}`
  );
  return `{${members.join(",")}}`;
}

function quoted(text: string, older: boolean): string {
  const plain = JSON.stringify(text);
  if (!older) return plain;
  return plain.replace(/[\u007f-\u009f]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

/** An object without some of its members. */
export function without(object: JsonObject, ...keys: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}
