/**
 * A lock file under flock(2): the system takes the lock away from a process that dies.
 *
 * @module
 */
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { text as decode } from "../bytes.ts";
import type { Lock } from "../stage.ts";
import { unlock } from "../unlock.ts";
import { codeOf, explain, isAbsent, makeFolders, type Root } from "./folder.ts";
import { readFull } from "./read.ts";

/** A holder's text is short; what is longer is not ours and is cut. */
const TEXT_BYTES = 64 * 1024;

/**
 * Tries to lock the file `path` and writes `text` into it for others to read. The file goes when the lock is released; after
 * a crash it stays, unlocked, and the next run takes it.
 */
export async function lockFile(root: Root, path: string, text: string): Promise<Lock> {
  const action = `Cannot lock "${path.slice(root.path.length + 1)}"`;
  try {
    for (;;) {
      const file = await openLock(root, path, action);
      try {
        if (!await tryLock(file, path)) {
          const holder = await readHolder(file);
          file.close();
          return { held: false, holder };
        }
        if (await isCurrent(file, path)) {
          await writeHolder(file, text).catch(() => {}); // on a full disk too, or a prune could not begin
          return { held: true, release: once(() => release(file, path)) };
        }
        file.close(); // its holder removed it while this run waited to open it
      } catch (error) {
        file.close();
        throw error;
      }
    }
  } catch (error) {
    throw await explain(error, action, root);
  }
}

async function openLock(root: Root, path: string, action: string): Promise<Deno.FsFile> {
  for (let attempt = 1;; attempt++) {
    try {
      return await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
    } catch (error) {
      if (codeOf(error) !== "ENOENT" || attempt > 5) throw error;
      await makeFolders(root, dirname(path), action);
    }
  }
}

async function tryLock(file: Deno.FsFile, path: string): Promise<boolean> {
  try {
    return await file.tryLock(true);
  } catch (error) {
    // No locks here: a lease is then an object of this name, and no empty file may stand in its way.
    if ((await file.stat()).size === 0) await Deno.remove(path).catch(() => {});
    throw error;
  }
}

/** Says who holds the lock: only for messages, the lock counts. */
async function writeHolder(file: Deno.FsFile, text: string): Promise<void> {
  await file.truncate(0);
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/** Whether the path still means the file that was opened: two runs must not hold locks on two files of one name. */
async function isCurrent(file: Deno.FsFile, path: string): Promise<boolean> {
  try {
    const [mine, there] = [await file.stat(), await Deno.lstat(path)];
    return mine.ino === there.ino && mine.dev === there.dev;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

/** The holder's text; empty when it holds the lock but has not written yet, even after a moment. */
async function readHolder(file: Deno.FsFile): Promise<string> {
  const buffer = new Uint8Array(TEXT_BYTES);
  for (let attempt = 1; attempt <= 5; attempt++) {
    await file.seek(0, Deno.SeekMode.Start);
    const count = await readFull(file, buffer);
    if (count > 0) {
      try {
        return decode(buffer.subarray(0, count));
      } catch {
        return "";
      }
    }
    await sleep(20);
  }
  return "";
}

/** Removed while still locked: whoever opened it meanwhile finds another file, or none, under the name, and tries again. */
async function release(file: Deno.FsFile, path: string): Promise<void> {
  try {
    if (await isCurrent(file, path)) await Deno.remove(path);
  } finally {
    unlock(file);
  }
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => running ??= work();
}
