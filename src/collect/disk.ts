/**
 * What a swap does to the disk, for names of any bytes: node:fs where a name is UTF-8, the C library where it is not.
 *
 * @module
 */
import * as fs from "node:fs";
import { openReading, type Reading } from "../libc/read.ts";
import { openWriter, type Writer } from "../libc/write.ts";
import { isRaw } from "../raw_name.ts";
import { setTimes } from "./place.ts";

/** What a swap has to know of a thing. */
export type Look = Pick<
  fs.Stats,
  "isDirectory" | "isFile" | "dev" | "ino" | "mode" | "uid" | "gid" | "mtimeMs"
>;

/** The disk. Paths are text as of `raw_name.ts`. */
export interface Disk extends Disposable {
  /** Whether names that are not UTF-8 can be reached. */
  readonly raw: boolean;
  /** The C library, where it may be called. */
  readonly writer: Writer | undefined;
  /** What stands at a path; links are not followed. */
  readonly look: (path: string) => Look | undefined;
  /** The names in a folder. */
  readonly names: (folder: string) => string[];
  /** The names of folders in a folder. */
  readonly folders: (folder: string) => string[];
  /** Renames. */
  readonly rename: (from: string, to: string) => void;
  /** Makes a symbolic link. */
  readonly symlink: (target: string, path: string) => void;
  /** Exchanges two names in one step; false: nothing was done, it cannot be. */
  readonly exchange: (one: string, other: string) => boolean;
  /** Sets a mode. */
  readonly setMode: (path: string, mode: number) => void;
  /** Sets owner and group. */
  readonly setOwner: (path: string, uid: number, gid: number) => void;
  /** Sets the times, in milliseconds. */
  readonly setTimes: (path: string, ms: number) => void;
}

/** The disk without the C library. */
export const plainDisk: Disk = {
  raw: false,
  writer: undefined,
  look: (path) => fs.lstatSync(path, { throwIfNoEntry: false }),
  names: (folder) => fs.readdirSync(folder),
  folders: (folder) =>
    fs.readdirSync(folder, { withFileTypes: true }).filter((one) => one.isDirectory()).map(({ name }) =>
      name
    ),
  rename: fs.renameSync,
  symlink: (target, path) => fs.symlinkSync(target, path),
  exchange: () => false,
  setMode: fs.chmodSync,
  setOwner: fs.chownSync,
  setTimes,
  [Symbol.dispose]: () => {},
};

/** The disk with the C library, where that may be called. To be closed. */
export function openDisk(): Disk {
  const writer = openWriter();
  const reading = writer && openReading();
  if (!writer || !reading) {
    writer?.[Symbol.dispose]();
    return plainDisk;
  }
  const plain = plainDisk;
  return {
    raw: true,
    writer,
    look: (path) => isRaw(path) ? lookAt(reading, path) : plain.look(path),
    names: (folder) => (isRaw(folder) ? undefined : allText(plain.names(folder))) ?? reading.names(folder),
    folders: (folder) =>
      (isRaw(folder) ? undefined : allText(plain.folders(folder))) ??
        reading.names(folder).filter((name) => reading.stat(`${folder}/${name}`).kind === "directory"),
    rename: (from, to) => isRaw(from + to) ? writer.rename(from, to) : plain.rename(from, to),
    symlink: (target, path) =>
      isRaw(target + path) ? writer.symlink(target, path) : plain.symlink(target, path),
    exchange: writer.exchange,
    setMode: (path, mode) => isRaw(path) ? writer.setMode(path, mode) : plain.setMode(path, mode),
    setOwner: (path, uid, gid) =>
      isRaw(path) ? writer.setOwner(path, uid, gid) : plain.setOwner(path, uid, gid),
    setTimes: (path, ms) => isRaw(path) ? writer.setTimes(path, Math.floor(ms), 0) : plain.setTimes(path, ms),
    [Symbol.dispose]: () => {
      writer[Symbol.dispose]();
      reading.close();
    },
  };
}

/** Deno shows what is not UTF-8 as U+FFFD. */
function allText(names: string[]): string[] | undefined {
  return names.some((name) => name.includes("\ufffd") || isRaw(name)) ? undefined : names;
}

function lookAt(reading: Reading, path: string): Look | undefined {
  try {
    const { kind, dev, ino, mode, uid, gid, mtimeMs } = reading.stat(path);
    return {
      isDirectory: () => kind === "directory",
      isFile: () => kind === "file",
      dev,
      ino,
      mode,
      uid,
      gid,
      mtimeMs,
    };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
