/**
 * Bringing a service down and up, each within its time.
 *
 * @module
 */
import { messageOf } from "../../errors.ts";
import { removeRecord, type StoppedRecord } from "./journal.ts";
import type { PauseOptions } from "./pause.ts";
import type { Control } from "./service.ts";

/** Between two looks at a service that takes its time. */
const LOOK_MS = 100;
const TIMEOUT_MS = 120_000;
/** A start that fails is tried once more after this: a port may not be free yet. */
const AGAIN_MS = 1000;
/** How long a unit must run to count as started. */
const SETTLE_MS = 2000;

/** Stops a service, and sees that it does not run. */
export async function bringDown(control: Control, options: PauseOptions, signal: AbortSignal): Promise<void> {
  await within(options.stopTimeoutMs, signal, async (limited) => {
    await control.stop(limited);
    await until(false, control, limited);
  });
}

/**
 * Starts a service unless it runs, sees that it does and goes on to (`settled`: that has been seen), and removes the note. Gives the
 * time since when it runs. Throws what says that it is down, and what to do.
 */
export async function startAgain(
  control: Control,
  options: PauseOptions & Pick<StoppedRecord, "restart"> & { readonly settled?: boolean | undefined },
  folder: string,
  key: string,
): Promise<number> {
  let since: number;
  try {
    if (options.restart) {
      await bringDown(control, options, new AbortController().signal);
    }
    await bringUp(control, options);
    since = performance.now();
    if (!options.settled) await staysUp(control);
  } catch (cause) {
    throw new Error(
      `"${control.name}" IS DOWN: a backup stopped it, and it does not start again: ${messageOf(cause)}. ` +
        `See its log, then: ${control.byHand}. Until it runs, each command of Holdfast tries to start it`,
      { cause },
    );
  }
  removeRecord(folder, key);
  return since;
}

/** Starts it unless it runs, and sees that it does; tries twice. */
export async function bringUp(control: Control, { startTimeoutMs }: PauseOptions): Promise<void> {
  const free = new AbortController().signal; // cancelling a backup must not leave its service down
  const attempt = (): Promise<void> =>
    within(startTimeoutMs, free, async (signal) => {
      if (await control.running(signal) === true) return;
      await control.start(signal);
      await until(true, control, signal);
    });
  await attempt().catch(async () => {
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    await attempt();
  });
}

/** Throws when a unit that has just been started ends again: of a simple one systemd says that it runs as soon as its process is there. */
export async function staysUp(control: Control): Promise<void> {
  if (control.kind !== "unit") return; // whoever starts it otherwise says when it runs
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  if (await control.running(new AbortController().signal) !== false) return;
  throw new Error(
    `"${control.name}" does not run: it started, and ended within ${SETTLE_MS / 1000} s`,
  );
}

/** Waits until it runs, or does not; at once where it cannot be asked. */
async function until(wanted: boolean, control: Control, signal: AbortSignal): Promise<void> {
  for (;;) {
    const running = await control.running(signal);
    if (running === undefined || running === wanted) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    signal.throwIfAborted();
  }
}

/** Work with a time limit. */
async function within(
  timeoutMs: number = TIMEOUT_MS,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`it took more than ${timeoutMs} ms`)), timeoutMs);
  try {
    await work(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}
