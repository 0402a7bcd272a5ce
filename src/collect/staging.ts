/**
 * Staging folders: fresh, private, on the target's file system, owned by one process at a time.
 *
 * `.<base>.holdfast-<16 hex>` beside the target, or inside it where the target is a mount point or its parent cannot be
 * written. It holds `owner` (locked by flock for as long as the process lives), `new`, `old`, and in the leading one
 * `journal` and `done`.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import { StoreError } from "../errors.ts";
import { unlock } from "../unlock.ts";
import { codeOf, fault, setTimes } from "./place.ts";
import { quote } from "./select.ts";

/** A staging folder held by this process. */
export interface Staging {
  /** The folder. */
  readonly path: string;
  /** What it stands for. */
  readonly owner: Owner;
  /** Lets go of the lock; the folder stays. */
  readonly release: () => void;
}

const ownerSchema = v.object({
  /** What will be swapped. */
  target: v.string(),
  /** The staging folder with the journal. */
  lead: v.string(),
  /** For people. */
  pid: v.number(),
  /** The target's time before, when the staging folder lies inside it. */
  mtimeMs: v.optional(v.number()),
});

/** The text of `owner`. */
export type Owner = v.InferOutput<typeof ownerSchema>;

const NAME = /^\.(?:.*\.)?holdfast-[0-9a-f]{16}$/;

/** Makes a staging folder for `target`; `lead` is the path of the one with the journal, undefined for that one itself. */
export function stage(target: string, mounts: Mounts, lead?: string): Staging {
  const stat = fs.lstatSync(target, { throwIfNoEntry: false });
  const folder = stat?.isDirectory() ?? false;
  const inside = folder && mounts.isMount(target);
  for (let tries = 0;; tries++) {
    const id = `holdfast-${randomBytes(8).toString("hex")}`;
    const beside = join(dirname(target), `.${basename(target).slice(0, 50).toWellFormed()}.${id}`);
    try {
      const path = inside
        ? join(target, `.${id}`)
        : makeBeside(beside, folder ? join(target, `.${id}`) : undefined);
      if (inside) fs.mkdirSync(path, 0o700);
      const within = dirname(path) === target;
      return claimNew(path, {
        target,
        lead: lead ?? path,
        pid: Deno.pid,
        ...(within && stat ? { mtimeMs: stat.mtimeMs } : {}),
      });
    } catch (cause) {
      if (tries < 3 && (codeOf(cause) === "ENOENT" || codeOf(cause) === "EEXIST")) continue;
      const code = codeOf(cause);
      if (code === "ENOSPC" || code === "EDQUOT") throw fault(target, cause);
      throw new StoreError(
        `Cannot restore into ${quote(target)}: a staging folder cannot be made there (${
          code || String(cause)
        }). ` +
          "Choose a target whose folder can be written",
        { cause },
      );
    }
  }
}

function makeBeside(beside: string, inside: string | undefined): string {
  try {
    fs.mkdirSync(beside, 0o700);
    return beside;
  } catch (cause) {
    if (!inside || !["EACCES", "EPERM", "EROFS", "ENAMETOOLONG"].includes(codeOf(cause))) throw cause;
    fs.mkdirSync(inside, 0o700);
    return inside;
  }
}

function claimNew(path: string, owner: Owner): Staging {
  let lock: Deno.FsFile | undefined;
  try {
    fs.closeSync(fs.openSync(join(path, "owner"), "wx", 0o600));
    lock = lockOwner(path);
    if (!lock) throw Object.assign(new Error("taken for a leftover"), { code: "ENOENT" });
    writeDurably(join(path, "owner"), [JSON.stringify(owner)]);
    fs.mkdirSync(join(path, "old"), 0o777);
    return { path, owner, release: closer(lock) };
  } catch (error) {
    removeTree(path);
    if (lock) unlock(lock);
    throw error;
  }
}

/** Writes a file and waits until the disk has it. */
export function writeDurably(path: string, lines: Iterable<string>): void {
  const fd = fs.openSync(path, "w", 0o600);
  try {
    let block = "";
    for (const line of lines) {
      block += line;
      if (block.length > 1 << 16) {
        fs.writeSync(fd, block);
        block = "";
      }
    }
    fs.writeSync(fd, block);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Waits until the disk has a folder's names; best effort where a folder cannot be opened. */
export function syncFolder(path: string): void {
  try {
    const fd = fs.openSync(path, "r");
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  } catch { /* Windows, and file systems that refuse */ }
}

/** What the process takes off new modes, and who new files belong to; asked of the disk, which needs no permission. */
export function ways(staging: Staging): { umask: number; uid: number; gid: number } {
  const { mode, uid, gid } = fs.lstatSync(join(staging.path, "old"));
  return { umask: 0o777 & ~mode, uid, gid };
}

/** Takes over a staging folder whose owner is dead. "alive": it is not. Undefined: nothing is there any more. */
export function claimLeftover(path: string): Staging | "alive" | undefined {
  if (!NAME.test(basename(path)) || !fs.lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    return undefined;
  }
  const file = join(path, "owner");
  if (!fs.lstatSync(file, { throwIfNoEntry: false })?.isFile()) {
    try {
      // Died between two calls, or is being made this moment: only an empty folder goes, and its maker makes another.
      fs.rmdirSync(path);
    } catch { /* not empty: not ours to judge */ }
    return undefined;
  }
  let lock: Deno.FsFile | undefined;
  try {
    lock = lockOwner(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.PermissionDenied) return "alive";
    throw error;
  }
  if (!lock) return "alive";
  try {
    const owner = readOwner(file) ?? { target: "", lead: path, pid: 0 };
    return { path, owner, release: closer(lock) };
  } catch (error) {
    unlock(lock);
    throw error;
  }
}

/** Closes once. */
function closer(file: Deno.FsFile): () => void {
  let open = true;
  return () => {
    if (open) unlock(file);
    open = false;
  };
}

/** Undefined when the text was cut short by a crash: then nothing had been staged yet. */
function readOwner(file: string): Owner | undefined {
  try {
    const parsed = v.safeParse(ownerSchema, JSON.parse(fs.readFileSync(file, "utf8")));
    return parsed.success ? parsed.output : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function lockOwner(path: string): Deno.FsFile | undefined {
  const file = Deno.openSync(join(path, "owner"), { read: true, write: true });
  try {
    if (file.tryLockSync(true)) {
      // Whoever held it before may have removed the folder while we waited for our turn.
      if (fs.lstatSync(join(path, "owner"), { throwIfNoEntry: false })?.ino === file.statSync().ino) {
        return file;
      }
    }
  } catch (error) {
    file.close();
    throw error;
  }
  file.close();
  return undefined;
}

/**
 * Removes a staging folder in an order that a crash at any point leaves meaning the same: content first, then the journal,
 * then what says how it ended, then the owner. `untouched`: the target is as it was, and so is its time.
 */
export function removeStaging(
  staging: Staging,
  untouched: boolean,
  step: (what: string) => void = () => {},
): void {
  const { path, owner } = staging;
  for (const part of ["new", "old", "journal.part", "journal", "done"]) {
    step(part);
    removeTree(join(path, part));
  }
  step("owner");
  fs.rmSync(join(path, "owner"), { force: true });
  step("folder");
  fs.rmdirSync(path);
  if (untouched && owner.mtimeMs !== undefined) restoreTime(owner.target, owner.mtimeMs);
  staging.release();
}

function restoreTime(target: string, mtimeMs: number): void {
  try {
    setTimes(target, mtimeMs);
  } catch { /* cosmetic: the folder may have changed hands */ }
}

/** Removes whatever is at `path`, also folders that forbid it; never crosses into another file system. */
export function removeTree(path: string): void {
  try {
    fs.rmSync(path, { recursive: true, force: true });
  } catch (error) {
    if (codeOf(error) !== "EACCES" && codeOf(error) !== "EPERM") throw error;
    unlockFolders(path);
    fs.rmSync(path, { recursive: true, force: true });
  }
}

function unlockFolders(path: string): void {
  // Not there: its name is not UTF-8, and is shown as another.
  if (!fs.lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  fs.chmodSync(path, 0o700);
  for (const item of fs.readdirSync(path, { withFileTypes: true })) {
    if (item.isDirectory()) unlockFolders(join(path, item.name));
  }
}

/** Where file systems are mounted. */
export interface Mounts {
  /** Whether this directory is a mount point (or, where nobody can tell, may be one). */
  readonly isMount: (path: string) => boolean;
  /** Whether the mount table could be read. */
  readonly known: boolean;
  /** A mount point strictly below a path, as far as is known. */
  readonly below: (path: string) => string | undefined;
}

/** Reads the mount table. Deno shows /proc only to programs with all permissions: without it, every folder may be a mount. */
export function readMounts(): Mounts {
  let points: string[] | undefined = Deno.build.os === "linux" ? undefined : [];
  try {
    const lines = fs.readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    // proc(5): the fifth field, with space, tab, newline and backslash in octal.
    points = lines.map((line) =>
      (line.split(" ")[4] ?? "").replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)))
    );
  } catch { /* not Linux, or not allowed */ }
  return {
    known: points !== undefined,
    isMount: (path) =>
      points === undefined || points.includes(path) || dirname(path) === path ||
      fs.lstatSync(path).dev !== fs.lstatSync(dirname(path)).dev,
    below: (path) =>
      points?.find((point) => point.startsWith(path === "/" ? "/" : path + "/") && point !== path),
  };
}

/** Staging folders beside the path, in it, and beside each folder above it. */
export function leftoversNear(target: string): string[] {
  const found: string[] = [];
  for (let at = target; at !== dirname(at); at = dirname(at)) {
    const start = `.${basename(at).slice(0, 50).toWellFormed()}.holdfast-`;
    found.push(
      ...list(dirname(at)).filter((name) => name.startsWith(start)).map((name) => join(dirname(at), name)),
    );
  }
  found.push(
    ...list(target).filter((name) => name.startsWith(".holdfast-")).map((name) => join(target, name)),
  );
  return found.filter((path) => NAME.test(basename(path)));
}

function list(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}
