/**
 * Adding lines to a log that may have been cut in its last one.
 *
 * @module
 */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { scanEvent } from "../../collect/events/scan.ts";
import { toBytes, utf8 } from "../../bytes.ts";
import { messageOf, NotFoundError } from "../../errors.ts";
import type { Bytes, Log, U8 } from "../../stage.ts";
import { eachLine, isBlank } from "./lines.ts";
import { SHAPE } from "./sync.ts";

/** Hands on the id of each line of a file. A missing file has none; a line that is no event is a warning. */
export async function knownIds(path: string, log: Log, know: (id: U8) => void): Promise<number> {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return 0;
    throw new NotFoundError(`Cannot read known ids: ${messageOf(error)}`, { cause: error });
  }
  let count = 0;
  try {
    await eachLine(readFile(file), (line, number, whole) => {
      if (isBlank(line)) return;
      try {
        const { spans, bytes } = scanEvent(line, SHAPE);
        know(bytes.slice(spans[2]! + 1, spans[3]! - 1));
        count++;
      } catch (error) {
        if (whole) log.warn("line", `${path}: line ${number} is no event: ${messageOf(error)}`);
      }
    });
    return count;
  } finally {
    closeSync(file);
  }
}

function readFile(file: number): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for (;;) {
      const chunk = new Uint8Array(1 << 20);
      const size = await Promise.resolve(readSync(file, chunk, 0, chunk.length, null));
      if (size === 0) return;
      yield chunk.subarray(0, size);
    }
  });
}

/** A log under extension. */
export interface Appender {
  /** Adds whole lines. */
  readonly write: (lines: U8) => void;
  /** Makes sure that they are on disk. */
  readonly close: () => void;
}

/** Opens a log to add to it (mode 0600 when it is new). A torn last line is cut off, with a warning; a whole one gets its line end. */
export async function appender(path: string, log: Log): Promise<Appender> {
  const file = openSync(path, "a+", 0o600);
  try {
    let end = 0;
    let last: U8 | undefined;
    await eachLine(readFile(file), (line, _, whole) => {
      if (whole) return;
      last = line.slice();
    });
    const { size } = fstatSync(file);
    end = size - (last?.length ?? 0);
    if (last && isEvent(last)) writeAll(file, utf8("\n"));
    else if (last) {
      ftruncateSync(file, end);
      log.warn(
        "torn",
        `${path}: its last line was cut, ${last.length} bytes of it are removed; the event is fetched again`,
      );
    }
  } catch (error) {
    closeSync(file);
    throw error;
  }
  return {
    write: (lines) => writeAll(file, lines),
    close: () => {
      fsyncSync(file);
      closeSync(file);
    },
  };
}

function isEvent(line: U8): boolean {
  try {
    scanEvent(line, SHAPE);
    return true;
  } catch {
    return false;
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
}
