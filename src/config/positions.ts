/**
 * Where the keys of a TOML text stand. The parser gives positions for syntax errors only, and an operator wants the line of
 * every other mistake as well.
 *
 * @module
 */

/** A key path: table names, keys, and indexes of lists. */
export type KeyPath = readonly (string | number)[];

/** One key as it was met. */
export interface KeyPosition {
  /** The whole path of the key. */
  readonly path: KeyPath;
  /** Its line, from 1. */
  readonly line: number;
  /** Its column in that line, from 1. */
  readonly column: number;
}

interface Cursor {
  readonly text: string;
  readonly found: KeyPosition[];
  at: number;
}

/**
 * Every key of a TOML text in the order of the text, with its line. Made for texts that a TOML parser accepts; in any other it
 * gives what it met before it lost its way.
 */
export function keyPositions(text: string): readonly KeyPosition[] {
  const cursor: Cursor = { text, found: [], at: 0 };
  const lists = new Map<string, number>();
  let table: KeyPath = [];
  for (skipBlank(cursor, true); cursor.at < text.length; skipBlank(cursor, true)) {
    const start = cursor.at;
    if (text[start] === "[") table = header(cursor, lists);
    else pair(cursor, table);
    if (cursor.at === start) break;
  }
  return cursor.found;
}

/** A path as it is written in TOML: `plan.app.collect.files[0]`. */
export function formatPath(path: KeyPath): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += (text === "" ? "" : ".") + (/^[A-Za-z0-9_-]+$/.test(part) ? part : JSON.stringify(part));
  }
  return text === "" ? "(top)" : text;
}

function header(cursor: Cursor, lists: Map<string, number>): KeyPath {
  const isList = cursor.text.startsWith("[[", cursor.at);
  cursor.at += isList ? 2 : 1;
  const start = cursor.at;
  let path: KeyPath = key(cursor);
  if (isList) {
    const name = JSON.stringify(path);
    const index = lists.get(name) ?? 0;
    lists.set(name, index + 1);
    path = [...path, index];
  }
  note(cursor, path, start);
  while (cursor.text[cursor.at] === "]") cursor.at++;
  return path;
}

function pair(cursor: Cursor, table: KeyPath): void {
  const start = cursor.at;
  const path = [...table, ...key(cursor)];
  note(cursor, path, start);
  if (cursor.text[cursor.at] !== "=") return;
  cursor.at++;
  skipBlank(cursor, false);
  value(cursor, path);
}

function value(cursor: Cursor, path: KeyPath): void {
  const first = cursor.text[cursor.at];
  if (first === "[") items(cursor, "]", (index) => element(cursor, [...path, index]));
  else if (first === "{") items(cursor, "}", () => pair(cursor, path));
  else if (first === '"' || first === "'") quoted(cursor);
  else while (cursor.at < cursor.text.length && !/[,\]}\n#]/.test(cursor.text[cursor.at]!)) cursor.at++;
}

function element(cursor: Cursor, path: KeyPath): void {
  note(cursor, path, cursor.at);
  value(cursor, path);
}

function items(cursor: Cursor, close: string, item: (index: number) => void): void {
  cursor.at++;
  for (let index = 0; cursor.at < cursor.text.length; index++) {
    skipBlank(cursor, true);
    if (cursor.text[cursor.at] === close) break;
    const start = cursor.at;
    item(index);
    skipBlank(cursor, true);
    if (cursor.text[cursor.at] === ",") cursor.at++;
    if (cursor.at === start) return;
  }
  cursor.at++;
}

/** One key, dotted or not, up to what follows it. */
function key(cursor: Cursor): string[] {
  const parts: string[] = [];
  for (;;) {
    skipBlank(cursor, false);
    const start = cursor.at;
    const first = cursor.text[start];
    if (first === '"' || first === "'") parts.push(quoted(cursor));
    else {
      while (/[A-Za-z0-9_-]/.test(cursor.text[cursor.at] ?? "")) cursor.at++;
      parts.push(cursor.text.slice(start, cursor.at));
    }
    skipBlank(cursor, false);
    if (cursor.text[cursor.at] !== "." || cursor.at === start) return parts;
    cursor.at++;
  }
}

/** A string of any of the four kinds; the content matters for keys only, and these stand on one line. */
function quoted(cursor: Cursor): string {
  const { text, at: start } = cursor;
  const mark = text[start]!;
  const fence = text.startsWith(mark.repeat(3), start) ? mark.repeat(3) : mark;
  cursor.at = start + fence.length;
  while (cursor.at < text.length && !text.startsWith(fence, cursor.at)) {
    cursor.at += mark === '"' && text[cursor.at] === "\\" ? 2 : 1;
  }
  cursor.at += fence.length;
  // A long string may end in up to two quotes of its own.
  while (fence.length === 3 && text[cursor.at] === mark) cursor.at++;
  const raw = text.slice(start + fence.length, cursor.at - fence.length);
  if (mark === "'" || fence.length === 3) return raw;
  try {
    return JSON.parse(`"${raw}"`);
  } catch {
    return raw;
  }
}

function skipBlank(cursor: Cursor, lines: boolean): void {
  for (; cursor.at < cursor.text.length; cursor.at++) {
    const char = cursor.text[cursor.at]!;
    if (char === "#" && lines) {
      while (cursor.at + 1 < cursor.text.length && cursor.text[cursor.at + 1] !== "\n") cursor.at++;
    } else if (!(char === " " || char === "\t" || (lines && (char === "\n" || char === "\r")))) {
      return;
    }
  }
}

function note(cursor: Cursor, path: KeyPath, at: number): void {
  let line = 1;
  let start = 0;
  for (let i = cursor.text.indexOf("\n"); i >= 0 && i < at; i = cursor.text.indexOf("\n", i + 1)) {
    line++;
    start = i + 1;
  }
  cursor.found.push({ path, line, column: at - start + 1 });
}
