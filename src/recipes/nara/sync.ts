/**
 * Reading a nara: both generations of `POST /events/sync`, signed requests, verified answers.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { PeerError, type PeerTask, type ReadPeer } from "../../collect/events.ts";
import type { Answer } from "../../collect/events/ask.ts";
import { type Page, type PageShape, scanPage, SPAN } from "../../collect/events/scan.ts";
import { KeyError, messageOf } from "../../errors.ts";
import { utf8 } from "../../bytes.ts";
import type { U8 } from "../../stage.ts";
import { parseSoul, type Soul, verified } from "./soul.ts";

/** Where id and time of an event are. */
export const SHAPE: PageShape = { items: "events", id: "id", time: "ts" };

/** Who asks. */
export interface Caller {
  /** A nara's name. */
  readonly name: string;
  /** Its soul. */
  readonly soul: Soul;
}

/** Reads the soul, and makes sure that it belongs to the name. */
export async function callerOf(name: string, soul: () => string | Promise<string>): Promise<Caller> {
  const parsed = parseSoul(await soul());
  if (!parsed.fits(name)) {
    throw new KeyError(
      `Cannot use the soul: it was made for another name than "${name}". Names are case-sensitive`,
    );
  }
  return { name, soul: parsed };
}

/** What is asked for. */
export interface SyncOptions {
  /** Only these services; empty: all. */
  readonly services?: readonly string[] | undefined;
}

const PATH = "/events/sync";
const PAGE = 5000;
/** What servers before January 2026 send at most, in the only way they know. */
const OLD_PAGE = 2000;
/** More slices than this, and a server is not telling the truth about its log. */
const MOST_SLICES = 1 << 16;

/** Headers that prove who asks; good for 30 seconds. */
export function meshHeaders(
  { name, soul }: Caller,
  method: string,
  path: string,
): Readonly<Record<string, string>> {
  const time = String(Date.now());
  return {
    "content-type": "application/json",
    "x-nara-name": name,
    "x-nara-timestamp": time,
    "x-nara-signature": soul.sign(utf8(name + time + method + path)),
  };
}

/** Reads a nara's whole ledger: by pages where it knows them, else by slices. */
export function naraPages(caller: () => Promise<Caller>, options: SyncOptions = {}): ReadPeer {
  return async function* (task: PeerTask): AsyncGenerator<Page, void, undefined> {
    const who = await caller();
    const asked = { task, who, services: options.services ?? [], shown: await meet(task, who) };
    const since = task.since === undefined ? undefined : task.since - 1n; // servers give what is later
    let cursor = since;
    for (let first = true;; first = false) {
      const page = await sync(asked, {
        mode: "page",
        cursor: cursor === undefined ? "" : String(cursor),
        page_size: PAGE,
      });
      if (first) await expectTotal(asked, page);
      const count = page.spans.length / SPAN;
      const next = cursorOf(page);
      if (next === undefined) {
        if (first && count === OLD_PAGE) return yield* slices(asked, since, OLD_PAGE);
        return yield page;
      }
      // Pages end between events of one time and would lose the rest of them: begin the next one before that time.
      const onward = next - 1n;
      if (cursor !== undefined && next <= cursor) {
        throw new PeerError(`it repeats its cursor ${next}, so its pages would never end`, false);
      }
      yield page;
      if (onward === cursor || oneTime(page)) return yield* slices(asked, onward, PAGE);
      cursor = onward;
    }
  };
}

interface Asked {
  readonly task: PeerTask;
  readonly who: Caller;
  readonly services: readonly string[];
  readonly shown: Shown | undefined;
}

/** Who a server says it is. */
interface Shown {
  readonly name: string;
  readonly publicKey: string;
}

/** Asks a server for its name and key; what it sends afterwards must be signed with that key. */
async function meet({ peer, ask, warn }: PeerTask, { name, soul }: Caller): Promise<Shown | undefined> {
  let shown: Shown;
  try {
    shown = await ask({ url: `${baseOf(peer)}/ping` }, ({ body }) => {
      const { from, public_key } = JSON.parse(new TextDecoder().decode(body));
      return { name: String(from ?? ""), publicKey: String(public_key ?? "") };
    });
  } catch (error) {
    if (!(error instanceof PeerError) || error.again) throw error;
    warn(
      "unsigned",
      `it does not say which key is its own (${messageOf(error)}): its answers are not verified`,
    );
    return undefined;
  }
  if (shown.name === name && shown.publicKey !== soul.publicKey) {
    warn("identity", `it calls itself "${name}" but has another key than the soul of "${name}"`);
  }
  return shown;
}

/** An address without slashes at its end. */
export function baseOf(url: string): string {
  return url.replace(/\/+$/, "");
}

async function sync(
  { task, who, services, shown }: Asked,
  fields: Readonly<Record<string, unknown>>,
): Promise<Page> {
  const body = JSON.stringify({
    from: who.name,
    services: services.length > 0 ? services : null,
    subjects: null,
    ...fields,
  });
  return await task.ask({
    url: baseOf(task.peer) + PATH,
    method: "POST",
    headers: () => meshHeaders(who, "POST", PATH),
    body,
  }, (answer) => {
    const page = scanPage(answer.body, SHAPE);
    if (!page.members.has("from")) throw new PeerError("its answer is not that of a nara", false);
    if (shown) checkSigned(page, answer, shown);
    return page;
  });
}

function memberOf(page: Page, name: string): string {
  const text = page.members.get(name);
  return text === undefined ? "" : String(text.startsWith('"') ? JSON.parse(text) : text);
}

/** Throws unless both signatures of an answer are those of the key that the server has shown. */
function checkSigned(page: Page, { headers, body }: Answer, shown: Shown): void {
  const from = memberOf(page, "from");
  const hash = createHash("sha256").update(`${from}:${memberOf(page, "ts")}:`);
  for (let i = 0; i < page.spans.length; i += SPAN) hash.update(idOf(page, i));
  const signed = verified(shown.publicKey, hash.digest(), memberOf(page, "sig"));
  const name = headers.get("x-nara-name") ?? "";
  const digest = createHash("sha256").update(body).digest("base64");
  const text = utf8(name + (headers.get("x-nara-timestamp") ?? "") + digest);
  const whole = name === "" || verified(shown.publicKey, text, headers.get("x-nara-signature") ?? "");
  if (signed && whole && from === shown.name) return;
  throw new PeerError(`its answer is not signed with the key it has shown for "${shown.name}"`, true);
}

function idOf({ bytes, spans }: Page, i: number): U8 {
  const token = bytes.subarray(spans[i + 2]!, spans[i + 3]!);
  if (!token.includes(0x5c)) return token.subarray(1, -1);
  return utf8(String(JSON.parse(new TextDecoder().decode(token))));
}

function cursorOf(page: Page): bigint | undefined {
  const text = memberOf(page, "next_cursor");
  if (text === "") return undefined;
  if (!/^-?\d{1,19}$/.test(text)) throw new PeerError("its cursor is not a number", false);
  return BigInt(text);
}

/** Whether all events of a page have one time: then no cursor leads past them. */
function oneTime({ bytes, spans }: Page): boolean {
  const time = (i: number): string => new TextDecoder().decode(bytes.subarray(spans[i + 4]!, spans[i + 5]!));
  return spans.length > 0 && time(0) === time(spans.length - SPAN);
}

/**
 * Reads what is later than `since` in interleaved slices, so many that none reaches the cap, which would cut it. The first slice is the
 * largest, and is read again at the end: when it has changed, the slices did not fit together, and are read anew.
 */
async function* slices(
  asked: Asked,
  since: bigint | undefined,
  cap: number,
): AsyncGenerator<Page, void, undefined> {
  const slice = (index: number, total: number): Promise<Page> =>
    sync(asked, {
      since_time: rawNumber(since ?? 0n),
      slice_index: index,
      slice_total: total,
      max_events: cap,
    });
  const full = (page: Page): boolean => page.spans.length / SPAN >= cap;
  let total = 8;
  for (let round = 0; round < 4; round++) {
    let first = await slice(0, total);
    while (full(first)) {
      total *= 4;
      if (total > MOST_SLICES) {
        throw new PeerError(`it fills each of ${total / 4} slices: it never ends`, false);
      }
      first = await slice(0, total);
    }
    yield first;
    for (let i = 1; i < total; i++) yield await slice(i, total);
    const again = await slice(0, total);
    if (sameIds(first, again)) return;
    yield again;
  }
  asked.task.warn("moving", "its log grew while it was read in slices: the newest events may be missing");
}

/** JSON.stringify has no 64-bit integers; JSON.rawJSON has. */
function rawNumber(value: bigint): unknown {
  return (JSON as unknown as { rawJSON: (text: string) => unknown }).rawJSON(String(value));
}

function sameIds(a: Page, b: Page): boolean {
  if (a.spans.length !== b.spans.length) return false;
  for (let i = 0; i < a.spans.length; i += SPAN) {
    const [x, y] = [idOf(a, i), idOf(b, i)];
    if (x.length !== y.length || x.some((byte, k) => byte !== y[k])) return false;
  }
  return true;
}

/** Says how many bytes will come, where the server tells how many events it has. */
async function expectTotal({ task, shown }: Asked, page: Page): Promise<void> {
  const count = page.spans.length / SPAN;
  if (!shown || count < PAGE) return;
  try {
    const total = await task.ask({ url: `${baseOf(task.peer)}/narae.json` }, ({ body }) => {
      const { naras } = JSON.parse(new TextDecoder().decode(body));
      return Number(naras?.find((nara: { Name?: string }) => nara.Name === shown.name)?.event_store_total);
    });
    if (total > 0) task.expect(Math.round(page.bytes.length / count * total));
  } catch (error) {
    if (!(error instanceof PeerError)) throw error; // only its own page server has totals
  }
}
