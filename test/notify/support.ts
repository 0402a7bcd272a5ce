/** What receives notifications in tests: an HTTP server that keeps what it got, and answers as it is told. */
import type { Log } from "../../src/stage.ts";

/** One request as it arrived. */
export interface Got {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly body: string;
}

/** A receiver on loopback. `answer` says how it answers; by default 200. */
export function receiver(
  answer: (got: Got, count: number) => Response | Promise<Response> = () => new Response("OK"),
): AsyncDisposable & { readonly url: string; readonly got: Got[] } {
  const got: Got[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname, searchParams } = new URL(request.url);
    const body = await request.text();
    const one = {
      method: request.method,
      path: pathname,
      query: searchParams,
      headers: request.headers,
      body,
    };
    got.push(one);
    return await answer(one, got.length);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    got,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** A log that keeps warnings. */
export function keeping(): { log: Log; warnings: string[] } {
  const warnings: string[] = [];
  return {
    warnings,
    log: { info: () => {}, warn: (kind, message) => void warnings.push(`${kind}: ${message}`) },
  };
}
