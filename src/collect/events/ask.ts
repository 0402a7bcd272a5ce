/**
 * Asking a peer: one request, tried again with growing pauses as long as its time lasts.
 *
 * @module
 */
import { formatBytes } from "../../bytes.ts";
import { messageOf } from "../../errors.ts";
import type { U8 } from "../../stage.ts";
import { follow } from "./follow.ts";

/** A request. */
export interface AskRequest {
  /** The address. */
  readonly url: string;
  /** Default: GET. */
  readonly method?: "GET" | "POST" | undefined;
  /** Headers, made anew for each attempt: signatures age. */
  readonly headers?: (() => Readonly<Record<string, string>>) | undefined;
  /** The body. */
  readonly body?: string | undefined;
  /** Whether 304 is an answer. Default: false, it is an error. */
  readonly unchanged?: boolean | undefined;
}

/** An answer with status 200 (or 304, where it was allowed). */
export interface Answer {
  /** 200 or 304. */
  readonly status: number;
  /** Its headers. */
  readonly headers: Headers;
  /** Its body, unpacked. */
  readonly body: U8;
}

/** Asks, and reads the answer; what `read` throws is a reason to ask again. */
export type Ask = <T>(request: AskRequest, read: (answer: Answer) => T) => Promise<T>;

/** A failure of a peer: a reason for people. */
export class PeerError extends Error {
  /** Whether asking again can help. */
  readonly again: boolean;
  /** The answer's status, when there was one. */
  readonly status: number | undefined;
  /** Pause that the peer has asked for, in milliseconds. */
  readonly pauseMs: number | undefined;
  /** A reason that completes "the peer failed: ...". */
  constructor(
    message: string,
    again: boolean,
    facts: { readonly pauseMs?: number | undefined; readonly status?: number; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: facts.cause });
    this.name = "PeerError";
    this.again = again;
    this.pauseMs = facts.pauseMs;
    this.status = facts.status;
  }
}

/** Options of {@linkcode asker}. */
export interface AskOptions {
  /** Fires when the peer's time is over, or the run is cancelled. */
  readonly signal: AbortSignal;
  /** Milliseconds one request may take, body included. */
  readonly requestTimeoutMs: number;
  /** Attempts for each request. */
  readonly attempts: number;
  /** Told of the bytes of each answer. */
  readonly received: (bytes: number) => void;
}

/** A larger answer is refused. */
const LIMIT = 256 << 20;
const FIRST_PAUSE_MS = 250;

/** Makes an ask for one peer. */
export function asker(options: AskOptions): Ask {
  return async (request, read) => {
    for (let attempt = 1;; attempt++) {
      options.signal.throwIfAborted();
      try {
        return read(await once(request, options));
      } catch (error) {
        options.signal.throwIfAborted();
        const failure = reasonOf(error);
        if (!failure.again || attempt >= options.attempts) throw failure;
        await pause(
          failure.pauseMs ?? FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.75 + Math.random() / 2),
          options,
        );
      }
    }
  };
}

function reasonOf(error: unknown): PeerError {
  if (error instanceof PeerError) return error;
  if (error instanceof SyntaxError) return new PeerError(`it sent ${error.message}`, true, { cause: error });
  return new PeerError(messageOf(error), true, { cause: error });
}

async function once(request: AskRequest, options: AskOptions): Promise<Answer> {
  const { requestTimeoutMs } = options;
  const timer = new AbortController();
  const timeout = setTimeout(() => timer.abort(), requestTimeoutMs);
  const signal = AbortSignal.any([options.signal, timer.signal]);
  try {
    const response = await follow(request, signal);
    const body = await readBody(response, options.received);
    if (response.status === 200 || (response.status === 304 && request.unchanged)) {
      refusePages(response);
      return { status: response.status, headers: response.headers, body };
    }
    throw statusError(response, body);
  } catch (error) {
    if (timer.signal.aborted && !options.signal.aborted) {
      throw new PeerError(`no whole answer within ${requestTimeoutMs / 1000} s`, true, { cause: error });
    }
    if (error instanceof TypeError) throw new PeerError(networkReason(error), true, { cause: error });
    throw error;
  } finally {
    clearTimeout(timeout);
  }
}

/** Reads into one buffer that grows: chunks, and their sum beside them, would wait for the collector as often as a page comes. */
async function readBody({ body, headers }: Response, received: (bytes: number) => void): Promise<U8> {
  const reader = body?.getReader({ mode: "byob" });
  if (!reader) return new Uint8Array(0);
  let bytes: U8 = new Uint8Array(firstSize(headers));
  for (let size = 0;;) {
    if (size === bytes.length) {
      const wider = new Uint8Array(size * 2);
      wider.set(bytes);
      bytes = wider;
    }
    // The buffer goes with the request and comes back with the answer, the last one included.
    const { done, value } = await reader.read(bytes.subarray(size));
    if (!value) throw new PeerError("its answer was cut short", true);
    bytes = new Uint8Array(value.buffer);
    if (done) return bytes.subarray(0, size);
    size += value.length;
    received(value.length);
    if (size > LIMIT) {
      await reader.cancel();
      throw new PeerError(`its answer is larger than ${formatBytes(LIMIT)}`, false);
    }
  }
}

/** What the server says about its answer is only a hint: packed ones are longer, and it may be wrong. One byte more shows the end. */
function firstSize(headers: Headers): number {
  const said = Number(headers.get("content-length") ?? NaN);
  return said > 0 && said < LIMIT / 16 ? said + 1 : 1 << 16;
}

/** A page for people is no answer, whatever its status says. */
function refusePages(response: Response): void {
  const type = response.headers.get("content-type") ?? "";
  if (type.includes("html")) {
    throw new PeerError(`it answered with a web page (${type}): is the address right?`, false, {
      status: response.status,
    });
  }
}

function statusError(response: Response, body: U8): PeerError {
  const { status } = response;
  const said = new TextDecoder().decode(body.subarray(0, 300)).trim();
  const text = said === "" || said.startsWith("<") ? "" : `: ${said}`;
  const where = status >= 300 && status < 400 ? " (it points elsewhere: use that address)" : "";
  const again = status >= 500 || status === 429 || status === 408;
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  const pauseMs = Number.isFinite(seconds) ? seconds * 1000 : undefined;
  return new PeerError(`it answered ${status}${where}${text}${clockGap(response)}`, again, {
    pauseMs,
    status,
  });
}

/** A refusal may come of clocks: by how much they differ, where it is more than a request takes. */
function clockGap(response: Response): string {
  const { status, headers } = response;
  const gap = (Date.parse(headers.get("date") ?? "") - Date.now()) / 1000;
  if ((status !== 401 && status !== 403) || !(Math.abs(gap) > 20)) return "";
  return `. Its clock is ${Math.round(Math.abs(gap))} s ${
    gap > 0 ? "ahead of" : "behind"
  } this machine's: set both`;
}

/** The innermost reason; the outer ones repeat the address, which may hold a secret. */
function networkReason(error: TypeError): string {
  const text = messageOf(error);
  const inner =
    /(Connection refused|connection reset|reset by peer|timed out|dns error|failed to lookup|unexpected end|end of file|connection closed|body (?:write|from)|certificate|gzip|corrupt|deflate)/i
      .exec(text)?.[1];
  return `the connection failed${inner === undefined ? "" : ` (${inner.toLowerCase()})`}`;
}

function pause(ms: number, { signal }: AskOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** An address without what may be secret: no user, no password, no query. */
export function showUrl(url: string): string {
  try {
    const { protocol, host, pathname } = new URL(url);
    return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
  } catch {
    return "(not an address)";
  }
}
