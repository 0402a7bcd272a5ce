/** What lies in a folder. */
import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";

const MIB = 1024 * 1024;

/** Number and length of all files below a folder. */
export function measureFolder(path: string): { readonly files: number; readonly bytes: number } {
  let files = 0;
  let bytes = 0;
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    files++;
    bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return { files, bytes };
}

/** Reads every byte once, so that it lies in the page cache. */
export function warm(path: string): void {
  const buffer = new Uint8Array(MIB);
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = openSync(join(entry.parentPath, entry.name), "r");
    while (readSync(file, buffer) > 0);
    closeSync(file);
  }
}
