/**
 * One request of a notifier.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import type { Secret } from "./event.ts";

/** Tries in all; only what was surely not delivered is tried again, so that nobody is told twice. */
const TRIES = 3;
const AGAIN: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** A URL, or where it comes from when it is secret. */
export type Address = string | Secret;

/** Where an address points, for messages: its origin, or "a secret URL". Throws TypeError unless it is http or https. */
export function placeOf(address: Address, tool: string): string {
  if (typeof address === "function") return "a secret URL";
  return checked(address, tool).origin;
}

/** The URL of an address. Throws TypeError that does not show it. */
export async function urlOf(address: Address, tool: string): Promise<URL> {
  return checked(typeof address === "function" ? (await address()).trim() : address, tool);
}

function checked(text: string, tool: string): URL {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`Cannot notify by ${tool}: its url must start with https:// or http://`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError(
      `Cannot notify by ${tool}: a password must not stand in its url. Give it as a secret of its own`,
    );
  }
  return url;
}

/** Sends one request and expects 2xx. Errors name the host and the status, never the path, which may be a secret. */
export async function request(
  url: URL,
  init: {
    readonly method: string;
    readonly body?: string;
    readonly headers?: Readonly<Record<string, string>>;
  },
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1;; attempt++) {
    const failure = await once(url, init, signal);
    if (failure === undefined) return;
    if (!failure.again || attempt === TRIES) throw new Error(`${url.host} ${failure.why}`);
    await sleep(250 * 2 ** attempt, undefined, { signal });
  }
}

async function once(
  url: URL,
  init: {
    readonly method: string;
    readonly body?: string;
    readonly headers?: Readonly<Record<string, string>>;
  },
  signal: AbortSignal,
): Promise<{ why: string; again: boolean } | undefined> {
  try {
    // A redirect could carry a token elsewhere.
    const response = await fetch(url, { ...init, signal, redirect: "manual" });
    const said = response.ok ? "" : (await response.text()).replaceAll(/\s+/g, " ").trim().slice(0, 200);
    await response.body?.cancel().catch(() => {});
    if (response.ok) return undefined;
    return {
      why: `answered ${response.status}${said === "" ? "" : `: ${said.replaceAll(url.pathname, "...")}`}`,
      again: AGAIN.has(response.status),
    };
  } catch (error) {
    signal.throwIfAborted();
    const why = messageOf(error).replaceAll(url.href, url.origin).replaceAll(
      url.pathname.slice(1) || "\0",
      "...",
    );
    return { why: `cannot be reached: ${why}`, again: /connect|dns|lookup/i.test(why) };
  }
}
