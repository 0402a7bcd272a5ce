/**
 * SFTP requests as promises. All that wait are told when the connection breaks, or when the server has been silent for too long.
 *
 * @module
 */
import type { Buffer } from "node:buffer";
import { clearTimeout, setTimeout } from "node:timers";
import { LostError, STATUS } from "./explain.ts";
import type { Answer, Attributes, Channel, Named, Space } from "./library.ts";

/** Bytes that every server takes in one request (draft-ietf-secsh-filexfer-02, section 3). */
const PIECE = 32 * 1024;

/** More than that saves nothing. */
const MOST = 256 * 1024;

/** A connection that serves requests. */
export interface Wire {
  /** Bytes of the longest request. */
  readonly piece: number;
  /** Opens a file: "r", "r+", "w" (made or emptied), "wx" (must be new). New files are for their owner alone. */
  readonly open: (path: string, flags: "r" | "r+" | "w" | "wx") => Promise<Buffer>;
  /** Closes a file or a folder. */
  readonly close: (handle: Buffer) => Promise<void>;
  /** Reads up to `length` bytes to `at`; 0 at the end of the file. */
  readonly read: (
    handle: Buffer,
    to: Buffer,
    at: number,
    length: number,
    position: number,
  ) => Promise<number>;
  /** Writes a piece. */
  readonly write: (
    handle: Buffer,
    from: Buffer,
    at: number,
    length: number,
    position: number,
  ) => Promise<void>;
  /** Attributes of an open file. */
  readonly fstat: (handle: Buffer) => Promise<Attributes>;
  /** Attributes, links followed. */
  readonly stat: (path: string) => Promise<Attributes>;
  /** Attributes, of a link its own. */
  readonly lstat: (path: string) => Promise<Attributes>;
  /** Opens a folder. */
  readonly opendir: (path: string) => Promise<Buffer>;
  /** The next names; undefined after the last. */
  readonly readdir: (handle: Buffer) => Promise<readonly Named[] | undefined>;
  /** Removes a file. */
  readonly unlink: (path: string) => Promise<void>;
  /** Renames; whether that replaces is the server's choice. */
  readonly rename: (from: string, to: string) => Promise<void>;
  /** posix-rename@openssh.com: replaces, in one step. */
  readonly replace: (from: string, to: string) => Promise<void>;
  /** hardlink@openssh.com: a second name; fails when it is taken. */
  readonly link: (from: string, to: string) => Promise<void>;
  /** fsync@openssh.com. */
  readonly sync: (handle: Buffer) => Promise<void>;
  /** statvfs@openssh.com. */
  readonly space: (path: string) => Promise<Space>;
  /** Makes a folder (mode 0700). */
  readonly mkdir: (path: string) => Promise<void>;
  /** Removes an empty folder. */
  readonly rmdir: (path: string) => Promise<void>;
  /** Whether requests can still be sent. */
  readonly alive: () => boolean;
  /** Tells all that wait that nothing more will come. */
  readonly fail: (why: string) => void;
}

/** Wraps a channel. `broken` is called when the server has been silent for `stallMs` while something waited. */
export function wireOf(channel: Channel, stallMs: number, broken: () => void): Wire {
  const { ask, alive, fail } = asking(stallMs, broken);
  return {
    piece: Math.max(PIECE, Math.min(channel._maxWriteLen ?? PIECE, MOST)),
    open: (path, flags) => ask((answer) => channel.open(path, flags, { mode: 0o600 }, answer)),
    close: (handle) => ask((answer) => channel.close(handle, answer)),
    read: (handle, to, at, length, position) =>
      ask((answer) => channel.read(handle, to, at, length, position, answer)),
    write: (handle, from, at, length, position) =>
      ask((answer) => channel.write(handle, from, at, length, position, answer)),
    fstat: (handle) => ask((answer) => channel.fstat(handle, answer)),
    stat: (path) => ask((answer) => channel.stat(path, answer)),
    lstat: (path) => ask((answer) => channel.lstat(path, answer)),
    opendir: (path) => ask((answer) => channel.opendir(path, answer)),
    readdir: async (handle) => {
      try {
        return await ask((answer: Answer<Named[]>) => channel.readdir(handle, answer));
      } catch (error) {
        if ((error as { code?: unknown }).code === STATUS.end) return undefined;
        throw error;
      }
    },
    unlink: (path) => ask((answer) => channel.unlink(path, answer)),
    rename: (from, to) => ask((answer) => channel.rename(from, to, answer)),
    replace: (from, to) => ask((answer) => channel.ext_openssh_rename(from, to, answer)),
    link: (from, to) => ask((answer) => channel.ext_openssh_hardlink(from, to, answer)),
    sync: (handle) => ask((answer) => channel.ext_openssh_fsync(handle, answer)),
    space: (path) => ask((answer) => channel.ext_openssh_statvfs(path, answer)),
    mkdir: (path) => ask((answer) => channel.mkdir(path, { mode: 0o700 }, answer)),
    rmdir: (path) => ask((answer) => channel.rmdir(path, answer)),
    alive,
    fail,
  };
}

interface Asking {
  readonly ask: <T>(send: (answer: Answer<T>) => void) => Promise<T>;
  readonly alive: () => boolean;
  readonly fail: (why: string) => void;
}

function asking(stallMs: number, broken: () => void): Asking {
  const waiting = new Set<(error: Error) => void>();
  let dead: string | undefined;
  let heard = performance.now();
  let timer: NodeJS.Timeout | undefined;

  function look(): void {
    timer = undefined;
    if (waiting.size === 0) return;
    const left = stallMs - (performance.now() - heard);
    if (left > 0) return void (timer = setTimeout(look, left));
    fail(`the server gave no answer for ${Math.round(stallMs / 1000)} s. Look at the network and the server`);
    broken();
  }

  function fail(why: string): void {
    dead ??= why;
    clearTimeout(timer);
    timer = undefined;
    for (const reject of waiting) reject(new LostError(dead));
    waiting.clear();
  }

  function ask<T>(send: (answer: Answer<T>) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (dead !== undefined) return reject(new LostError(dead));
      if (waiting.size === 0) heard = performance.now();
      waiting.add(reject);
      timer ??= setTimeout(look, stallMs);
      const settle = (): boolean => {
        heard = performance.now();
        const waited = waiting.delete(reject);
        if (waiting.size === 0) {
          clearTimeout(timer);
          timer = undefined;
        }
        return waited;
      };
      try {
        send((error, value) => {
          if (!settle()) return; // told already
          if (error) reject(answered(error));
          else resolve(value);
        });
      } catch (error) {
        settle(); // the library throws for an extension that the server does not offer
        reject(Object.assign(new Error((error as Error).message), { code: STATUS.unsupported }));
      }
    });
  }
  return { ask, alive: () => dead === undefined, fail };
}

/** An error without a status is the library's own: the channel is closed. */
function answered(error: Error): Error {
  return "code" in error && typeof error.code === "number" ? error : new LostError(error.message);
}
