/**
 * When another thread pays.
 *
 * @module
 */

/** Jobs a thread may hold: one it works on and one that waits. */
export const JOBS_PER_HAND = 2;

/** Jobs in a row that met only busy threads, before another one is started. */
const PRESSED = 4;

/**
 * Is told of every job: how many threads there are, whether all have as much as they may hold, and how long the calling thread took to
 * make the job. True: start another one. Only when there is work for it, and not for a moment: a start costs as much as packing
 * 10 MiB. Where it would take the core of a thread that is busy itself, all get slower.
 */
export function createPressure(cores: number): (hands: number, busy: boolean, madeMs: number) => boolean {
  let pressed = 0;
  let last = performance.now();
  return (hands, busy, madeMs) => {
    const now = performance.now();
    const room = hands + 1 < cores || madeMs < (now - last) / 2;
    last = now;
    pressed = room && busy ? pressed + 1 : 0;
    if (pressed < PRESSED) return false;
    pressed = 0;
    return true;
  };
}
