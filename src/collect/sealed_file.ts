/**
 * A file without a name, of blocks sealed with ChaCha20-Poly1305 (RFC 8439) under a key that lives in memory only.
 *
 * @module
 */
import { createCipheriv, randomBytes } from "node:crypto";
import { closeSync, openSync, read, unlinkSync, write, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { pass } from "../blocks.ts";
import { IntegrityError, messageOf } from "../errors.ts";
import type { U8 } from "../stage.ts";
import { checkSpace, fullError } from "./space.ts";

/** Plain bytes of one sealed block: 1 MiB. */
export const BLOCK: number = 1024 * 1024;
/** Poly1305 tag. */
const TAG = 16;
const SEALED = BLOCK + TAG;
const CIPHER = "ChaCha20-Poly1305";

const readFrom = promisify(read);
const writeTo = promisify(write);

/** A nameless file of sealed blocks. */
export interface SealedFile {
  /** Seals and writes a block; keeps no reference. Throws when the disk is about to be full, or an earlier block failed. */
  readonly append: (block: Uint8Array) => void;
  /** Resolves when every block is in the file. Rejects when one is not. */
  readonly settled: () => Promise<void>;
  /** The first `length` bytes of a block. */
  readonly at: (block: number, length: number) => Promise<U8>;
  /** Lets go of the file and the key. May be called twice. */
  readonly close: () => void;
}

/**
 * Opens a sealed file in `dir`. Up to `ahead` blocks are sealed and written beside this thread; a block that comes while so many are
 * under way is sealed and written on this thread, so that memory stays bounded whoever is faster.
 */
export function sealedFile(what: string, dir: string, ahead: number): SealedFile {
  checkSpace(what, dir, 4 * BLOCK);
  const fd = openNameless(what, dir);
  const secret = new Uint8Array(randomBytes(32));
  const key = crypto.subtle.importKey("raw-secret", secret, CIPHER, false, ["encrypt", "decrypt"]);
  // Buffers are used again: a new one each time is memory that waits for the collector.
  const spare: U8[] = [];
  const writes = new Set<Promise<void>>();
  let busy = 0;
  let failure: { readonly error: unknown } | undefined;
  let count = 0;
  let open = true;

  function append(block: Uint8Array): void {
    if (failure) throw failure.error;
    checkSpace(what, dir, SEALED * (writes.size + 1));
    const index = count++;
    if (writes.size >= ahead) return seal(block, index);
    const copy = (spare.pop() ?? new Uint8Array(SEALED)).subarray(0, block.length);
    copy.set(block);
    const job = tracked(sealBeside(copy, index).catch((error) => void (failure ??= { error })));
    writes.add(job);
    void job.then(() => writes.delete(job));
  }

  /** Keeps the descriptor open for a piece of work: closed, its number may be another file's at once. */
  async function tracked<T>(work: Promise<T>): Promise<T> {
    busy++;
    try {
      return await work;
    } finally {
      busy--;
      shut();
    }
  }

  function seal(block: Uint8Array, index: number): void {
    const cipher = createCipheriv("chacha20-poly1305", secret, nonce(index), { authTagLength: TAG });
    const buffer = spare.pop() ?? new Uint8Array(SEALED);
    const sealed = buffer.subarray(0, block.length + TAG);
    sealed.set(cipher.update(block));
    cipher.final();
    sealed.set(cipher.getAuthTag(), block.length);
    try {
      for (let at = 0; at < sealed.length;) {
        at += writeSync(fd, sealed, at, sealed.length - at, index * SEALED + at);
      }
    } catch (cause) {
      throw writeError(what, dir, cause);
    }
    spare.push(buffer);
  }

  async function sealBeside(block: U8, index: number): Promise<void> {
    const sealed = new Uint8Array(
      await crypto.subtle.encrypt({ name: CIPHER, iv: nonce(index) }, await key, block),
    );
    spare.push(new Uint8Array(block.buffer));
    try {
      for (let at = 0; at < sealed.length;) {
        at += (await writeTo(fd, sealed, at, sealed.length - at, index * SEALED + at)).bytesWritten;
      }
    } catch (cause) {
      throw writeError(what, dir, cause);
    }
    sealed.buffer.transfer(0); // frees it now: it does not wait for the collector
  }

  async function unseal(index: number, length: number): Promise<U8> {
    const buffer = spare.pop() ?? new Uint8Array(SEALED);
    const sealed = buffer.subarray(0, length + TAG);
    for (let got = 0; got < sealed.length;) {
      const { bytesRead } = await readFrom(fd, sealed, got, sealed.length - got, index * SEALED + got);
      if (bytesRead === 0) {
        throw new IntegrityError(`Cannot read ${what} from its spool: the file was cut. Run again`);
      }
      got += bytesRead;
    }
    try {
      const plain = await crypto.subtle.decrypt({ name: CIPHER, iv: nonce(index) }, await key, sealed);
      spare.push(buffer);
      return pass(new Uint8Array(plain));
    } catch (cause) {
      throw new IntegrityError(`Cannot read ${what} from its spool: it was changed on disk. Run again`, {
        cause,
      });
    }
  }

  function shut(): void {
    if (open || busy > 0) return;
    secret.fill(0);
    closeSync(fd);
  }

  return {
    append,
    settled: async () => {
      while (writes.size > 0) await Promise.all(writes);
      if (failure) throw failure.error;
    },
    at: (index, length) => tracked(unseal(index, length)),
    close: () => {
      if (!open) return;
      open = false;
      shut();
    },
  };
}

/** Each block has its own number, and the key is used for one spool: no nonce comes twice. */
function nonce(block: number): U8 {
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

function writeError(what: string, dir: string, cause: unknown): Error {
  if ((cause as { code?: unknown }).code === "ENOSPC") return fullError(what, dir, 0);
  return new Error(`Cannot spool ${what} in "${dir}": ${messageOf(cause)}`, { cause });
}

/** Throws unless a file for `bytes` bytes can be opened in `folder` now: writable, and room enough. Leaves nothing. */
export function checkFolder(what: string, dir: string, bytes: number): void {
  closeSync(openNameless(what, dir));
  if (bytes > 0) checkSpace(what, dir, bytes);
}
