/**
 * Pages that name the next one in a `Link` header (RFC 8288), as GitHub's API does.
 *
 * @module
 */
import { PeerError } from "./ask.ts";
import type { PeerTask, ReadPeer } from "./gather.ts";
import { type Page, type PageShape, scanPage } from "./scan.ts";

/** How such pages are asked for. */
export interface LinkOptions extends PageShape {
  /** Headers of each request; a function, because a token is a secret. */
  readonly headers?: (() => Readonly<Record<string, string>>) | undefined;
}

/**
 * Reads GET pages until none names a next one. The next page must lie on the same host, so that no token goes elsewhere, and must not
 * have been seen. In an incremental run a page whose ETag is that of the last backup is not sent again, and holds nothing new.
 */
export function linkPages(options: LinkOptions): ReadPeer {
  return async function* (task: PeerTask): AsyncGenerator<Page, void, undefined> {
    const seen = new Set<string>();
    for (let url: string | undefined = task.peer; url !== undefined;) {
      if (seen.has(url)) throw new PeerError("it names a page as its next that came before", false);
      seen.add(url);
      const { page, next } = await read(url, options, task);
      if (page) yield page;
      url = next;
    }
  };
}

interface Read {
  readonly page: Page | undefined;
  readonly next: string | undefined;
}

async function read(url: string, options: LinkOptions, { ask, etags }: PeerTask): Promise<Read> {
  const known = etags.known(url);
  const get = (etag: string | undefined): Promise<Read> => {
    const headers = (): Readonly<Record<string, string>> => ({
      accept: "application/json",
      ...options.headers?.(),
      ...(etag === undefined ? {} : { "if-none-match": etag }),
    });
    return ask({ url, headers, unchanged: etag !== undefined }, ({ status, body, headers }) => {
      const etag = headers.get("etag");
      const next = nextOf(headers.get("link"), url);
      if (status === 304) return { page: undefined, next };
      const page = scanPage(body, options);
      if (etag !== null) etags.note(url, etag);
      return { page, next };
    });
  };
  if (known === undefined) return await get(undefined);
  const answer = await get(known);
  if (answer.page) return answer;
  // Unchanged; but only the page itself says for sure that there is no next one.
  if (answer.next === undefined) return { page: undefined, next: (await get(undefined)).next };
  etags.note(url, known);
  return answer;
}

/** The address in a Link header's `rel="next"`. */
function nextOf(header: string | null, base: string): string | undefined {
  for (const [, target, rest] of (header ?? "").matchAll(/<([^>]*)>([^<]*)/g)) {
    if (!/;\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next\b)/i.test(rest!)) continue;
    const url = new URL(target!, base);
    if (url.origin !== new URL(base).origin) {
      throw new PeerError(`its next page lies elsewhere, on ${url.host}`, false);
    }
    return url.href;
  }
  return undefined;
}
