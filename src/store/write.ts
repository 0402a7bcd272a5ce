/**
 * The writing half of the directory store: temporary file, fsync, link or rename, fsync of the folder.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { giveBack } from "../blocks.ts";
import { ExistsError } from "../errors.ts";
import type { Bytes, PutOptions, U8 } from "../stage.ts";
import { codeOf, explain, makeFolders, type Root, syncFolder, tidyFolders } from "./folder.ts";
import { TEMP_NAME } from "./key.ts";
import { publish } from "./publish.ts";
import { type Source, sourceOf } from "./source.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * How many bytes are written between two calls of fdatasync(2), which run beside the writing: the disk starts early, and
 * the last fsync of a large archive has little left to do.
 */
const FLUSH_BYTES = 16 * 1024 * 1024;

/** One write. */
export interface Target {
  /** The store's folder. */
  readonly root: Root;
  /** The key, for messages. */
  readonly key: string;
  /** The key's file. */
  readonly path: string;
}

/** Writes an object: whole and durable when it resolves, not there at all when it rejects. */
export async function write(target: Target, body: Bytes | U8, options: PutOptions): Promise<void> {
  const { root, key, path } = target;
  const action = `Cannot write "${key}"`;
  const folder = dirname(path);
  const source = sourceOf(body, options.signal);
  const temp = join(folder, tempName(path));
  let file: Deno.FsFile | undefined;
  try {
    options.signal?.throwIfAborted();
    file = await create(root, temp, action);
    await fill(file, temp, source, (error) => explain(error, action, root));
    options.signal?.throwIfAborted();
    try {
      root.seen = true;
      if (await publish(root, temp, path, options.ifAbsent ?? false) === "exists") throw exists(key, root);
      await Deno.remove(temp).catch(() => {});
      await syncFolder(folder);
    } catch (error) {
      throw await explain(error, action, root);
    }
  } catch (error) {
    if (file) {
      await Deno.remove(temp).catch(() => {});
      await tidyFolders(root, folder);
    }
    await source.cancel(error);
    throw error;
  } finally {
    source.release();
  }
}

function exists(key: string, root: Root): ExistsError {
  return new ExistsError(
    `Cannot write "${key}": it exists in "${root.path}" with other content. Choose another name, or delete it first`,
  );
}

function tempName(path: string): string {
  // At most 64 characters of the key, so that the name stays below the 255 bytes of most file systems.
  const base = Array.from(path.slice(dirname(path).length + 1)).slice(0, 48).join("");
  return `.${base}.tmp-${randomBytes(8).toString("hex")}`;
}

/** Opens the temporary file; makes the folders only when they turn out to be missing. */
async function create(root: Root, temp: string, action: string): Promise<Deno.FsFile> {
  for (let attempt = 1;; attempt++) {
    try {
      return await Deno.open(temp, { write: true, createNew: true, mode: 0o600 });
    } catch (error) {
      // Another run may tidy away an empty folder between its making and this open.
      if (codeOf(error) !== "ENOENT" || attempt > 5) throw await explain(error, action, root);
      await makeFolders(root, dirname(temp), action);
    }
  }
}

/** Writes the source to the file and makes it durable. One chunk is being written while the next is being made. */
async function fill(
  file: Deno.FsFile,
  temp: string,
  source: Source,
  explained: (error: unknown) => Promise<Error>,
): Promise<void> {
  const flusher = flushing(temp);
  let writing = Promise.resolve();
  try {
    for (;;) {
      const chunk = await source.next();
      await own(writing);
      if (!chunk) break;
      writing = writeAll(file, chunk).then(() => giveBack(chunk));
      writing.catch(() => {}); // awaited above, or below after a failure of the source
      await own(flusher.wrote(chunk.length));
    }
    await own(flusher.idle());
    await own(file.syncData());
  } finally {
    await writing.catch(() => {});
    await flusher.close();
    file.close();
  }

  /** Only the disk's errors are the store's; the source's pass as they are. */
  async function own(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      throw await explained(error);
    }
  }
}

async function writeAll(file: Deno.FsFile, chunk: U8): Promise<void> {
  for (let at = 0; at < chunk.length;) at += await file.write(chunk.subarray(at));
}

interface Flusher {
  readonly wrote: (bytes: number) => Promise<void>;
  readonly idle: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Starts writing back early. A second handle, because Deno queues the calls on one. */
function flushing(path: string): Flusher {
  let handle: Deno.FsFile | undefined;
  let running: Promise<void> | undefined;
  let failure: unknown;
  let unflushed = 0;
  async function idle(): Promise<void> {
    await running;
    if (failure !== undefined) throw failure;
  }
  return {
    wrote: async (bytes) => {
      unflushed += bytes;
      if (failure !== undefined) throw failure;
      if (unflushed < FLUSH_BYTES || running) return;
      unflushed = 0;
      handle ??= await Deno.open(path, { write: true });
      running = handle.syncData().catch((error) => void (failure = error)).finally(() => running = undefined);
    },
    idle,
    close: async () => {
      await running;
      handle?.close();
    },
  };
}

/** Removes temporary files of dead runs: nothing has been written to them for a day. */
export async function sweep(folder: string): Promise<void> {
  try {
    for await (const entry of Deno.readDir(folder)) {
      if (!entry.isFile || !TEMP_NAME.test(entry.name)) continue;
      const path = join(folder, entry.name);
      const { mtime } = await Deno.lstat(path);
      if (mtime && Date.now() - mtime.getTime() > DAY_MS) await Deno.remove(path);
    }
  } catch {
    // Best effort: another run may sweep too, and what matters about the folder the write itself will say.
  }
}
