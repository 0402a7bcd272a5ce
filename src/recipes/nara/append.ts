/**
 * Adding lines to a log that may have been cut in its last one.
 *
 * @module
 */
import { scanEvent } from "../../collect/events/scan.ts";
import { readAll, toBytes, utf8 } from "../../bytes.ts";
import { BusyError, ConfigError, messageOf, NotFoundError } from "../../errors.ts";
import type { Bytes, Log, U8 } from "../../stage.ts";
import { unlock } from "../../unlock.ts";
import { eachLine, isBlank } from "./lines.ts";
import { SHAPE } from "./sync.ts";

/** Hands on each event of a file with its id. A missing file has none; a line that is no event is a warning. */
export async function knownEvents(
  path: string,
  log: Log,
  know: (id: U8, event: U8) => void,
): Promise<number> {
  using file = openToRead(path);
  if (!file) return 0;
  let count = 0;
  await eachLine(readFile(file), (line, number, whole) => {
    if (isBlank(line)) return;
    try {
      const { spans, bytes } = scanEvent(line, SHAPE);
      know(bytes.subarray(spans[2]! + 1, Math.max(spans[2]! + 1, spans[3]! - 1)), bytes);
      count++;
    } catch (error) {
      if (!whole) return;
      know(line.subarray(0, 0), line); // nothing that came from a peer is added twice
      log.warn("line", `${path}: line ${number} is no event: ${messageOf(error)}`);
    }
  });
  return count;
}

function openToRead(path: string): Deno.FsFile | undefined {
  try {
    return Deno.openSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new NotFoundError(`Cannot read the known events in "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function readFile(file: Deno.FsFile): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for (;;) {
      const chunk = new Uint8Array(1 << 20);
      const size = await Promise.resolve(file.readSync(chunk));
      if (size === null) return;
      yield chunk.subarray(0, size);
    }
  });
}

/** A log under extension; nobody else extends it meanwhile. */
export interface Appender extends Disposable {
  /** Adds whole lines. */
  readonly write: (lines: U8) => void;
  /** Makes sure that they are on disk. */
  readonly sync: () => void;
}

/**
 * Opens a log to add to it (mode 0600 when it is new), and locks it: the system takes the lock away from a process that dies. A torn last
 * line is cut off, with a warning; a whole one gets its line end. Throws {@linkcode BusyError} while another run holds the lock.
 */
export async function appender(path: string, log: Log): Promise<Appender> {
  const fail = (error: unknown, what: string): never => {
    throw new Error(`Cannot ${what} "${path}": ${messageOf(error)}`, { cause: error });
  };
  const file = openToAppend(path, fail);
  try {
    if (!(await file.stat()).isFile) {
      throw new ConfigError(`Cannot add to "${path}": it is no file. Print to it instead, without --append`);
    }
    await lock(file, path, log);
    await mend(file, path, log);
  } catch (error) {
    file.close();
    throw error;
  }
  const tryTo = (what: string, act: () => void): void => {
    try {
      act();
    } catch (error) {
      fail(error, what);
    }
  };
  return {
    write: (lines) => tryTo("add to", () => writeAll(file, lines)),
    sync: () => tryTo("flush", () => file.syncSync()),
    [Symbol.dispose]: () => unlock(file),
  };
}

function openToAppend(path: string, fail: (error: unknown, what: string) => never): Deno.FsFile {
  try {
    return Deno.openSync(path, { read: true, append: true, create: true, mode: 0o600 });
  } catch (error) {
    return fail(error, "add to");
  }
}

async function lock(file: Deno.FsFile, path: string, log: Log): Promise<void> {
  let held: boolean;
  try {
    held = await file.tryLock(true);
  } catch (error) {
    const reason = messageOf(error);
    return log.warn("lock", `"${path}" cannot be locked (${reason}): let no second run add to it meanwhile`);
  }
  if (held) return;
  throw new BusyError(
    `Cannot add to "${path}": another run is adding to it. Wait for it, or give this one another file`,
  );
}

async function mend(file: Deno.FsFile, path: string, log: Log): Promise<void> {
  let size = 0;
  let end = 0; // of the last whole line
  for await (const chunk of readFile(file)) {
    const newline = chunk.lastIndexOf(0x0a);
    if (newline >= 0) end = size + newline + 1;
    size += chunk.length;
  }
  if (end === size) return;
  await file.seek(end, Deno.SeekMode.Start);
  if (isEvent(await readAll(readFile(file), size - end, "the last line"))) return writeAll(file, utf8("\n"));
  await file.truncate(end);
  log.warn(
    "torn",
    `${path}: its last line was cut, ${size - end} bytes of it are removed; the event is fetched again`,
  );
}

function isEvent(line: U8): boolean {
  try {
    scanEvent(line, SHAPE);
    return true;
  } catch {
    return false;
  }
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}
