/**
 * A nara's stash: one document, sealed with the soul's own key before it is written, as its confidants keep it.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { scanPage } from "../../collect/events/scan.ts";
import { type Ask, asker, PeerError, showUrl } from "../../collect/events/ask.ts";
import { text, utf8 } from "../../bytes.ts";
import { IntegrityError, NotFoundError } from "../../errors.ts";
import type { Context, U8 } from "../../stage.ts";
import { baseOf, type Caller, meshHeaders } from "./sync.ts";
import { encodeBase58 } from "./soul.ts";
import { open, seal } from "./xchacha.ts";

/** A sealed stash: the shape of the message that confidants get. */
export interface SealedStash {
  /** The owner's id. */
  readonly owner_id: string;
  /** The owner's name. */
  readonly owner: string;
  /** 24 bytes, base64. */
  readonly nonce: string;
  /** XChaCha20-Poly1305, base64. */
  readonly ciphertext: string;
  /** When it was set, seconds since 1970. */
  readonly ts: number;
}

const MESSAGE = "/mesh/message";

function asks(context: Context, requestTimeoutMs = 30_000): Ask {
  return asker({ signal: context.signal, requestTimeoutMs, attempts: 3, received: () => {} });
}

/** Seals a document; what was JSON stays the same bytes. */
export function sealStash({ name, soul }: Caller, plain: U8, ts: number): SealedStash {
  const nonce = new Uint8Array(randomBytes(24));
  return {
    owner_id: soul.id(name),
    owner: name,
    nonce: toBase64(nonce),
    ciphertext: toBase64(seal(soul.stashKey(), nonce, plain)),
    ts,
  };
}

/** Opens a sealed stash. Throws {@linkcode IntegrityError} when it is another's, or damaged. */
export function openStash({ soul }: Caller, stash: SealedStash): U8 {
  return open(soul.stashKey(), fromBase64(stash.nonce), fromBase64(stash.ciphertext));
}

/** Reads the lines of a stash file. Throws {@linkcode IntegrityError} for anything else. */
export function parseStash(file: string): SealedStash {
  try {
    const value = JSON.parse(file) as SealedStash;
    if ([value.owner_id, value.nonce, value.ciphertext].every((field) => typeof field === "string")) {
      return value;
    }
  } catch (cause) {
    throw new IntegrityError("Cannot restore the stash: the file is not JSON", { cause });
  }
  throw new IntegrityError("Cannot restore the stash: the file has no owner_id, nonce and ciphertext");
}

/** Takes the stash from its own nara, which shows it in clear text; it is sealed at once. */
export async function stashOfOwner(url: string, caller: Caller, context: Context): Promise<SealedStash> {
  const status = { url: `${baseOf(url)}/api/stash/status` };
  return await asks(context)(status, ({ body }) => {
    const members = scanPage(body, { items: "\0", id: "", time: "" }).members;
    const own = members.get("my_stash") ?? "null";
    if (own === "null") throw new NotFoundError(`Cannot back up the stash: ${showUrl(url)} has none`);
    const inner = scanPage(utf8(own), { items: "\0", id: "", time: "" }).members;
    const data = inner.get("data") ?? "null";
    if (data === "null") {
      throw new NotFoundError(`Cannot back up the stash: what ${showUrl(url)} has is no document`);
    }
    return sealStash(caller, utf8(data), Number(inner.get("timestamp") ?? 0));
  }).catch(explain(url));
}

/** Takes the stash from confidants, sealed as they keep it; the first that has one that opens. */
export async function stashOfConfidants(
  urls: readonly string[],
  caller: Caller,
  context: Context,
): Promise<SealedStash> {
  const id = caller.soul.id(caller.name);
  for (const url of urls) {
    try {
      const stash = await asks(context)({
        url: baseOf(url) + MESSAGE,
        method: "POST",
        headers: () => meshHeaders(caller, "POST", MESSAGE),
        body: message(caller, "stash:request", JSON.stringify({ owner_id: id })),
      }, ({ body }) => replyOf(text(body)));
      if (!stash) {
        context.log.warn(
          "peer",
          `${showUrl(url)} has no stash of "${caller.name}", or does not answer such requests at once`,
        );
      } else {
        const sealed = {
          owner_id: id,
          owner: caller.name,
          nonce: stash.nonce,
          ciphertext: stash.ciphertext,
          ts: stash.stored_at,
        };
        openStash(caller, sealed);
        return sealed;
      }
    } catch (error) {
      if (!(error instanceof PeerError) && !(error instanceof IntegrityError)) throw error;
      context.log.warn("peer", `${showUrl(url)}: ${error.message}`);
    }
  }
  throw new NotFoundError(`Cannot back up the stash: none of ${urls.length} confidants gave one that opens`);
}

interface Reply {
  readonly nonce: string;
  readonly ciphertext: string;
  readonly stored_at: number;
}

/** The stash in an answer; older confidants answer with nothing, and send it where only a nara is. */
function replyOf(answer: string): Reply | undefined {
  if (answer.trim() === "") return undefined;
  const messages = JSON.parse(answer) as readonly { kind: string; payload: Reply & { found?: boolean } }[];
  return messages.find(({ kind, payload }) => kind === "stash:response" && payload.found)?.payload;
}

/** Sets the stash of a running nara, which hands it to its confidants. Clear text on the way: use https or loopback. */
export async function updateStash(url: string, plain: U8, context: Context): Promise<string> {
  const headers = (): Record<string, string> => ({ "content-type": "application/json" });
  const request = {
    url: `${baseOf(url)}/api/stash/update`,
    method: "POST",
    headers,
    body: text(plain),
  } as const;
  const answer = await asks(context, 180_000)(request, ({ body }) => {
    return JSON.parse(text(body)) as { success?: boolean; message?: string };
  }).catch(explain(url));
  if (answer.success !== true) {
    context.log.warn(
      "stash",
      `${showUrl(url)} holds the stash, but has not handed it on: ${answer.message ?? "no reason"}`,
    );
  }
  return answer.message ?? "";
}

/** Gives a sealed stash to its own nara while that has none: the exact bytes, sealed on the way; confidants get nothing. */
export async function respondStash(
  url: string,
  caller: Caller,
  stash: SealedStash,
  context: Context,
): Promise<void> {
  openStash(caller, stash); // before anything is sent
  const before = await hasStash(url, context);
  if (before) {
    throw new NotFoundError(
      `Cannot restore the stash: ${
        showUrl(url)
      } has one, and would ignore this. Replace it with --way update`,
    );
  }
  const { owner_id, nonce, ciphertext, ts } = stash;
  const payload = JSON.stringify({ owner_id, found: true, nonce, ciphertext, stored_at: ts });
  await asks(context)({
    url: baseOf(url) + MESSAGE,
    method: "POST",
    headers: () => meshHeaders(caller, "POST", MESSAGE),
    body: message(caller, "stash:response", payload),
  }, () => undefined).catch(explain(url));
  if (!await hasStash(url, context)) {
    throw new Error(
      `Cannot restore the stash: ${showUrl(url)} has none afterwards; it says nothing about why`,
    );
  }
}

async function hasStash(url: string, context: Context): Promise<boolean> {
  return await asks(context)({ url: `${baseOf(url)}/api/stash/status` }, ({ body }) => {
    return (JSON.parse(text(body)) as { has_stash?: boolean }).has_stash === true;
  }).catch(explain(url));
}

/** A signed message from a nara to itself or another. Receivers write it anew before they check it: order and form count. */
function message({ name, soul }: Caller, kind: string, payload: string): string {
  const id = encodeBase58(randomBytes(32)).slice(0, 16);
  const from = soul.id(name);
  const timestamp = new Date().toISOString().replace(/\.?0*Z$/, "Z");
  const signed =
    `{"id":"${id}","kind":"${kind}","from_id":"${from}","timestamp":"${timestamp}","payload":${payload}}`;
  const signature = soul.sign(utf8(signed));
  return `{"id":"${id}","kind":"${kind}","version":1,"from":${JSON.stringify(name)},"from_id":"${from}",` +
    `"timestamp":"${timestamp}","payload":${payload},"signature":"${signature}"}`;
}

function explain(url: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof PeerError) {
      throw new Error(`Cannot reach the stash of ${showUrl(url)}: ${error.message}`, { cause: error });
    }
    throw error;
  };
}

function toBase64(bytes: U8): string {
  return bytes.toBase64();
}

function fromBase64(encoded: string): U8 {
  try {
    return Uint8Array.fromBase64(encoded);
  } catch (cause) {
    throw new IntegrityError("Cannot open the stash: its nonce or its ciphertext is not base64", { cause });
  }
}
