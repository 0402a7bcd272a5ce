/**
 * A proxy that misbehaves on purpose, before a real HTTP server such as a bucket's, on this machine.
 *
 * @module
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { pass } from "./passing.ts";

/**
 * - `answer`: answers with `status`, `headers` and `body` by itself: 500, 429 with Retry-After, expired credentials.
 * - `reset`: breaks the connection before the request is passed on.
 * - `lost`: passes the request on, and breaks the connection instead of giving the answer.
 * - `tear`: breaks both connections after `at` bytes of the request's body.
 * - `cut`: breaks the connection after `at` bytes of the answer's body.
 * - `stall`: waits `ms` before the request is passed on, or for ever.
 * - `slow`: waits `ms` before each chunk of the request and of the answer.
 * - `twice`: passes the request on twice, and gives the second answer.
 * - `headers`: passes on, and changes `headers` of the answer: a wrong ETag, a server's clock that is off.
 */
export type ProxyFaultKind =
  | "answer"
  | "reset"
  | "lost"
  | "tear"
  | "cut"
  | "stall"
  | "slow"
  | "twice"
  | "headers";

/** One fault of a proxy. */
export interface ProxyFault {
  /** What happens. */
  readonly how: ProxyFaultKind;
  /** Only requests of this method. Default: all. */
  readonly method?: string | undefined;
  /** Only requests whose path and query match. Default: all. */
  readonly path?: RegExp | undefined;
  /** Only the nth of those, from 1. Default: each. */
  readonly nth?: number | undefined;
  /** Only the nth of those and all after it. */
  readonly from?: number | undefined;
  /** For `answer`: the status. Default: 503. */
  readonly status?: number | undefined;
  /** For `answer` and `headers`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** For `answer`: the text. Default: empty. */
  readonly body?: string | undefined;
  /** Bytes before `tear` or `cut`. Default: 0. */
  readonly at?: number | undefined;
  /** Milliseconds of `stall` and `slow`. */
  readonly ms?: number | undefined;
}

/** A proxy at work. */
export interface FaultProxy {
  /** Where it listens: "http://127.0.0.1:PORT". */
  readonly url: string;
  /** The requests it saw, each as "PUT /bucket/key?query". */
  readonly requests: readonly string[];
  /** How often each fault of the plan has happened, in the plan's order. */
  readonly happened: readonly number[];
  /** Closes it and every connection. */
  readonly close: () => Promise<void>;
}

/**
 * Starts a proxy on a free port of 127.0.0.1 that passes requests on to `target` ("http://127.0.0.1:9000"; no TLS). The first
 * fault that fits a request counts. Requests keep their Host header, so that signatures stay good; bodies up to 64 MiB can be sent twice.
 */
export async function faultProxy(target: string, plan: readonly ProxyFault[]): Promise<FaultProxy> {
  const { hostname, port, protocol } = new URL(target);
  if (protocol !== "http:") throw new TypeError(`Cannot stand before ${target}: only http: is possible`);
  const requests: string[] = [];
  const counts = plan.map(() => 0);
  const happened = plan.map(() => 0);
  const sockets = new Set<Socket>();
  function next(method: string, path: string): ProxyFault | undefined {
    requests.push(`${method} ${path}`);
    const fits = plan.map((fault, i) => {
      if ((fault.method ?? method) !== method || !(fault.path?.test(path) ?? true)) return false;
      counts[i]!++;
      return (fault.nth ?? counts[i]) === counts[i] && counts[i]! >= (fault.from ?? 1);
    });
    const first = fits.indexOf(true);
    if (first >= 0) happened[first]!++;
    return plan[first];
  }
  const server = createServer((request, response) => {
    const fault = next(request.method ?? "", request.url ?? "");
    const { socket } = request; // Deno forgets it once the request has been read
    pass({ socket, request, response, hostname, port: Number(port || 80), fault }).catch(() =>
      socket.destroy()
    );
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  await listen(server);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    happened,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
}
