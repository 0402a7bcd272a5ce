/**
 * Keeps a stream whole until its length is known: in memory while it is small, then in a file that has no name and is encrypted
 * under a key that lives in memory only.
 *
 * @module
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { closeSync, openSync, readSync, statfsSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { formatBytes, toBytes } from "../bytes.ts";
import { IntegrityError, messageOf } from "../errors.ts";
import type { Bytes, U8 } from "../stage.ts";

/** Bytes kept in memory before a file is made: 4 MiB. */
export const SPOOL_MEMORY: number = 4 * 1024 * 1024;

/** Plain bytes of one sealed block: 1 MiB. */
const BLOCK = 1024 * 1024;
/** Poly1305 tag. */
const TAG = 16;
const SEALED = BLOCK + TAG;

/** A place for bytes of unknown number. Written first, then read any number of times, then closed. */
export interface Spool {
  /** Bytes so far. */
  readonly size: () => number;
  /** Takes the next bytes; keeps no reference. Throws when the disk is about to be full. */
  readonly write: (chunk: Uint8Array) => void;
  /** Ends the writing and reads from the start, in chunks of 1 MiB. */
  readonly read: () => Bytes;
  /** Frees memory, disk and key. May be called twice. */
  readonly close: () => void;
}

/**
 * Opens a spool. `folder`: where a file would lie; default: the system's folder for temporary files. `what` names the content in
 * messages; `memory`: bytes kept without a file. The file has no name from the start, so nothing is left even after `kill -9`, and
 * each block of it is sealed with ChaCha20-Poly1305 (RFC 8439) under a throw-away key. At least 64 MiB, or 5 % of a small disk, are left free.
 */
export function spool(what: string, folder: string | undefined, memory: number = SPOOL_MEMORY): Spool {
  const dir = resolve(folder ?? tmpdir());
  const head: U8[] = [];
  let block = new Uint8Array(BLOCK);
  let fill = 0;
  let size = 0;
  let file: SealedFile | undefined;
  let ended = false;
  let closed = false;

  function flush(): void {
    if (!file && head.length * BLOCK < memory) {
      head.push(block.subarray(0, fill));
      block = new Uint8Array(BLOCK);
    } else {
      file ??= sealedFile(what, dir);
      file.append(block.subarray(0, fill));
    }
    fill = 0;
  }

  function write(chunk: Uint8Array): void {
    if (ended || closed) throw new Error(`Cannot spool ${what}: the writing has ended`);
    for (let at = 0; at < chunk.length;) {
      const take = Math.min(BLOCK - fill, chunk.length - at);
      block.set(chunk.subarray(at, at + take), fill);
      at += take;
      fill += take;
      size += take;
      if (fill === BLOCK) flush();
    }
  }

  async function* blocks(): AsyncGenerator<U8, void, undefined> {
    const count = Math.ceil(size / BLOCK);
    for (let i = 0; i < count; i++) {
      if (closed) throw new Error(`Cannot read ${what} from its spool: the spool is closed`);
      // A copy, because whoever takes a chunk may transfer its buffer.
      yield head[i]?.slice() ?? file!.at(i - head.length, Math.min(BLOCK, size - i * BLOCK));
    }
  }

  return {
    size: () => size,
    write,
    read: () => {
      ended = true;
      if (fill > 0) flush();
      return toBytes(blocks);
    },
    close: () => {
      closed = true;
      head.length = 0;
      file?.close();
      file = undefined;
    },
  };
}

/** A spool that is closed with its scope. */
export function spooled(what: string, folder: string | undefined): Spool & Disposable {
  const kept = spool(what, folder);
  return { ...kept, [Symbol.dispose]: kept.close };
}

/** Throws unless a spool for `bytes` bytes can be opened in `folder` now: writable, and room enough. Leaves nothing. */
export function checkSpool(what: string, folder: string | undefined, bytes: number): void {
  const dir = resolve(folder ?? tmpdir());
  closeSync(openNameless(what, dir));
  if (bytes > SPOOL_MEMORY) checkSpace(what, dir, bytes);
}

/** A nameless file of sealed blocks. */
interface SealedFile {
  readonly append: (block: Uint8Array) => void;
  readonly at: (block: number, length: number) => U8;
  readonly close: () => void;
}

function sealedFile(what: string, dir: string): SealedFile {
  checkSpace(what, dir, SPOOL_MEMORY);
  const fd = openNameless(what, dir);
  const key = randomBytes(32);
  // One buffer for all blocks: a new one each time is memory that waits for the collector.
  const buffer = new Uint8Array(SEALED);
  let count = 0;

  function append(block: Uint8Array): void {
    checkSpace(what, dir, SEALED);
    const cipher = createCipheriv("chacha20-poly1305", key, nonce(count), { authTagLength: TAG });
    const sealed = buffer.subarray(0, block.length + TAG);
    sealed.set(cipher.update(block));
    cipher.final();
    sealed.set(cipher.getAuthTag(), block.length);
    writeAt(what, dir, fd, sealed, count * SEALED);
    count++;
  }

  function at(index: number, length: number): U8 {
    const sealed = buffer.subarray(0, length + TAG);
    for (let got = 0; got < sealed.length;) {
      const read = readSync(fd, sealed, got, sealed.length - got, index * SEALED + got);
      if (read === 0) {
        throw new IntegrityError(`Cannot read ${what} from its spool: the file was cut. Run again`);
      }
      got += read;
    }
    const decipher = createDecipheriv("chacha20-poly1305", key, nonce(index), { authTagLength: TAG });
    decipher.setAuthTag(sealed.subarray(length));
    const opened = decipher.update(sealed.subarray(0, length));
    try {
      decipher.final();
    } catch (cause) {
      throw new IntegrityError(`Cannot read ${what} from its spool: it was changed on disk. Run again`, {
        cause,
      });
    }
    return new Uint8Array(opened);
  }

  let open = true;
  function close(): void {
    if (!open) return;
    open = false;
    key.fill(0);
    closeSync(fd);
  }

  return { append, at, close };
}

/** Each block has its own number, and the key is used for one spool: no nonce comes twice. */
function nonce(block: number): Uint8Array {
  const bytes = new Uint8Array(12);
  new DataView(bytes.buffer).setBigUint64(4, BigInt(block));
  return bytes;
}

function openNameless(what: string, dir: string): number {
  const path = join(dir, `.holdfast-spool-${randomBytes(12).toString("hex")}`);
  try {
    const fd = openSync(path, "wx+", 0o600);
    unlinkSync(path);
    return fd;
  } catch (cause) {
    throw new Error(
      `Cannot spool ${what} in "${dir}": ${messageOf(cause)}. Set spoolDir to a folder that can be written`,
      {
        cause,
      },
    );
  }
}

function writeAt(what: string, dir: string, fd: number, bytes: Uint8Array, position: number): void {
  try {
    for (let at = 0; at < bytes.length;) {
      at += writeSync(fd, bytes, at, bytes.length - at, position + at);
    }
  } catch (cause) {
    if ((cause as { code?: unknown }).code === "ENOSPC") throw fullError(what, dir, 0);
    throw new Error(`Cannot spool ${what} in "${dir}": ${messageOf(cause)}`, { cause });
  }
}

/** Throws before `more` bytes would take what is left for others. */
function checkSpace(what: string, dir: string, more: number): void {
  const space = spaceOf(dir);
  if (!space) return;
  const reserve = Math.min(64 * 1024 * 1024, space.total / 20);
  if (space.free - more < reserve) throw fullError(what, dir, space.free);
}

/** Undefined where the system, or a permission, does not let us look. */
function spaceOf(dir: string): { free: number; total: number } | undefined {
  try {
    const { bavail, blocks, bsize } = statfsSync(dir);
    return { free: bavail * bsize, total: blocks * bsize };
  } catch {
    return undefined;
  }
}

function fullError(what: string, dir: string, free: number): Error {
  return new Error(
    `Cannot spool ${what}: not enough space in "${dir}", ${
      formatBytes(free)
    } free. Free some, or set spoolDir to a larger disk`,
  );
}
