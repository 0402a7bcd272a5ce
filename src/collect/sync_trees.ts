/**
 * Waiting until the disk has whole trees.
 *
 * @module
 */
import { join } from "node:path";
import { isRaw } from "../raw_name.ts";
import type { Disk } from "./disk.ts";

/** Waits until the disk has the content of these trees, 64 files at a time. */
export async function syncTrees(paths: readonly string[], disk: Disk): Promise<void> {
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  for (const path of walkFiles(paths, disk)) {
    if (isRaw(path)) {
      disk.writer?.sync(path);
      continue;
    }
    if (running.size >= 64) await Promise.race(running);
    const job: Promise<void> = syncFile(path)
      .catch((error) => void failures.push(error))
      .finally(() => running.delete(job));
    running.add(job);
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
}

async function syncFile(path: string): Promise<void> {
  try {
    using file = await Deno.open(path, { read: true });
    await file.sync();
  } catch (error) {
    // A file whose own mode forbids reading cannot be opened again by its owner.
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
  }
}

function* walkFiles(paths: readonly string[], disk: Disk): Generator<string> {
  for (const path of paths) {
    const stat = disk.look(path);
    if (stat?.isFile()) yield path;
    else if (stat?.isDirectory()) yield* walkFiles(disk.names(path).map((name) => join(path, name)), disk);
  }
}
