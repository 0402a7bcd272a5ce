/**
 * Files that take copies: private, and without a name before anything is written to them.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { toBytes } from "../../bytes.ts";
import { IntegrityError, messageOf } from "../../errors.ts";
import type { ByteRange, Bytes, U8 } from "../../stage.ts";

const PREFIX = ".holdfast-sqlite-";
const CHUNK = 1024 * 1024;

/** A copy. */
export interface CopyFile {
  /** Its path, while it has one. */
  readonly path: string;
  /** Length in bytes. */
  readonly size: () => number;
  /** All of it, or the parts named, in chunks of up to 1 MiB. */
  readonly read: (parts?: Iterable<ByteRange>) => Bytes;
  /** Frees the disk. */
  readonly close: () => void;
}

/** Makes an empty file of mode 0600 in `dir`. It is held open here: when its name goes, the bytes stay until `close`. */
export function copyFile(dir: string): CopyFile {
  const path = join(dir, `${PREFIX}${randomBytes(12).toString("hex")}`);
  let fd: number;
  try {
    fd = openSync(path, "wx+", 0o600);
  } catch (cause) {
    throw new Error(
      `Cannot copy a database to "${dir}": ${messageOf(cause)}. Set spoolDir to a folder that can be written`,
      { cause },
    );
  }
  let open = true;
  return {
    path,
    size: () => fstatSync(fd).size,
    read: (parts) => toBytes(() => chunks(fd, parts ?? [{ start: 0, end: fstatSync(fd).size }])),
    close: () => {
      if (!open) return;
      open = false;
      closeSync(fd);
      for (const name of [path, `${path}-journal`]) remove(name);
    },
  };
}

async function* chunks(fd: number, parts: Iterable<ByteRange>): AsyncGenerator<U8, void, undefined> {
  for (const { start, end } of parts) {
    for (let at = start; at < end;) {
      const chunk = new Uint8Array(Math.min(CHUNK, end - at));
      const read = readSync(fd, chunk, 0, chunk.length, at);
      if (read === 0) throw new IntegrityError("Cannot read the copy of a database: it was cut. Run again");
      at += read;
      yield await Promise.resolve(chunk.subarray(0, read));
    }
  }
}

/** Removes the empty files that killed runs left more than an hour ago. */
export function sweep(dir: string): void {
  try {
    for (const name of readdirSync(dir).filter((name) => name.startsWith(PREFIX))) {
      const path = join(dir, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat && Date.now() - stat.mtimeMs > 3_600_000) remove(path);
    }
  } catch {
    // A folder that cannot be listed is not ours to tidy.
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It has no name any more, as it should be.
  }
}
