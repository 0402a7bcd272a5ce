/**
 * Single files that take a name only once they are whole.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ConfigError, messageOf } from "../../errors.ts";
import type { Bytes } from "../../stage.ts";

/** Throws {@linkcode ConfigError} unless a file can get this name, and makes its folder: before anything is read for it. */
export async function readyFor(path: string): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (there?.isDirectory()) {
    throw new ConfigError(`Cannot write "${path}": it is a folder. Give a file in it`);
  }
  try {
    await mkdir(dirname(path), { recursive: true });
  } catch (cause) {
    throw new ConfigError(`Cannot write "${path}": its folder cannot be made: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** Writes a file (mode 0600) beside its name and puts it in place when it is whole; what stood there stays until then. */
export async function replaceFile(path: string, bytes: Bytes): Promise<void> {
  await readyFor(path);
  const part = join(dirname(path), `.${basename(path)}.tmp-${randomBytes(6).toString("hex")}`);
  try {
    const file = await open(part, "wx", 0o600);
    try {
      for await (const chunk of bytes) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/**
 * Lets `make` write files into a private folder beside `path`, then puts those that carry its name in place, itself first; sidecars
 * that were there and are not made anew are removed. When `make` fails nothing has changed.
 */
export async function replaceWith<T>(
  path: string,
  sidecars: readonly string[],
  make: (folder: string, name: string) => Promise<T>,
): Promise<T> {
  await readyFor(path);
  const folder = await mkdtemp(join(dirname(path), ".holdfast-"));
  const name = basename(path);
  try {
    const result = await make(folder, name);
    const made = await readdir(folder);
    // The old receipt goes first and the new one comes last: no receipt ever stands beside another's archive.
    for (const suffix of sidecars) await rm(path + suffix, { force: true });
    for (const suffix of ["", ...sidecars.toReversed()]) {
      if (made.includes(name + suffix)) await rename(join(folder, name + suffix), path + suffix);
    }
    await syncFolder(dirname(path));
    return result;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
