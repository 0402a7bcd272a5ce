/**
 * The folder of a directory store: making it, making its entries durable, and saying plainly what went wrong with it.
 *
 * @module
 */
import { dirname } from "node:path";
import { ExistsError, messageOf, NotFoundError, StoreError } from "../errors.ts";

const RETRYABLE = new Set(["EAGAIN", "EBUSY", "EINTR", "EMFILE", "ENFILE", "ESTALE", "ETIMEDOUT", "EIO"]);

/** The folder, and whether a write may create it. */
export interface Root {
  /** Absolute path. */
  readonly path: string;
  /** Whether a write makes the folder when only it is missing, and not its parent. */
  readonly create: boolean;
  /** Whether it has been there: what was there and is gone is not made anew, since the backups went with it. */
  seen: boolean;
}

/** The system's code of an error ("ENOENT"), or "". */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}

/** Whether the system proved that there is nothing at a path. */
export function isAbsent(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(codeOf(error));
}

/** Throws StoreError unless the store's folder is there: only then is a missing file proven absent. */
export async function checkFolder(root: Root, action: string): Promise<void> {
  let isFolder: boolean;
  try {
    isFolder = (await Deno.stat(root.path)).isDirectory;
  } catch (cause) {
    if (!isAbsent(cause)) throw await explain(cause, action, root);
    const how = root.seen ? "was there and is gone" : "does not exist";
    throw new StoreError(
      `${action}: the store folder "${root.path}" ${how}. Mount it, create it, or correct the path`,
      { cause },
    );
  }
  root.seen ||= isFolder;
  if (!isFolder) throw new StoreError(`${action}: "${root.path}" is not a folder. Correct the path`);
}

/**
 * Makes the store's folder (mode 0700) if only it is missing. A missing parent is an error: it is more often a disk that is
 * not mounted than a place to write to.
 */
export async function makeRoot(root: Root, action: string): Promise<void> {
  if (!root.create || root.seen) return await checkFolder(root, action);
  try {
    await Deno.mkdir(root.path, { mode: 0o700 });
  } catch (cause) {
    if (codeOf(cause) === "EEXIST") return await checkFolder(root, action);
    if (!isAbsent(cause)) throw await explain(cause, action, root);
    throw new StoreError(
      `${action}: neither the store folder "${root.path}" nor the folder above it exists. Mount it, create it, or correct the path`,
      { cause },
    );
  }
  root.seen = true;
  // A narrow permission may leave the folder above unreadable; the entry then becomes durable with the next commit.
  await syncFolder(dirname(root.path)).catch(() => {});
}

/** Makes the folders of a key below the store's folder, the store's folder included. */
export async function makeFolders(root: Root, folder: string, action: string): Promise<void> {
  if (folder === root.path) return await makeRoot(root, action);
  await makeFolders(root, dirname(folder), action);
  try {
    await Deno.mkdir(folder, { mode: 0o700 });
    await syncFolder(dirname(folder));
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw await explain(error, action, root);
  }
}

/** Removes empty folders from `folder` up to, and without, the store's folder. */
export async function tidyFolders(root: Root, folder: string): Promise<void> {
  for (let at = folder; at !== root.path && at.startsWith(root.path); at = dirname(at)) {
    try {
      await Deno.remove(at);
    } catch {
      return; // not empty, or gone already
    }
  }
}

/** Makes a folder's entries survive a power cut (fsync(2) of the folder), where the file system knows how. */
export async function syncFolder(path: string): Promise<void> {
  if (Deno.build.os === "windows") return; // a folder cannot be opened there; NTFS journals its entries
  const folder = await Deno.open(path);
  try {
    await folder.sync();
  } catch (error) {
    if (!["EINVAL", "ENOTSUP", "EOPNOTSUPP", "EBADF"].includes(codeOf(error))) throw error;
  } finally {
    folder.close();
  }
}

/** The error to throw for something the system said: what failed, why, and what to do. Ours pass as they are. */
export async function explain(error: unknown, action: string, root: Root): Promise<Error> {
  if (error instanceof StoreError || error instanceof ExistsError || error instanceof NotFoundError) {
    return error;
  }
  const code = codeOf(error);
  if (isAbsent(error)) {
    try {
      await checkFolder(root, action);
    } catch (gone) {
      return gone as Error;
    }
  }
  return new StoreError(`${action}: ${reason(error, code, root.path)}`, {
    cause: error,
    retryable: RETRYABLE.has(code),
  });
}

function reason(error: unknown, code: string, path: string): string {
  switch (code) {
    case "ENOSPC":
      return `no space left on "${path}". Free some space there, or prune`;
    case "EDQUOT":
      return `the disk quota on "${path}" is used up. Free some space there, or prune`;
    case "EROFS":
      return `"${path}" is mounted read-only. Mount it for writing, or choose another store`;
    case "EACCES":
    case "EPERM":
      return `the system denies it. Give this user read and write access to "${path}"`;
    case "EISDIR":
    case "ENOTDIR":
    case "ENOTEMPTY":
      return `a file or folder of that name stands in the way in "${path}". Move it elsewhere`;
    case "EFBIG":
      return `the file system of "${path}" cannot hold a file that large. Choose another store`;
    case "ENAMETOOLONG":
      return `the file system of "${path}" does not allow names that long. Choose a shorter name`;
    default:
      return messageOf(error);
  }
}
