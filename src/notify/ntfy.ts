/**
 * ntfy: messages to phones and desktops.
 *
 * @module
 */
import { type EventKind, type Notifier, notifier, type NotifierOptions, type Secret } from "./event.ts";
import { type Address, placeOf, request, urlOf } from "./http.ts";

/** Options of {@linkcode ntfy}. */
export interface NtfyOptions extends NotifierOptions {
  /** The topic's URL: "https://ntfy.sh/my-topic". Who knows a topic can read it, so it may be a secret. */
  readonly url: Address;
  /** An access token, where the server asks for one. */
  readonly token?: Secret | undefined;
}

const LOOK: Readonly<Record<EventKind, { readonly priority: number; readonly tags: readonly string[] }>> = {
  start: { priority: 1, tags: ["hourglass"] },
  success: { priority: 2, tags: ["white_check_mark"] },
  warning: { priority: 3, tags: ["warning"] },
  failure: { priority: 4, tags: ["rotating_light"] },
};

/** Publishes to a topic (ntfy.sh, "Publish as JSON"), by default what needs someone: warnings and failures. */
export function ntfy(options: NtfyOptions): Notifier {
  const { url, token } = options;
  const name = `ntfy (${placeOf(url, "ntfy")})`;
  if (typeof url === "string") splitTopic(new URL(url));
  return notifier(name, options, { on: ["warning", "failure"] }, async (event, signal) => {
    const { base, topic } = splitTopic(await urlOf(url, "ntfy"));
    const secret = (await token?.())?.trim();
    await request(base, {
      method: "POST",
      headers: secret === undefined ? {} : { Authorization: `Bearer ${secret}` },
      body: JSON.stringify({ topic, title: event.title, message: event.text, ...LOOK[event.kind] }),
    }, signal);
  });
}

function splitTopic(url: URL): { base: URL; topic: string } {
  const [, folder, topic] = /^(.*\/)([^/]+)\/?$/.exec(url.pathname) ?? [];
  if (folder === undefined || topic === undefined) {
    throw new TypeError('Cannot notify by ntfy: its url names no topic. Write "https://ntfy.sh/my-topic"');
  }
  return { base: new URL(folder, url), topic: decodeURIComponent(topic) };
}
