/**
 * The thread beside the main one: SQLite blocks whoever calls it. Imports nothing from outside this folder, because Deno asks for read
 * permission for every file a worker imports.
 *
 * @module
 */
import type { Answer, Job } from "./job.ts";
import { work } from "./work.ts";

/** The part of the worker's global scope that is used; the `webworker` types would clash with the main thread's. */
interface Scope {
  onmessage: ((event: MessageEvent<Job>) => void) | null;
  readonly postMessage: (answer: Answer) => void;
}

const scope = globalThis as unknown as Scope;
scope.onmessage = ({ data }) => void work(data, (answer) => scope.postMessage(answer));
scope.postMessage({ ready: true });
