/** Servers of event logs on loopback, with faults on demand. */
import { gzipSync } from "node:zlib";
import { type EventsOptions, readEvents } from "../../src/collect/events.ts";
import { type Page, scanPage } from "../../src/collect/events/scan.ts";
import type { PeerTask, ReadPeer } from "../../src/collect/events/gather.ts";
import { type Seen, testContext } from "../support.ts";

/** A server; it goes with the scope. */
export interface TestServer extends AsyncDisposable {
  /** Its address, without a slash at the end. */
  readonly url: string;
  /** Every request's method, path and query. */
  readonly log: string[];
}

/** Starts a server on a free port of loopback. */
export function serve(
  handler: (request: Request, count: number) => Response | Promise<Response>,
): TestServer {
  const log: string[] = [];
  const stop = new AbortController();
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", signal: stop.signal, onListen: () => {} },
    (request) => {
      const url = new URL(request.url);
      log.push(`${request.method} ${url.pathname}${url.search}`);
      return handler(request, log.length);
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    log,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await server.finished;
    },
  };
}

/** A log served in pages that a Link header ties together, with ETags and gzip, as GitHub does. */
export function linkServer(events: () => readonly string[], perPage = 3): TestServer {
  return serve((request) => {
    const url = new URL(request.url);
    const page = Number(url.searchParams.get("page") ?? 1);
    const all = events();
    const body = `[${all.slice((page - 1) * perPage, page * perPage).join(", ")}]`;
    const headers = new Headers({ "content-type": "application/json", etag: `"${hash(body)}"` });
    if (page * perPage < all.length) {
      headers.set("link", `</log?page=${page + 1}>; rel="next", </log?page=1>; rel="first"`);
    }
    if (request.headers.get("if-none-match") === headers.get("etag")) {
      return new Response(null, { status: 304, headers });
    }
    if (!/gzip/.test(request.headers.get("accept-encoding") ?? "")) return new Response(body, { headers });
    headers.set("content-encoding", "gzip");
    return new Response(new Uint8Array(gzipSync(body)), { headers });
  });
}

function hash(text: string): string {
  let value = 5381;
  for (const char of text) value = (value * 33 + char.codePointAt(0)!) >>> 0;
  return value.toString(16);
}

/** Pages `/page/0`, `/page/1`, ... of a server until one is answered with []. */
export const numbered: ReadPeer = async function* ({ peer, ask }: PeerTask): AsyncGenerator<Page> {
  for (let page = 0;; page++) {
    const found = await ask(
      { url: `${peer}/page/${page}` },
      ({ body }) => scanPage(body, { id: "id", time: "ts" }),
    );
    if (found.spans.length === 0) return;
    yield found;
  }
};

/** Reads everything, and gives the lines. */
export async function readLines(
  options: Omit<EventsOptions, "path" | "restore" | "inspect">,
  seen: Seen = { warnings: [], infos: [] },
  known: readonly string[] = [],
): Promise<{ lines: string[]; read: Awaited<ReturnType<typeof readEvents>> }> {
  const read = await readEvents(
    options,
    testContext({ seen }),
    { ids: (know) => Promise.resolve(known.forEach((id) => know(new TextEncoder().encode(id)))) },
  );
  let text = "";
  for await (const block of read.lines()) text += new TextDecoder().decode(block);
  read.close();
  return { lines: text.split("\n").slice(0, -1), read };
}
