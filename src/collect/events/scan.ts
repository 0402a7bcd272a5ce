/**
 * Reads JSON without reading it: where the events of a page lie, their ids and times, by their bytes. No number passes through
 * JavaScript's, so 64 bits stay 64 bits, and an event is handed on as the peer wrote it.
 *
 * @module
 */
import type { U8 } from "../../stage.ts";

/** Which members of a page matter. */
export interface PageShape {
  /** Member that holds the array of events; undefined: the page is the array. */
  readonly items?: string | undefined;
  /** Member of an event that identifies it. */
  readonly id: string;
  /** Member of an event that orders it: a whole number, or a text in RFC 3339. */
  readonly time: string;
}

/** Numbers of one event in {@linkcode Page.spans}: start, end, start and end of its id, start and end of its time. */
export const SPAN = 6;

/** A page, and where its events are. */
export interface Page {
  /** What was looked for. */
  readonly shape: PageShape;
  /** The page as it came. */
  readonly bytes: U8;
  /** {@linkcode SPAN} offsets for each event; 0 and 0 for an id or a time that is not there. */
  readonly spans: readonly number[];
  /** Whether blanks or line ends stand between an event's tokens. */
  readonly spaced: boolean;
  /** The JSON text of each other member of the page. */
  readonly members: ReadonlyMap<string, string>;
}

/** Deeper nesting than this is no event. */
const DEPTH = 128;

interface Scan {
  readonly bytes: U8;
  readonly shape: PageShape;
  readonly spans: number[];
  readonly members: Map<string, string>;
  spaced: boolean;
}

/** Finds the events of a page. Throws SyntaxError, with the offset, for anything that is not exactly one JSON text. */
export function scanPage(bytes: U8, shape: PageShape): Page {
  const scan: Scan = { bytes, shape, spans: [], members: new Map(), spaced: false };
  let at = blanks(bytes, 0);
  if (shape.items === undefined) at = events(scan, at);
  else if (bytes[at] === OPEN) at = members(scan, at, shape.items);
  else throw bad(bytes, at);
  at = blanks(bytes, at);
  if (at !== bytes.length) throw bad(bytes, at);
  return scan;
}

/** Finds id and time of one event that stands alone, such as a line. Throws SyntaxError unless it is one JSON object. */
export function scanEvent(bytes: U8, shape: PageShape): Page {
  const scan: Scan = { bytes, shape, spans: [], members: new Map(), spaced: false };
  const start = blanks(bytes, 0);
  if (bytes[start] !== OPEN) throw bad(bytes, start);
  const end = event(scan, start);
  const rest = blanks(bytes, end);
  if (rest !== bytes.length) throw bad(bytes, rest);
  return scan;
}

/** An event without blanks between its tokens. */
export function compact(bytes: U8): U8 {
  const out = new Uint8Array(bytes.length);
  let size = 0;
  for (let at = 0; at < bytes.length;) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      const end = text(bytes, at);
      out.set(bytes.subarray(at, end), size);
      size += end - at;
      at = end;
    } else {
      if (!isBlank(byte)) out[size++] = byte;
      at++;
    }
  }
  return out.subarray(0, size);
}

const QUOTE = 0x22, COMMA = 0x2c, MINUS = 0x2d, DOT = 0x2e, COLON = 0x3a, BACKSLASH = 0x5c;
const ARRAY = 0x5b, ARRAY_END = 0x5d, OPEN = 0x7b, CLOSE = 0x7d;

/** The members of a page: the events' array is looked into, the others are kept as text. */
function members(scan: Scan, start: number, items: string): number {
  const { bytes } = scan;
  return object(bytes, start, 0, (keyStart, keyEnd, at) => {
    const key = decode(bytes, keyStart + 1, keyEnd - 1);
    if (key === items && bytes[at] === ARRAY) return events(scan, at);
    const end = value(bytes, at, 1);
    scan.members.set(key, decode(bytes, at, end));
    return end;
  });
}

function events(scan: Scan, start: number): number {
  const { bytes, spans } = scan;
  if (bytes[start] !== ARRAY) throw bad(bytes, start);
  return array(bytes, start, (at) => {
    if (bytes[at] === OPEN) return event(scan, at);
    const end = value(bytes, at, 1);
    spans.push(at, end, 0, 0, 0, 0); // no event that anyone has promised, but nothing is lost
    return end;
  });
}

function event(scan: Scan, start: number): number {
  const { bytes, shape, spans } = scan;
  const place = spans.length;
  spans.push(start, start, 0, 0, 0, 0);
  const before = gaps;
  const end = object(bytes, start, 1, (keyStart, keyEnd, at) => {
    const close = value(bytes, at, 2);
    const field = is(bytes, keyStart, keyEnd, shape.id) ? 2 : is(bytes, keyStart, keyEnd, shape.time) ? 4 : 0;
    if (field > 0) {
      spans[place + field] = at;
      spans[place + field + 1] = close;
    }
    return close;
  });
  spans[place + 1] = end;
  if (gaps !== before) scan.spaced = true;
  return end;
}

/** Whether a quoted key is `name`. */
function is(bytes: U8, start: number, end: number, name: string): boolean {
  if (end - start !== name.length + 2) return false;
  for (let i = 0; i < name.length; i++) if (bytes[start + 1 + i] !== name.charCodeAt(i)) return false;
  return true;
}

/** Blanks met so far inside of values: tells whether an event is compact. */
let gaps = 0;

function blanks(bytes: U8, start: number): number {
  let at = start;
  while (at < bytes.length && isBlank(bytes[at]!)) at++;
  gaps += at - start;
  return at;
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function value(bytes: U8, at: number, depth: number): number {
  if (depth > DEPTH) throw new SyntaxError(`JSON nested deeper than ${DEPTH} at byte ${at}`);
  const byte = bytes[at];
  if (byte === QUOTE) return text(bytes, at);
  if (byte === OPEN) return object(bytes, at, depth, (_start, _end, at) => value(bytes, at, depth + 1));
  if (byte === ARRAY) return array(bytes, at, (at) => value(bytes, at, depth + 1));
  if (byte === 0x74) return word(bytes, at, "true");
  if (byte === 0x66) return word(bytes, at, "false");
  if (byte === 0x6e) return word(bytes, at, "null");
  return number(bytes, at);
}

function object(
  bytes: U8,
  start: number,
  depth: number,
  member: (keyStart: number, keyEnd: number, at: number) => number,
): number {
  if (depth > DEPTH) throw new SyntaxError(`JSON nested deeper than ${DEPTH} at byte ${start}`);
  let at = blanks(bytes, start + 1);
  if (bytes[at] === CLOSE) return at + 1;
  for (;;) {
    if (bytes[at] !== QUOTE) throw bad(bytes, at);
    const keyEnd = text(bytes, at);
    const colon = blanks(bytes, keyEnd);
    if (bytes[colon] !== COLON) throw bad(bytes, colon);
    at = blanks(bytes, member(at, keyEnd, blanks(bytes, colon + 1)));
    if (bytes[at] === CLOSE) return at + 1;
    if (bytes[at] !== COMMA) throw bad(bytes, at);
    at = blanks(bytes, at + 1);
  }
}

function array(bytes: U8, start: number, element: (at: number) => number): number {
  let at = blanks(bytes, start + 1);
  if (bytes[at] === ARRAY_END) return at + 1;
  for (;;) {
    at = blanks(bytes, element(at));
    if (bytes[at] === ARRAY_END) return at + 1;
    if (bytes[at] !== COMMA) throw bad(bytes, at);
    at = blanks(bytes, at + 1);
  }
}

function text(bytes: U8, start: number): number {
  for (let at = start + 1; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) return at + 1;
    if (byte < 0x20) throw bad(bytes, at);
    if (byte === BACKSLASH) at = escaped(bytes, at + 1);
  }
  throw bad(bytes, bytes.length);
}

/** The last byte of an escape that starts after the backslash. */
function escaped(bytes: U8, at: number): number {
  const byte = bytes[at];
  if (byte === 0x75) {
    for (let i = 1; i <= 4; i++) if (!isHex(bytes[at + i])) throw bad(bytes, at + i);
    return at + 4;
  }
  if (byte !== undefined && '"\\/bfnrt'.includes(String.fromCharCode(byte))) return at;
  throw bad(bytes, at);
}

function isHex(byte: number | undefined): boolean {
  return byte !== undefined &&
    (isDigit(byte) || (byte >= 0x61 && byte <= 0x66) || (byte >= 0x41 && byte <= 0x46));
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function word(bytes: U8, start: number, expected: string): number {
  for (let i = 0; i < expected.length; i++) {
    if (bytes[start + i] !== expected.charCodeAt(i)) throw bad(bytes, start + i);
  }
  return start + expected.length;
}

function number(bytes: U8, start: number): number {
  let at = bytes[start] === MINUS ? start + 1 : start;
  at = bytes[at] === 0x30 ? at + 1 : digits(bytes, at);
  if (bytes[at] === DOT) at = digits(bytes, at + 1);
  if (bytes[at] === 0x65 || bytes[at] === 0x45) {
    at++;
    if (bytes[at] === 0x2b || bytes[at] === MINUS) at++;
    at = digits(bytes, at);
  }
  return at;
}

function digits(bytes: U8, start: number): number {
  let at = start;
  while (at < bytes.length && isDigit(bytes[at])) at++;
  if (at === start) throw bad(bytes, at);
  return at;
}

function bad(bytes: U8, at: number): SyntaxError {
  if (at >= bytes.length) return new SyntaxError(`JSON that ends too early, after ${bytes.length} bytes`);
  return new SyntaxError(`no JSON at byte ${at} of ${bytes.length}`);
}

function decode(bytes: U8, start: number, end: number): string {
  return new TextDecoder().decode(bytes.subarray(start, end));
}
