/**
 * Ctrl-C and its kin.
 *
 * @module
 */
import { EXIT } from "./exit.ts";

/** One Ctrl-C reaches a task twice: from the terminal, and passed on by `deno task`. */
const ECHO_MS = 2000;

/** A watch over the process's signals. */
export interface Signals extends Disposable {
  /** Fires on the first signal. */
  readonly signal: AbortSignal;
}

/**
 * The first SIGINT, SIGTERM or SIGHUP cancels, which cleans up. Within two seconds more of them are echoes; a later one ends the
 * process at once with exit code 130.
 */
export function watchSignals(notice: (text: string) => void): Signals {
  const controller = new AbortController();
  let first = 0;
  const onSignal = (): void => {
    const now = performance.now();
    if (first === 0) {
      first = now;
      notice("Cancelling; press Ctrl-C again after two seconds to stop without cleaning up");
      controller.abort(new DOMException("Cancelled", "AbortError"));
    } else if (now - first >= ECHO_MS) {
      Deno.exit(EXIT.cancelled);
    }
  };
  const names: readonly Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const name of names) Deno.addSignalListener(name, onSignal);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const name of names) Deno.removeSignalListener(name, onSignal);
    },
  };
}
