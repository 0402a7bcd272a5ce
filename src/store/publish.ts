/**
 * Gives a finished temporary file its name, in one step that readers see whole or not at all.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { unlock } from "../unlock.ts";
import { codeOf, type Root } from "./folder.ts";
import { readFull } from "./read.ts";

const COMPARE_BYTES = 1024 * 1024;

/** What link(2) says where a file system has no hard links (FAT, exFAT, some network and FUSE file systems). */
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EXDEV"]);

/** Guards the conditional writes where there are no hard links; its suffix hides it from listings. */
const GUARD = ".put.lease";

/** Makes a second name for a file, or fails with EEXIST: `Deno.link`, or what a test puts in its place. */
export type Link = (from: string, to: string) => Promise<void>;

/**
 * Publishes `temp` as `path`. Replacing is rename(2). With `ifAbsent` it is link(2), which fails when the name is taken; "exists"
 * then says that the name stands for other bytes. Equal bytes are a success: on a network file system the answer to the
 * first attempt may have got lost.
 *
 * Without hard links, "look, then rename" runs under flock(2) on a guard file: of all conditional writers of this store
 * exactly one wins, also across processes, and a dead one holds nothing. A replacing write is not held back by the guard,
 * so a key must be written either conditionally or not.
 */
export async function publish(
  root: Root,
  temp: string,
  path: string,
  ifAbsent: boolean,
  link: Link = Deno.link,
): Promise<"done" | "exists"> {
  if (!ifAbsent) {
    await Deno.rename(temp, path);
    return "done";
  }
  for (let attempt = 1;; attempt++) {
    try {
      await link(temp, path);
      return "done";
    } catch (error) {
      const code = codeOf(error);
      if (NO_LINKS.has(code)) return await renameUnderGuard(root, temp, path);
      if (code !== "EEXIST") throw error;
    }
    try {
      return await equal(temp, path) ? "done" : "exists";
    } catch (error) {
      if (codeOf(error) !== "ENOENT" || attempt >= 5) throw error; // else: deleted just now, so try again
    }
  }
}

async function renameUnderGuard(root: Root, temp: string, path: string): Promise<"done" | "exists"> {
  const guard = await Deno.open(join(root.path, GUARD), { write: true, create: true, mode: 0o600 });
  try {
    await guard.lock(true);
    try {
      await Deno.lstat(path);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
      await Deno.rename(temp, path);
      return "done";
    }
    return await equal(temp, path) ? "done" : "exists";
  } finally {
    unlock(guard);
  }
}

/** Whether two files hold the same bytes. */
async function equal(a: string, b: string): Promise<boolean> {
  const [one, two] = await Promise.all([Deno.lstat(a), Deno.lstat(b)]);
  if (!two.isFile || one.size !== two.size) return false;
  using first = await Deno.open(a);
  using second = await Deno.open(b);
  const left = Buffer.alloc(COMPARE_BYTES);
  const right = Buffer.alloc(COMPARE_BYTES);
  for (;;) {
    const [x, y] = await Promise.all([readFull(first, left), readFull(second, right)]);
    if (x !== y || left.compare(right, 0, y, 0, x) !== 0) return false;
    if (x < COMPARE_BYTES) return true;
  }
}
