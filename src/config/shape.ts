/**
 * What the schemas of a configuration are made of: tables, texts, tools, and the words for what is wrong with one.
 *
 * @module
 */
import { isAbsolute, join, normalize } from "node:path";
import * as v from "valibot";
import { kindOf, suggest } from "./words.ts";

type Entries = Readonly<Record<string, v.GenericSchema<unknown, unknown>>>;
type Issue = v.BaseIssue<unknown>;

/** A table with exactly these keys; says which key is unknown, missing, or what stands where the table should be. */
// deno-lint-ignore explicit-function-return-type -- valibot's own types carry the shape
export function table<const E extends Entries>(entries: E, hints: Readonly<Record<string, string>> = {}) {
  return v.strictObject(entries, (issue) => {
    const key = String(issue.path?.at(-1)?.key ?? "");
    if (issue.expected === "never") return hints[key] ?? `unknown key. ${suggest(key, Object.keys(entries))}`;
    if (issue.expected === "Object") return `must be a table, not ${kindOf(issue.input)}`;
    return hints[key] ?? "is missing";
  });
}

/** What stands where `what` should. */
export const mustBe = (what: string) => (issue: Issue): string =>
  `must be ${what}, not ${kindOf(issue.input)}`;
/** An optional true or false. */
export const flag = v.optional(v.boolean(mustBe("true or false")));
/** A number. */
export const number = v.pipe(v.number(mustBe("a number")), v.finite("must be a finite number"));
/** A text that is not empty. */
export const text = v.pipe(v.string(mustBe("a string")), v.nonEmpty("must not be empty"));
/** A list of texts. */
export const texts = v.array(text, mustBe("a list of strings"));
/** A program and its arguments. */
export const argv = v.pipe(
  v.array(text, mustBe('a list: the program and its arguments, such as ["pg_dump", "app"]')),
  v.nonEmpty("must name a program"),
);

/** What must be said where no value can be right. */
export function refuse(message: string): v.GenericSchema<never> {
  return v.custom<never>(() => false, message);
}

/** A tool by its name alone, or a table of one tool and its options. */
// deno-lint-ignore explicit-function-return-type -- valibot's own types carry the shape
export function toolOf<const T extends Entries>(verb: string, tools: T, plain: readonly string[]) {
  const names = [...new Set([...plain, ...Object.keys(tools)])];
  return v.lazy((input): v.GenericSchema<unknown, Tool> => {
    if (typeof input === "string") {
      if (plain.includes(input)) return v.pipe(v.string(), v.transform((tool) => ({ tool, options: {} })));
      if (names.includes(input)) return refuse(`"${input}" needs options: write { ${input} = { ... } }`);
      return refuse(`"${escaped(input)}" is no ${verb} tool. ${suggest(input, names)}`);
    }
    if (!isTable(input)) return refuse(`must be a tool such as "${names[0]}", not ${kindOf(input)}`);
    const keys = Object.keys(input);
    const known = keys.filter((key) => Object.hasOwn(tools, key));
    if (known.length > 1) return refuse(`names ${known.length} tools (${known.join(", ")}): choose one`);
    if (keys.length === 0) return refuse(`names no tool. ${suggest("", names)}`);
    const tool = known[0];
    if (tool === undefined) return v.pipe(table(tools), v.transform(() => ({ tool: "", options: {} })));
    return v.pipe(
      table({ [tool]: tools[tool]! }),
      v.transform((value) => ({ tool, options: value[tool] as Record<string, unknown> })),
    );
  });
}

/** A chosen tool; `options` has the shape its schema gave it. */
export interface Tool {
  /** The tool's name. */
  readonly tool: string;
  /** Its options. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** Whether a value is a table. */
export function isTable(input: unknown): input is Record<string, unknown> {
  return typeof input === "object" && input !== null && !Array.isArray(input) && !(input instanceof Date);
}

/** A text as it may stand between quotes. */
export function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** A path, absolute once it is read: relative ones start at `folder`. */
export function pathIn(folder: string): v.GenericSchema<string, string> {
  return v.pipe(
    text,
    v.check((value) => !value.includes("\0"), "must not hold a NUL"),
    v.check((value) => !/^~(?:\/|$)/.test(value), HOME),
    v.transform((value) => isAbsolute(value) ? normalize(value) : join(folder, value)),
  );
}

/** A store: a URL as it stands, or a path as {@linkcode pathIn} reads it. */
export function storeIn(folder: string): v.GenericSchema<string, string> {
  const path = pathIn(folder);
  const url = v.pipe(v.string(), v.check((value) => !isMemory(value), NO_MEMORY));
  return v.lazy((input) => typeof input === "string" && isUrl(input) ? url : path);
}

/** One text, or a list of at least one. */
export function oneOrMore(
  item: v.GenericSchema<string, string>,
): v.GenericSchema<unknown, readonly string[]> {
  return v.lazy((input): v.GenericSchema<unknown, readonly string[]> =>
    typeof input === "string"
      ? v.pipe(item, v.transform((value) => [value]))
      : v.pipe(v.array(item, mustBe("a text or a list of texts")), v.nonEmpty("must not be empty"))
  );
}

const HOME = '"~" is not expanded here: write the whole path';

/** A value in a message: a text in quotes, anything else by its kind. */
export function said(input: unknown): string {
  return typeof input === "string" ? `"${escaped(input)}"` : kindOf(input);
}

/** What is said where a store in memory is named, which is for programs only. */
export const NO_MEMORY =
  'Cannot store in "memory:": it is gone when the command ends. Name a folder such as "./backups", or a URL';

/** Whether a store is the one in memory. */
export function isMemory(store: string): boolean {
  return /^memory:/i.test(store);
}

/** Whether a store is given as a URL: a scheme of two letters or more, so that a drive letter is a path. */
export function isUrl(store: string): boolean {
  return /^[A-Za-z][A-Za-z0-9+.-]+:/.test(store);
}
