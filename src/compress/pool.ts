/**
 * A few workers for jobs that do not depend on each other. Lazy: small data never starts one, because a start costs more than the work.
 *
 * @module
 */
import { giveBack, pass } from "../blocks.ts";
import type { U8 } from "../stage.ts";
import { type Job, work } from "./codec.ts";
import { createPressure, JOBS_PER_HAND } from "./pressure.ts";
import type { Answer } from "./worker.ts";

/** A pool. Results come in any order; callers keep the order by keeping the promises. */
export interface Pool {
  /** Most workers it starts; 0 means that all work is done on the calling thread. */
  readonly size: number;
  /**
   * Does a job; `job.bytes` may be gone afterwards. Rejects with the error of the job, or of the worker. `madeMs`: how long this
   * thread took to make the job, where that is work worth a core of its own; default 0.
   */
  readonly run: (job: Job, madeMs?: number) => Promise<U8>;
  /** Ends all workers; jobs under way are rejected. */
  readonly close: () => void;
}

/** For tests: how many workers, on how many cores, from how many bytes on, from which module. */
export interface PoolOptions {
  /** Most workers. Default: one per core, at most 4; none on a single core. */
  readonly workers?: number | undefined;
  /** Cores. Default: those of the machine; with `workers`, as many as it takes. */
  readonly cores?: number | undefined;
  /** Bytes (the larger of both sides of a job) that start the first worker. Default 2 MiB. */
  readonly inlineBytes?: number | undefined;
  /** All jobs wait for a worker that is starting, instead of a few. Default false. */
  readonly awaitStart?: boolean | undefined;
  /** The worker's module. Default `worker.ts` beside this file. */
  readonly url?: URL | undefined;
}

/** Jobs that wait for a worker to start, while this thread makes further ones: as many as are under way; what comes then is done here. */
const WAITING = 4;

/** One worker and the jobs it has, in order: a worker answers in the order it was asked. */
interface Hand {
  readonly worker: Worker;
  readonly jobs: PromiseWithResolvers<U8>[];
  /** Settles when the worker has said that it is there, or will never be. */
  readonly started: PromiseWithResolvers<void>;
  state: "starting" | "ready" | "dead";
  /** Jobs that wait for it to start. */
  waiting: number;
}

/** Makes a pool; nothing is started. Workers need `--allow-read` of this folder; without it all work is done inline. */
export function createPool(options: PoolOptions = {}): Pool {
  const { inlineBytes = 2 * 1024 * 1024, url = new URL("./worker.ts", import.meta.url) } = options;
  const size = options.workers ?? defaultWorkers();
  const cores = options.cores ?? (options.workers === undefined ? navigator.hardwareConcurrency : Infinity);
  const hands: Hand[] = [];
  let state: "inline" | "workers" | "closed" = "inline";
  const pressed = createPressure(cores);
  let seen = 0;

  async function run(job: Job, madeMs = 0): Promise<U8> {
    const isPressed = pressed(hands.length, state === "workers" && hands.every(isBusy), madeMs);
    seen += Math.max(job.bytes.length, job.op === "unzstd" ? job.value : 0);
    if (state === "inline" && size > 0 && seen >= inlineBytes && mayLoad(url)) {
      state = "workers";
      hands.push(hire(url));
    } else if (isPressed && hands.length < size) hands.push(hire(url));
    let hand = idlest(hands);
    for (let coming = first(hands); !hand && coming; coming = first(hands)) {
      coming.waiting++;
      await coming.started.promise;
      hand = idlest(hands);
    }
    if (state === "closed") throw closed();
    if (hand) return send(hand, job);
    const result = work(job);
    giveBack(job.bytes);
    return pass(result);
  }

  /** A worker that is starting, and that has room for a job to wait for it. */
  function first(among: readonly Hand[]): Hand | undefined {
    return among.find(({ state, waiting }) =>
      state === "starting" && (options.awaitStart || waiting < WAITING)
    );
  }

  function close(): void {
    state = "closed";
    for (const hand of hands) dismiss(hand, closed());
  }

  return { size, run, close };
}

function closed(): DOMException {
  return new DOMException("The stream was closed", "AbortError");
}

/** A worker that has as much as it may hold; one that is starting is not. */
function isBusy({ state, jobs }: Hand): boolean {
  return state !== "starting" && jobs.length >= JOBS_PER_HAND;
}

function defaultWorkers(): number {
  const cores = navigator.hardwareConcurrency;
  return cores > 1 ? Math.min(cores, 4) : 0;
}

/** Whether the worker and its imports may be read; asks nobody. Workers from elsewhere than a file are the loader's affair. */
function mayLoad(url: URL): boolean {
  if (url.protocol !== "file:") return true;
  return Deno.permissions.querySync({ name: "read", path: new URL(".", url) }).state === "granted";
}

function hire(url: URL): Hand {
  const worker = new Worker(url, { type: "module", name: "holdfast" });
  const hand: Hand = { worker, jobs: [], started: Promise.withResolvers(), state: "starting", waiting: 0 };
  worker.onmessage = ({ data }: MessageEvent<Answer>) => {
    if ("ready" in data) {
      hand.state = "ready";
      hand.started.resolve();
    } else if ("bytes" in data) {
      giveBack(pass(new Uint8Array(data.spent)));
      hand.jobs.shift()?.resolve(pass(data.bytes));
    } else {
      hand.jobs.shift()?.reject(new Error(data.error));
    }
  };
  worker.onerror = (event) => {
    // Handled here: a worker that cannot start leaves its work to the others or to this thread.
    event.preventDefault();
    dismiss(hand, new Error(`Cannot go on: a compression worker stopped: ${event.message}`));
  };
  return hand;
}

/** The ready worker with the fewest jobs. Each may hold a second one, so that it never waits for this thread. */
function idlest(hands: readonly Hand[]): Hand | undefined {
  let best: Hand | undefined;
  for (const hand of hands) {
    if (hand.state === "ready" && (!best || hand.jobs.length < best.jobs.length)) best = hand;
  }
  return best;
}

function send(hand: Hand, job: Job): Promise<U8> {
  const answer = Promise.withResolvers<U8>();
  hand.jobs.push(answer);
  hand.worker.postMessage(job, [job.bytes.buffer]);
  return answer.promise;
}

function dismiss(hand: Hand, reason: Error): void {
  hand.state = "dead";
  hand.worker.terminate();
  hand.started.resolve();
  for (const job of hand.jobs.splice(0)) job.reject(reason);
}
