/**
 * JSON in which every number keeps its digits.
 *
 * @module
 */

/** A value whose numbers are their texts, marked; see {@linkcode parseExact}. */
export type Exact = null | boolean | string | ExactNumber | readonly Exact[] | {
  readonly [key: string]: Exact;
};

/** A number as it was written. */
export interface ExactNumber {
  /** Its digits. */
  readonly digits: string;
}

/** Parses JSON; a number becomes its digits. Throws SyntaxError. */
export function parseExact(text: string): Exact {
  return JSON.parse(text, function (this: unknown, _key, value, context?: { source?: string }): unknown {
    return typeof value === "number" ? { digits: context?.source ?? String(value) } : value;
  });
}

/** One text for all ways of writing a value: keys in order, no blanks, numbers as they were written. */
export function canonical(value: Exact): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (isNumber(value)) return value.digits;
  const entries = Object.entries(value as Readonly<Record<string, Exact>>);
  entries.sort(([a], [b]) => a < b ? -1 : 1);
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join()}}`;
}

/** Whether a value is a number. */
export function isNumber(value: Exact | undefined): value is ExactNumber {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    typeof (value as Partial<ExactNumber>).digits === "string" && Object.keys(value).length === 1;
}
