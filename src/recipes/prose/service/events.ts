/**
 * An operation as server-sent events. A listener that is slow, or goes away, misses progress and nothing else: the operation does not wait.
 *
 * @module
 */
import { utf8 } from "../../../bytes.ts";
import type { Kind, Operation } from "./operation.ts";
import { bodyOf, troubleOf } from "./trouble.ts";

/** Between two tellings of progress. */
const EVERY_MS = 100;
/** A comment now and then, so that proxies do not take silence for death. */
const ALIVE_MS = 15_000;

/** The events `backup-create-progress`, `-success` and `-error`, or `backup-restore-...`. */
export function eventsOf<T>(
  kind: Kind,
  { done, listen }: Operation<T>,
  describe: (result: T) => unknown,
  failure: string,
): Response {
  const name = kind === "backup" ? "backup-create" : "backup-restore";
  let stop = (): void => {};
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => {
      const send = (event: string, data: unknown): void =>
        controller.enqueue(utf8(`event: ${name}-${event}\ndata: ${JSON.stringify(data)}\n\n`));
      let last = 0;
      const silence = listen({
        progress: (progress, total) => {
          const now = performance.now();
          if (now - last < EVERY_MS || (controller.desiredSize ?? 0) <= 0) return;
          last = now;
          send("progress", { progress, total: total ?? null });
        },
      });
      const alive = setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(utf8(": under way\n\n"));
      }, ALIVE_MS);
      stop = () => {
        silence();
        clearInterval(alive);
      };
      done.then(
        (result) => send("success", describe(result)),
        (error) => send("error", bodyOf(troubleOf(error, failure))),
      )
        .then(() => controller.close())
        .catch(() => {}) // nobody listens any more
        .finally(() => stop());
    },
    cancel: () => stop(),
  }, { highWaterMark: 16 });
  return new Response(stream, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" },
  });
}
