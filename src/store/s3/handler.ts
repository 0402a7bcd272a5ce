/**
 * Sends the SDK's requests with fetch: answers are web streams, as everywhere here, and idle connections hold nothing open.
 *
 * @module
 */
import { clearTimeout, setTimeout } from "node:timers";

/** A request as the SDK makes it; only what is used here. */
export interface SdkRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>> | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** An answer as the SDK reads it. */
export interface SdkResponse {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | Uint8Array<ArrayBuffer>;
}

/** What the SDK takes for sending. */
export interface Handler {
  readonly handle: (
    request: SdkRequest,
    options?: { readonly abortSignal?: unknown },
  ) => Promise<{ response: SdkResponse }>;
  readonly destroy: () => void;
}

/** The server did not answer in time. */
export class StallError extends Error {
  /** Names the time that was waited. */
  constructor(ms: number) {
    super(`no answer for ${Math.round(ms / 1000)} s`);
    this.name = "StallError";
  }
}

/** The slowest line a request's body is given time for, in bytes a millisecond. */
const SLOWEST = 32;

/** Makes the handler. A client of its own, with its certificates, only where `ca` is given. */
export function fetchHandler(
  options: { readonly ca?: string | undefined; readonly stallMs: number },
): Handler {
  const client = options.ca === undefined ? undefined : Deno.createHttpClient({ caCerts: [options.ca] });
  return {
    handle: async (request, { abortSignal } = {}) => {
      const bytes = request.body instanceof Uint8Array ? request.body.length : 0;
      const limit = options.stallMs + bytes / SLOWEST;
      const stalled = new AbortController();
      const timer = setTimeout(() => stalled.abort(new StallError(limit)), limit);
      try {
        const signals = [stalled.signal, ...(abortSignal instanceof AbortSignal ? [abortSignal] : [])];
        return { response: await send(request, AbortSignal.any(signals), client) };
      } finally {
        clearTimeout(timer);
      }
    },
    destroy: () => client?.close(),
  };
}

async function send(
  request: SdkRequest,
  signal: AbortSignal,
  client: Deno.HttpClient | undefined,
): Promise<SdkResponse> {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (!/^(host|content-length|expect)$/i.test(name)) headers.set(name, value);
  }
  const response = await fetch(urlOf(request), {
    method: request.method,
    headers,
    body: (request.body ?? null) as BodyInit | null,
    redirect: "manual",
    signal,
    ...(client ? { client } : {}),
  });
  // An object is streamed; whatever else is answered is short and read at once, while the time limit stands.
  const streamed = request.query?.["x-id"] === "GetObject" && response.ok && response.body;
  const body = streamed ? response.body! : await response.bytes();
  return { statusCode: response.status, headers: Object.fromEntries(response.headers), body };
}

function urlOf(request: SdkRequest): string {
  const port = request.port === undefined ? "" : `:${request.port}`;
  const query = Object.entries(request.query ?? {}).flatMap(([name, value]) => {
    if (value === null) return [escape(name)];
    return (Array.isArray(value) ? value : [value]).map((one) => `${escape(name)}=${escape(String(one))}`);
  });
  const search = query.length > 0 ? `?${query.join("&")}` : "";
  return `${request.protocol}//${request.hostname}${port}${request.path}${search}`;
}

/** RFC 3986, as signatures are made over it. */
function escape(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** What `work` gives, unless it takes longer: then a {@linkcode StallError}. */
export async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new StallError(ms)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
