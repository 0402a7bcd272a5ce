/**
 * JSON whose numbers stay the text they were: sequences have 64 bits and times nanoseconds, a JavaScript number has neither.
 *
 * @module
 */

/** A number as it stood in the text. */
export interface RawNumber {
  /** Its text. */
  readonly rawJSON: string;
}

/** A JSON value with exact numbers. */
export type Exact = null | boolean | string | RawNumber | readonly Exact[] | ExactObject;

/** A JSON object with exact numbers. */
export interface ExactObject {
  readonly [key: string]: Exact;
}

/** The two things the type library does not know yet (JSON.parse source text access, ECMAScript 2026). */
const json = JSON as unknown as {
  readonly parse: (
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source: string }) => unknown,
  ) => unknown;
  readonly rawJSON: (text: string) => RawNumber;
};

/** Reads a JSON object. Throws SyntaxError for anything else. */
export function parseExact(text: string): ExactObject {
  const value = json.parse(
    text,
    (_key, value, context) => typeof value === "number" ? json.rawJSON(context.source) : value,
  );
  if (!isObject(value as Exact)) throw new SyntaxError("it is not a JSON object");
  return value as ExactObject;
}

/** Writes a value; every number as it was read. */
export function writeExact(value: Exact, indent?: number): string {
  return JSON.stringify(value, undefined, indent);
}

/** A whole number as a JSON value. */
export function exactNumber(value: number | bigint): RawNumber {
  return json.rawJSON(String(value));
}

/** Whether a value is an object, not a list and not a number. */
export function isObject(value: Exact | undefined): value is ExactObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isNumber(value as Exact);
}

/** The object under a key; an empty one where there is none. */
export function objectAt(object: ExactObject, key: string): ExactObject {
  const value = own(object, key);
  return isObject(value) ? value : {};
}

/** The list under a key; an empty one where there is none. */
export function listAt(object: ExactObject, key: string): readonly Exact[] {
  const value = own(object, key);
  return Array.isArray(value) ? value : [];
}

/** The text under a key; "" where there is none. */
export function textAt(object: ExactObject, key: string): string {
  const value = own(object, key);
  return typeof value === "string" ? value : "";
}

/** The whole number under a key; 0n where there is none. */
export function integerAt(object: ExactObject, key: string): bigint {
  const value = own(object, key);
  return value !== undefined && isNumber(value) && /^-?\d+$/.test(value.rawJSON) ? BigInt(value.rawJSON) : 0n;
}

function own(object: ExactObject, key: string): Exact | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function isNumber(value: Exact): value is RawNumber {
  return typeof value === "object" && value !== null && "rawJSON" in value && Object.isFrozen(value);
}
