/**
 * A worker's side of the pool: jobs in, results out, buffers transferred both ways. Deno asks for read permission for every file a
 * worker imports, so it imports nothing from outside this folder.
 *
 * @module
 */
import { type Job, work } from "./codec.ts";

/** A job's result, and the job's own buffer to use again. */
export interface Done {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly spent: ArrayBuffer;
}

/** What a worker says: first that it is there, then one answer per job, in order. */
export type Answer = { readonly ready: true } | Done | { readonly error: string };

/** The part of the worker's global scope that is used; the `webworker` types would clash with the main thread's. */
interface Scope {
  onmessage: ((event: MessageEvent<Job>) => void) | null;
  readonly postMessage: (answer: Answer, transfer: ArrayBuffer[]) => void;
}

const scope = globalThis as unknown as Scope;

scope.onmessage = ({ data }) => {
  try {
    const bytes = work(data);
    const spent = data.bytes.buffer;
    scope.postMessage({ bytes, spent }, [bytes.buffer, spent]);
  } catch (error) {
    scope.postMessage({ error: error instanceof Error ? error.message : String(error) }, []);
  }
};
scope.postMessage({ ready: true }, []);
