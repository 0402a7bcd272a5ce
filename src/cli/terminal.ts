/**
 * Where the command line writes: results to standard output, everything else to standard error. Nothing else in Holdfast prints.
 *
 * @module
 */
import { messageOf } from "../errors.ts";

/** The two streams. */
export interface Terminal {
  /** A line of result. A reader that has gone away (`| head`) is no error. */
  readonly out: (line: string) => void;
  /** Result bytes, whole. */
  readonly bytes: (bytes: Uint8Array) => void;
  /** A line for people. */
  readonly err: (line: string) => void;
  /** Text for people without a line end: progress. */
  readonly draw: (text: string) => void;
  /** Whether standard error is a terminal. */
  readonly live: boolean;
  /** Whether colours are wanted there: a terminal, and NO_COLOR is not set. */
  readonly color: boolean;
  /** Its width in columns. */
  readonly columns: () => number;
}

/** The process's own streams. */
export function systemTerminal(): Terminal {
  const encoder = new TextEncoder();
  const live = Deno.stderr.isTerminal();
  return {
    out: (line) => result(encoder.encode(line + "\n")),
    bytes: result,
    err: (line) => remark(encoder.encode(line + "\n")),
    draw: (text) => remark(encoder.encode(text)),
    live,
    color: live && (Deno.env.get("NO_COLOR") ?? "") === "" && Deno.env.get("TERM") !== "dumb",
    columns: () => {
      try {
        return Deno.consoleSize().columns;
      } catch {
        return 80;
      }
    },
  };
}

/** Writes a result. One that cannot be told is a failure, whatever has been done by then. */
function result(bytes: Uint8Array): void {
  try {
    writeAll(Deno.stdout, bytes);
  } catch (cause) {
    const why = messageOf(cause);
    throw new Error(
      `Cannot write the result to standard output: ${why}. What was done until then stays done; see where it goes`,
      { cause },
    );
  }
}

/**
 * Writes a remark to standard error. A log on a full disk, or a terminal that has hung up, is not the run's failure: thrown from
 * a signal's handler or from where a failure is told, it would end the process before it has cleaned up.
 */
export function remark(bytes: Uint8Array): void {
  try {
    writeAll(Deno.stderr, bytes);
  } catch {
    // There is nobody to tell.
  }
}

function writeAll(stream: { writeSync: (bytes: Uint8Array) => number }, bytes: Uint8Array): void {
  try {
    for (let at = 0; at < bytes.length;) at += write(stream, bytes.subarray(at));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** A pipe that a reader has set to non-blocking refuses for a moment when it is full. */
function write(stream: { writeSync: (bytes: Uint8Array) => number }, bytes: Uint8Array): number {
  for (;;) {
    try {
      return stream.writeSync(bytes);
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

// Control characters, line and paragraph separators, and format characters, which reorder or hide text.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** A text in which nothing can move the cursor, colour the screen or reorder it: such characters become `\u{1b}`. */
export function safe(text: string): string {
  return text.replace(UNSAFE, (char) => {
    if (char === "\n") return "\\n";
    if (char === "\t") return "\\t";
    if (char === "\r") return "\\r";
    return `\\u{${char.codePointAt(0)!.toString(16)}}`;
  });
}

/** A message of several lines, each made {@linkcode safe}. */
export function safeLines(text: string): string {
  return text.split("\n").map(safe).join("\n");
}

/** Rows as columns, two blanks between them, the last one unpadded. Every cell is made {@linkcode safe}. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map(safe));
  const widths: number[] = [];
  for (const row of cells) row.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, cell.length));
  return cells.map((row) =>
    row.map((cell, i) => i === row.length - 1 ? cell : cell.padEnd(widths[i]!)).join("  ")
  );
}
