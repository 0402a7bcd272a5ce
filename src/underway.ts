/**
 * Work that a run does not leave behind, however it ends: a stream that is given up tells its source, but does not always wait for it.
 *
 * @module
 */

const works = new Map<string, Set<Promise<unknown>>>();

/** Work of the run with this id, that {@linkcode settled} waits for. Gives what the work gives. */
export async function underway<T>(run: string, work: Promise<T>): Promise<T> {
  const mine = works.get(run) ?? new Set();
  works.set(run, mine.add(work));
  try {
    return await work;
  } finally {
    mine.delete(work);
    if (mine.size === 0) works.delete(run);
  }
}

/** Resolves when the run's work has ended, well or not. */
export async function settled(run: string): Promise<void> {
  await Promise.allSettled(works.get(run) ?? []);
}
