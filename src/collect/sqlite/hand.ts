/**
 * Runs jobs on a thread of their own.
 *
 * @module
 */
import { IntegrityError } from "../../errors.ts";
import type { Answer, Job, Snapshot } from "./job.ts";

/**
 * Does a job in a worker that ends with it; without read permission for this folder on the calling thread, which it blocks. Rejects
 * with {@linkcode IntegrityError} where the data are to blame.
 */
export async function perform(
  job: Job,
  signal: AbortSignal,
  progress: (bytes: number) => void = () => {},
): Promise<Snapshot | undefined> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Snapshot | undefined>();
  // A worker that is stopped while it copies could leave a copy with a name: it is asked to end, and looks up every MiB.
  let copying = job.kind === "snapshot";
  const hear = (answer: Answer): void => {
    if ("copied" in answer) copying = false;
    if (signal.aborted && !("bytes" in answer)) reject(signal.reason);
    if ("bytes" in answer) progress(answer.bytes);
    else if ("done" in answer) resolve(answer.done);
    else if ("error" in answer) {
      reject(answer.integrity ? new IntegrityError(answer.error) : new Error(answer.error));
    }
  };
  const halt = (): void => {
    if (job.kind === "snapshot") Atomics.store(job.stop, 0, 1);
    if (!copying) reject(signal.reason);
  };
  signal.addEventListener("abort", halt, { once: true });
  let end = (): void => {};
  try {
    end = await give(job, hear);
    return await promise;
  } finally {
    signal.removeEventListener("abort", halt);
    end();
  }
}

/** Hands the job over; gives what ends the worker. */
async function give(job: Job, hear: (answer: Answer) => void): Promise<() => void> {
  const url = new URL("./worker.ts", import.meta.url);
  const look = job.kind === "snapshot" ? job.look : undefined;
  if (!mayLoad(url) || (look && !mayLoad(new URL("../..", look.module)))) {
    const { work } = await import("./work.ts");
    await work(job, hear);
    return () => {};
  }
  const worker = new Worker(url, { type: "module", name: "holdfast-sqlite" });
  worker.onmessage = ({ data }: MessageEvent<Answer>) => {
    if ("ready" in data) worker.postMessage(look ? { ...job, look: { ...look, here: undefined } } : job);
    else hear(data);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    hear({ error: `The thread for SQLite stopped: ${event.message}`, integrity: false });
  };
  return () => worker.terminate();
}

/** Whether the worker and its imports may be read; asks nobody. Workers from elsewhere than a file are the loader's affair. */
function mayLoad(url: URL): boolean {
  if (url.protocol !== "file:") return true;
  return Deno.permissions.querySync({ name: "read", path: new URL(".", url) }).state === "granted";
}
