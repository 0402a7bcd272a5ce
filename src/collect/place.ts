/**
 * Writes entries into a fresh, private folder. Hostile-input code: nothing is followed, nothing is replaced, nothing leaves.
 *
 * While it works the folder holds only directories and regular files (symlinks are made last, when no write can go through
 * one), so a path whose parents are plain names cannot lead anywhere else.
 *
 * @module
 */
import * as fs from "node:fs";
import { basename, dirname } from "node:path";
import { IntegrityError, StoreError } from "../errors.ts";
import { isRaw } from "../raw_name.ts";
import type { Entry } from "../stage.ts";
import { writeContent } from "./content.ts";
import { aliasesIn } from "./aliases.ts";
import type { Disk } from "./disk.ts";
import type { Dresser } from "./dress.ts";
import { ownerOf, type Owners } from "./owner.ts";
import { parentOf, quote } from "./select.ts";

/** What a directory or link gets when everything is in place. */
type Meta = Pick<
  Entry,
  "path" | "mode" | "mtimeMs" | "mtimeNs" | "uid" | "gid" | "uname" | "gname" | "acl" | "xattrs"
>;

/** A tree under construction. */
export interface Tree {
  /** Where a path stands until `finish`. */
  readonly at: (path: string) => string;
  /** Makes the directory and those above it; the metadata is set by `finish`. */
  readonly directory: (path: string, meta: Meta | undefined, asked: boolean) => void;
  /** Makes a file of `entry.bytes` bytes; a stream is read to its end. `tick` is awaited between chunks. */
  readonly file: (path: string, entry: Entry, tick: (bytes: number) => Promise<void>) => Promise<void>;
  /** Makes a symlink, at the end. */
  readonly symlink: (path: string, entry: Entry) => void;
  /** Gives a file that was made before a second name. `from` is in `source`, usually the same tree. */
  readonly hardlink: (path: string, entry: Entry, source: Tree, from: string) => void;
  /** The symlink that will be made at a path. */
  readonly pending: (path: string) => Entry | undefined;
  /** Whether the archive itself asked for this directory, so that an existing one takes its mode and time. */
  readonly asked: (path: string) => boolean;
  /** Makes the symlinks, then sets modes and times of directories, deepest first. */
  readonly finish: () => void;
}

interface Folder {
  meta: Meta | undefined;
  asked: boolean;
}

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW = 0 } = fs.constants;
const FILE_FLAGS = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;

/** Opens a tree at `root`, which must not exist; its parent must be private (mode 0700). `umask` is the process's. */
export function tree(root: string, umask: number, owners: Owners | undefined, on: Dresser, disk: Disk): Tree {
  const folders = new Map<string, Folder>();
  const links = new Map<string, Entry>();
  const aliases = aliasesIn(root);
  const abs = (path: string): string =>
    path === "" ? root : isRaw(path) ? aliases.at(path) : `${root}/${path}`;

  function ensure(path: string, child: string, self = false): void {
    if (folders.has(path)) return;
    if (links.has(path)) {
      throw new IntegrityError(
        `Cannot restore ${quote(child)}: ${
          quote(path)
        } above it is a symbolic link of the same archive, and links are not followed. ${HOSTILE}`,
      );
    }
    if (path !== "") ensure(parentOf(path), child);
    try {
      fs.mkdirSync(abs(path), 0o700);
    } catch (cause) {
      if (codeOf(cause) !== "EEXIST") throw fault(child, cause);
      if (self || !holds(abs(path))) throw twice(child, cause, abs(path));
      throw new IntegrityError(
        `Cannot restore ${quote(child)}: ${
          quote(path)
        } is a file of the same archive, not a folder. ${HOSTILE}`,
        { cause },
      );
    }
    folders.set(path, { meta: undefined, asked: false });
  }

  function above(path: string, entry: Meta): void {
    if (links.has(path)) throw twice(entry.path);
    if (path !== "") ensure(parentOf(path), entry.path);
  }

  async function file(path: string, entry: Entry, tick: (bytes: number) => Promise<void>): Promise<void> {
    above(path, entry);
    let fd: number;
    try {
      fd = fs.openSync(abs(path), FILE_FLAGS, entry.mode & 0o777);
    } catch (cause) {
      if (codeOf(cause) === "EEXIST") throw twice(entry.path, cause, abs(path));
      throw fault(entry.path, cause);
    }
    try {
      await writeContent({ fd, fault: (cause) => fault(entry.path, cause) }, entry, tick);
      own(entry, owners, (uid, gid) => fs.fchownSync(fd, uid, gid));
      const mode = allowed(entry.mode, owners);
      // The kernel took the umask off; and a change of owner drops set-uid bits.
      if ((mode & (umask | 0o7000)) !== 0) guard(entry.path, () => fs.fchmodSync(fd, mode));
      // A change of owner drops capabilities, and one of the mode an ACL's mask: both come after.
      if (entry.xattrs || entry.acl) on.file(abs(path), entry, mode);
      guard(entry.path, () => timesOf(abs(path), entry, on, fd));
    } finally {
      fs.closeSync(fd);
    }
  }

  function hardlink(path: string, entry: Entry, source: Tree, from: string): void {
    above(path, entry);
    const link = source.pending(from);
    if (link) return void links.set(path, { ...link, path: entry.path });
    const target = source.at(from);
    if (!fs.lstatSync(target, { throwIfNoEntry: false })?.isFile()) {
      throw new IntegrityError(
        `Cannot restore the hard link ${quote(entry.path)}: ${
          quote(entry.target ?? "")
        } is not an earlier file of the archive. ${HOSTILE}`,
      );
    }
    try {
      fs.linkSync(target, abs(path));
    } catch (cause) {
      if (codeOf(cause) === "EEXIST") throw twice(entry.path, cause, abs(path));
      throw fault(entry.path, cause);
    }
  }

  return {
    at: abs,
    file,
    hardlink,
    directory: (path, meta, asked) => {
      const name = meta?.path ?? path;
      if (links.has(path) || (asked && folders.get(path)?.asked)) throw twice(name);
      ensure(path, name, true);
      const folder = folders.get(path)!;
      if (folder.meta && !asked) return;
      // Attributes now: what waits for the end would have no bound.
      folder.meta = meta?.xattrs || meta?.acl ? on.folder(abs(path), meta) : meta;
      folder.asked = asked;
    },
    symlink: (path, entry) => {
      above(path, entry);
      if (!entry.target || entry.target.includes("\0") || !entry.target.isWellFormed()) {
        throw new IntegrityError(
          `Cannot restore the symbolic link ${quote(entry.path)}: its target is not a path. ${HOSTILE}`,
        );
      }
      links.set(path, entry.xattrs || entry.acl ? on.link(entry) : entry);
    },
    pending: (path) => links.get(path),
    asked: (path) => folders.get(path)?.asked ?? false,
    finish: () => {
      for (const [path, entry] of links) makeLink(abs(path), entry, owners, on, disk);
      const paths = [...folders.keys()].sort((a, b) => depth(b) - depth(a));
      for (const path of paths) {
        aliases.name(path, disk);
        settle(abs(path), folders.get(path)!.meta, owners, on);
      }
    },
  };
}

function makeLink(
  path: string,
  entry: Entry,
  owners: Owners | undefined,
  { file: dress, times }: Dresser,
  disk: Disk,
): void {
  try {
    disk.symlink(entry.target!, path);
  } catch (cause) {
    if (codeOf(cause) === "EEXIST") throw twice(entry.path, cause, path);
    throw fault(entry.path, cause);
  }
  own(entry, owners, (uid, gid) => fs.lchownSync(path, uid, gid));
  if (entry.xattrs) dress(path, entry, entry.mode);
  guard(entry.path, () => {
    if (times) return times(path, entry.mtimeMs, entry.mtimeNs ?? 0);
    // Deno refuses negative fractions here, so a link from before 1970 gets whole seconds.
    const ms = entry.mtimeMs;
    const time = ms < 0 ? new Date(Math.floor(ms / 1000) * 1000) : secondsOf(ms);
    fs.lutimesSync(path, time, time);
  });
}

/** A folder nobody asked for is made as mkdir would: 0755, now. */
function settle(path: string, meta: Meta | undefined, owners: Owners | undefined, on: Dresser): void {
  if (meta) own(meta, owners, (uid, gid) => fs.chownSync(path, uid, gid));
  guard(meta?.path ?? path, () => {
    fs.chmodSync(path, meta ? allowed(meta.mode, owners) : 0o755);
    if (meta?.acl) on.settle(path, meta);
    if (meta) timesOf(path, meta, on);
  });
}

function timesOf(path: string, { mtimeMs, mtimeNs = 0 }: Meta, { times }: Dresser, fd?: number): void {
  if (times) times(path, mtimeMs, mtimeNs);
  else setTimes(path, mtimeMs, fd);
}

/** Sets access and modification time, to the millisecond. */
export function setTimes(path: string, ms: number, fd?: number): void {
  // Deno's numbers before 1970 mean "now"; its Dates are nearly right (one in 200 is a millisecond off), but only by path.
  if (ms < 0) fs.utimesSync(path, new Date(ms), new Date(ms));
  else if (fd === undefined) fs.utimesSync(path, secondsOf(ms), secondsOf(ms));
  else fs.futimesSync(fd, secondsOf(ms), secondsOf(ms));
}

/** Deno cuts fractions off: a microsecond more keeps 0.123 from becoming 0.122. */
function secondsOf(ms: number): number {
  return (ms + 0.001) / 1000;
}

/** Set-uid and set-gid mean something only with the recorded owner, so they need root, as in tar. */
function allowed(mode: number, owners: Owners | undefined): number {
  return owners ? mode & 0o7777 : mode & 0o1777;
}

function own(meta: Meta, owners: Owners | undefined, change: (uid: number, gid: number) => void): void {
  if (!owners) return;
  const { uid, gid } = ownerOf(meta, owners);
  if (uid === owners.uid && gid === owners.gid) return;
  try {
    change(uid, gid);
  } catch (error) {
    owners.refused(meta.path, error);
  }
}

function depth(path: string): number {
  if (path === "") return 0;
  let parts = 1;
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) parts++;
  return parts;
}

/** What to do about an entry that no tool would have stored beside the others. */
const HOSTILE =
  "The archive is damaged or hostile, and nothing was changed. --only restores what you trust of it";

/** `at` is where something stood; under another name, when the file system takes two names for one. */
function twice(path: string, cause?: unknown, at?: string): IntegrityError {
  const why = at === undefined || holds(at)
    ? `the archive holds this name twice. ${HOSTILE}`
    : "it differs only by case from another name of the archive, and this file system takes both for one. " +
      "Nothing was changed. Choose a target on another file system, or restore them apart with --only";
  return new IntegrityError(`Cannot restore ${quote(path)}: ${why}`, { cause });
}

/** Whether exactly this name stands in its folder. */
function holds(path: string): boolean {
  return fs.readdirSync(dirname(path)).includes(basename(path));
}

function guard(path: string, work: () => void): void {
  try {
    work();
  } catch (cause) {
    throw fault(path, cause);
  }
}

/** The code of a system error, or "". */
export function codeOf(error: unknown): string {
  // Numbers are the codes of DOM exceptions.
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** A system error while writing, in words. */
export function fault(path: string, cause: unknown): Error {
  const code = codeOf(cause);
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new StoreError(
      `Cannot restore ${
        quote(path)
      }: the disk is full. The target is as it was; free space or choose another target`,
      { cause },
    );
  }
  if (code === "ENAMETOOLONG" || code === "EINVAL" || code === "EILSEQ") {
    return new IntegrityError(
      `Cannot restore ${quote(path)}: this file system cannot hold such a name (${code}). ` +
        "Choose a target on another file system",
      { cause },
    );
  }
  return new StoreError(
    `Cannot restore ${quote(path)}: ${
      code || String(cause)
    }. The target is as it was; see that the folder can be written`,
    { cause },
  );
}
