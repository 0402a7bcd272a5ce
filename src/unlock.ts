/**
 * Letting go of a locked file.
 *
 * @module
 */

/**
 * Lets go of a file's lock (flock(2)) and closes it. Closing alone is not enough where another thread is just starting a
 * program: until that has begun, it holds a copy of every open file, and with it the lock.
 */
export function unlock(file: Deno.FsFile): void {
  try {
    file.unlockSync();
  } catch { /* a file system without locks */ }
  file.close();
}
