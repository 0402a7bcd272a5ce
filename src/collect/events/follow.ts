/**
 * Requests that are sent on to another address.
 *
 * @module
 */
import type { AskRequest } from "./ask.ts";

/** Goes where a GET is sent, on the same host only: its headers may hold what is secret. */
export async function follow(request: AskRequest, signal: AbortSignal): Promise<Response> {
  const { method = "GET", body = null } = request;
  for (let url = request.url, hops = 0;; hops++) {
    const headers = request.headers?.() ?? {};
    const response = await fetch(url, { method, headers, body, redirect: "manual", signal });
    const next = method === "GET" && hops < 5 ? sameHost(response, url) : undefined;
    if (next === undefined) return response;
    await response.body?.cancel();
    url = next;
  }
}

function sameHost({ status, headers }: Response, from: string): string | undefined {
  const next = [301, 302, 303, 307, 308].includes(status)
    ? URL.parse(headers.get("location") ?? "", from)
    : null;
  const { origin, hostname } = new URL(from);
  if (!next || next.hostname !== hostname) return undefined;
  return next.origin === origin || next.protocol === "https:" ? next.href : undefined;
}
