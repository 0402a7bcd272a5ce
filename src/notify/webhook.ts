/**
 * Any HTTP endpoint: chat rooms, pagers, your own.
 *
 * @module
 */
import { KINDS, type Notifier, notifier, type NotifierOptions, type RunEvent, type Secret } from "./event.ts";
import { type Address, placeOf, request, urlOf } from "./http.ts";

/** Options of {@linkcode webhook}. */
export interface WebhookOptions extends NotifierOptions {
  /** The URL; it may be a secret, as those of chat rooms are. */
  readonly url: Address;
  /** "POST", "PUT" or "GET", which sends no body. Default: "POST". */
  readonly method?: "POST" | "PUT" | "GET" | undefined;
  /**
   * The body, with {{kind}}, {{task}}, {{plan}}, {{host}}, {{run}}, {{at}}, {{title}}, {{text}}, {{id}}, {{error}}, {{durationMs}},
   * {{bytes}}, {{contentBytes}}, {{entries}} and {{warnings}} where the event's values go. In a JSON body they are escaped as part
   * of a string. Default: the event as JSON.
   */
  readonly template?: string | undefined;
  /** The body's type. Default: "application/json". */
  readonly contentType?: string | undefined;
  /** Further headers, none of them secret. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent as "Authorization: Bearer ...". */
  readonly token?: Secret | undefined;
}

const WORDS = [
  "kind",
  "task",
  "plan",
  "host",
  "run",
  "at",
  "title",
  "text",
  "id",
  "error",
  "durationMs",
  "bytes",
  "contentBytes",
  "entries",
  "warnings",
] as const;

/**
 * Sends every event to a URL. Throws TypeError for a template with an unknown word, or one that is no JSON where JSON is sent.
 */
export function webhook(options: WebhookOptions): Notifier {
  const { url, method = "POST", template, contentType = "application/json", headers = {}, token } = options;
  const json = /^application\/(?:[a-z0-9.-]+\+)?json\b/i.test(contentType);
  if (!["POST", "PUT", "GET"].includes(method)) {
    throw new TypeError(`Cannot notify by webhook: method is "${method}". Known: POST, PUT, GET`);
  }
  checkTemplate(template, json);
  new Headers(headers); // throws TypeError for names that cannot be
  const name = `webhook (${placeOf(url, "webhook")})`;
  return notifier(name, options, { on: KINDS }, async (event, signal) => {
    const secret = (await token?.())?.trim();
    await request(await urlOf(url, "webhook"), {
      method,
      headers: {
        ...headers,
        ...(method !== "GET" && { "Content-Type": contentType }),
        ...(secret !== undefined && { Authorization: `Bearer ${secret}` }),
      },
      ...(method !== "GET" &&
        { body: template === undefined ? JSON.stringify(event) : fill(template, event, json) }),
    }, signal);
  });
}

/** A template with an event's values; what the event lacks is empty. */
function fill(template: string, event: RunEvent, json: boolean): string {
  return template.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (_, word: keyof RunEvent) => {
    const value = event[word] ?? "";
    const text = typeof value === "object"
      ? Object.entries(value).map(([kind, count]) => `${kind} ${count}`).join(", ")
      : String(value);
    return json ? JSON.stringify(text).slice(1, -1) : text;
  });
}

function checkTemplate(template: string | undefined, json: boolean): void {
  if (template === undefined) return;
  for (const [, word] of template.matchAll(/\{\{\s*([^}]*?)\s*\}\}/g)) {
    if ((WORDS as readonly string[]).includes(word!)) continue;
    throw new TypeError(
      `Cannot notify by webhook: the template knows no {{${word}}}. Known: ${WORDS.join(", ")}`,
    );
  }
  if (!json) return;
  const sample = Object.fromEntries(WORDS.map((word) => [word, '"\\\n'])) as unknown as RunEvent;
  try {
    JSON.parse(fill(template, { ...sample, durationMs: 1, bytes: 1, contentBytes: 1, entries: 1 }, true));
  } catch (cause) {
    throw new TypeError(
      'Cannot notify by webhook: the template is not JSON. Put {{words}} between quotes, or set contentType = "text/plain"',
      { cause },
    );
  }
}
