/**
 * A nara for tests, on loopback: both generations of its sync protocol, its import with its caps, its stash, and faults. Written from the
 * protocol's description; it holds the text of each event as it came.
 */
import { createHash, randomBytes } from "node:crypto";
import { parseSoul, type Soul, verified } from "../../src/recipes/nara/soul.ts";
import { open } from "../../src/recipes/nara/xchacha.ts";

type Json = Record<string, unknown>;

/** An event as the peer holds it. */
export interface Held {
  line: string;
  id: string;
  ts: bigint;
  svc: string;
  value: Record<string, Json>;
}

export interface PeerOptions {
  name: string;
  soul: string;
  events?: readonly string[];
  /** "old": before January 2026, slices only, 2,000 at most. */
  generation?: "new" | "old";
  /** Changes the way a sync request is answered; `null`: as usual. */
  fault?: (body: Json, count: number) => Response | Promise<Response> | null;
  /** Milliseconds its clock is ahead. */
  clockMs?: number;
  /** Public keys by name that it knows besides its own. */
  known?: Record<string, string>;
  /** Other addresses that it tells of. */
  tells?: () => readonly string[];
  /** Sends the first page whatever the cursor. */
  repeat?: boolean;
  /** Whether imports find nobody who answers. */
  down?: (batches: number) => boolean;
  /** Names a cursor before the one it got. */
  backwards?: boolean;
  /** Events it keeps. Default: all. */
  capacity?: number;
  /** Largest page. Default: 5,000. */
  pageLimit?: number;
}

export interface TestPeer extends AsyncDisposable {
  readonly url: string;
  readonly log: string[];
  /** The sizes of imported batches. */
  readonly batches: number[];
  readonly events: () => readonly Held[];
  readonly lines: () => string[];
  readonly stash: { data: unknown; from: string }[];
}

/** Starts one on a free port. */
export function startPeer(options: PeerOptions): TestPeer {
  const soul = parseSoul(options.soul);
  const ledger: Held[] = [];
  for (const line of options.events ?? []) addEvent(ledger, held(line));
  if (options.capacity) makeRoom(ledger, options);
  const state = {
    options,
    soul,
    ledger,
    log: [] as string[],
    batches: [] as number[],
    stash: [] as TestPeer["stash"],
  };
  const stop = new AbortController();
  const server = Deno.serve(
    {
      port: 0,
      hostname: "127.0.0.1",
      signal: stop.signal,
      onListen: () => {},
      onError: () => new Response("", { status: 500 }),
    },
    (request) => answer(state, request),
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    log: state.log,
    batches: state.batches,
    events: () => ledger,
    lines: () => ledger.map(({ line }) => line),
    stash: state.stash,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await server.finished;
    },
  };
}

interface State {
  options: PeerOptions;
  soul: Soul;
  ledger: Held[];
  log: string[];
  batches: number[];
  stash: TestPeer["stash"];
}

export function held(line: string): Held {
  const value = JSON.parse(line);
  return {
    line,
    value,
    id: String(value.id ?? ""),
    svc: String(value.svc),
    ts: BigInt(/"ts":(-?\d+)/.exec(line)?.[1] ?? 0),
  };
}

async function answer(state: State, request: Request): Promise<Response> {
  const { options, soul, log } = state;
  const { pathname } = new URL(request.url);
  log.push(`${request.method} ${pathname}`);
  const text = await request.text();
  switch (pathname) {
    case "/ping":
      return Response.json({ from: options.name, public_key: soul.publicKey, t: 1 });
    case "/narae.json":
    case "/api.json": {
      const others = (options.tells?.() ?? []).map((PublicUrl, i) => ({ Name: `other${i}`, PublicUrl }));
      const self = {
        Name: options.name,
        PublicUrl: "",
        PublicKey: soul.publicKey,
        MemoryMaxEvents: options.capacity ?? 0,
        event_store_total: state.ledger.length,
      };
      return Response.json({ naras: [self, ...others], server: options.name });
    }
    case "/events/sync":
      return await sync(state, request, text);
    case "/api/events/import":
      return importEvents(state, text);
    case "/api/stash/status": {
      const last = state.stash.at(-1);
      const my_stash = last ? { timestamp: 1, data: last.data } : null;
      return Response.json({ has_stash: last !== undefined, my_stash, confidants: [], target_count: 3 });
    }
    case "/api/stash/update":
      state.stash.push({ data: JSON.parse(text), from: "update" });
      return Response.json({ success: true, message: "Stash updated and distributed to confidants" });
    case "/mesh/message":
      return message(state, text);
    default:
      return new Response("404 page not found\n", { status: 404 });
  }
}

function now({ options }: State): number {
  return Date.now() + (options.clockMs ?? 0);
}

/** Why a request is not let in. */
function authProblem(state: State, request: Request): string | undefined {
  const [name, time, sig] = ["x-nara-name", "x-nara-timestamp", "x-nara-signature"].map((key) =>
    request.headers.get(key)
  );
  if (!name || !time || !sig) return "missing auth headers";
  if (Math.abs(now(state) - Number(time)) > 30_000) {
    return `timestamp too old or in future: ${now(state) - Number(time)}ms`;
  }
  const key = name === state.options.name ? state.soul.publicKey : knownKey(state, name);
  if (key === undefined) return `unknown sender: ${name}`;
  const signed = new TextEncoder().encode(`${name}${time}${request.method}${new URL(request.url).pathname}`);
  return verified(key, signed, sig) ? undefined : "signature verification failed";
}

function knownKey({ options, ledger }: State, name: string): string | undefined {
  const introduction = ledger.findLast(({ value }) => value.hey_there?.From === name)?.value.hey_there;
  return options.known?.[name] ?? (introduction?.PublicKey as string | undefined);
}

async function sync(state: State, request: Request, text: string): Promise<Response> {
  const problem = authProblem(state, request);
  const date = { date: new Date(now(state)).toUTCString() };
  if (problem) return new Response(`Authentication failed: ${problem}\n`, { status: 401, headers: date });
  const body = JSON.parse(text) as Json;
  if (!body.from) return new Response("from is required\n", { status: 400 });
  const faulty = await state.options.fault?.(
    body,
    state.log.filter((line) => line.endsWith("/events/sync")).length,
  );
  if (faulty) return faulty;
  const services = (body.services ?? []) as string[];
  const found = state.ledger.filter(({ svc }) => services.length === 0 || services.includes(svc));
  found.sort((a, b) => a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : 0);
  const { events, next } = state.options.generation === "old" || body.mode !== "page"
    ? sliced(found, text, body, state.options.generation === "old" ? 2000 : 5000)
    : paged(
      found,
      state.options.repeat ? {} : body,
      state.options.pageLimit ?? 5000,
      state.options.backwards,
    );
  return signedAnswer(state, events, next);
}

function paged(
  found: Held[],
  body: Json,
  limit: number,
  backwards = false,
): { events: Held[]; next?: bigint } {
  const cursor = /^-?\d+$/.test(String(body.cursor)) ? BigInt(body.cursor as string) : 0n;
  const size = Math.min(Number(body.page_size) || limit, limit);
  const events = found.filter(({ ts }) => ts > cursor).slice(0, size);
  if (events.length < size) return { events };
  return { events, next: backwards && cursor > 0n ? cursor - 1n : events.at(-1)!.ts };
}

function sliced(found: Held[], text: string, body: Json, cap: number): { events: Held[]; next?: bigint } {
  const since = BigInt(/"since_time":(-?\d+)/.exec(text)?.[1] ?? 0);
  const total = Number(body.slice_total) || 1;
  const events = found.filter(({ ts }) => since <= 0n || ts > since)
    .filter((_, i) => i % total === (Number(body.slice_index) || 0));
  return { events: events.slice(-Math.min(Number(body.max_events) || cap, cap)) };
}

function signedAnswer({ options, soul }: State, events: readonly Held[], next?: bigint): Response {
  const ts = Math.floor(Date.now() / 1000);
  const hash = createHash("sha256").update(`${options.name}:${ts}:`);
  for (const { id } of events) hash.update(id);
  const list = events.length === 0 ? "null" : `[${events.map(({ line }) => line).join()}]`;
  const cursor = next === undefined ? "" : `,"next_cursor":"${next}"`;
  const body = `{"from":"${options.name}","events":${list}${cursor},"ts":${ts},"sig":"${
    soul.sign(hash.digest())
  }"}\n`;
  const time = String(Date.now());
  const digest = createHash("sha256").update(body).digest("base64");
  return new Response(body, {
    headers: {
      "content-type": "application/json; charset=utf-8",
      "x-nara-name": options.name,
      "x-nara-timestamp": time,
      "x-nara-signature": soul.sign(new TextEncoder().encode(options.name + time + digest)),
    },
  });
}

function importEvents(state: State, text: string): Response {
  const fail = (status: number, error: string): Response =>
    Response.json({ success: false, imported: 0, duplicates: 0, error }, {
      status,
      headers: { date: new Date(now(state)).toUTCString() },
    });
  let body: Json;
  try {
    body = JSON.parse(text);
  } catch {
    return fail(400, "Invalid JSON");
  }
  if (state.options.down?.(state.batches.length)) return broken();
  const lines = splitEvents(text);
  const age = now(state) / 1000 - Number(body.ts);
  if (Math.abs(age) > 300) {
    return fail(403, `Authentication failed: timestamp too old or in future: ${Math.round(age)}s`);
  }
  const hash = createHash("sha256").update(`${body.ts}:`);
  const events = lines.map(held);
  for (const { id } of events) hash.update(id);
  if (!verified(state.soul.publicKey, hash.digest(), String(body.sig))) {
    return fail(403, "Authentication failed: signature verification failed");
  }
  if (events.some(({ value }) => value.poison !== undefined)) return broken();
  if (events.some(({ id, svc, value }) => id.length < 8 || !value[svc.replace("-", "_")])) return broken();
  if (lines.length > 0) state.batches.push(lines.length);
  const imported = events.filter((event) => {
    const added = addEvent(state.ledger, event);
    if (added && event.svc !== "observation") makeRoom(state.ledger, state.options);
    return added;
  }).length;
  const warnings =
    events.filter(({ value }) => value.sig && knownKey(state, String(value.emitter)) === undefined).length;
  return Response.json({
    success: true,
    imported,
    duplicates: events.length - imported,
    ...(warnings ? { warnings } : {}),
  });
}

/** What a handler that panics leaves: a connection that closes without an answer. */
export function broken(): Response {
  return new Response(new ReadableStream({ start: (controller) => controller.error(new Error("closed")) }));
}

/** The texts of the events of an import, as they stand. */
function splitEvents(text: string): string[] {
  const lines: string[] = [];
  let depth = 0;
  let start = 0;
  let quoted = false;
  const from = text.indexOf("[");
  for (let i = from; i < text.length; i++) {
    const char = text[i];
    if (quoted) {
      if (char === "\\") i++;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === "{" || char === "[") {
      depth++;
      if (depth === 2) start = i;
    } else if (char === "}" || char === "]") {
      depth--;
      if (depth === 1) lines.push(text.slice(start, i + 1));
      if (depth === 0) return lines;
    }
  }
  return lines;
}

/** The ledger's rules: known ids, 5 pings of a target, 20 observations of a pair with the eviction before the check for duplicates. */
function addEvent(ledger: Held[], event: Held): boolean {
  let ids = known.get(ledger);
  if (!ids) known.set(ledger, ids = new Set());
  const drop = (victim: Held): void => {
    ledger.splice(ledger.indexOf(victim), 1);
    ids.delete(victim.id);
  };
  const same = ids.has(event.id);
  if (event.svc === "observation") {
    const pair = ledger.filter(({ value }) =>
      value.observation?.observer === event.value.observation!.observer &&
      value.observation?.subject === event.value.observation!.subject
    );
    if (pair.length >= 20) {
      const loose = pair.filter(({ value }) => value.observation!.type !== "restart");
      const counted = ledger.some(({ value }) =>
        value.checkpoint?.subject === event.value.observation!.subject
      );
      const victims = loose.length > 0 ? loose : counted ? pair : [];
      const victim = victims.reduce<Held | undefined>((a, b) => !a || b.ts < a.ts ? b : a, undefined);
      if (victim) drop(victim);
    }
    if (ids.has(event.id)) return false;
    ids.add(event.id);
    ledger.push(event);
    return true;
  }
  if (same) return false;
  if (event.svc === "ping") {
    const pings = ledger.filter(({ value }) => value.ping && value.ping.target === event.value.ping!.target);
    const oldest = pings.reduce<Held | undefined>((a, b) => !a || b.ts < a.ts ? b : a, undefined);
    if (pings.length >= 5 && oldest) {
      if (event.ts <= oldest.ts) return false;
      drop(oldest);
    }
  }
  ids.add(event.id);
  ledger.push(event);
  return true;
}

const PRIORITY: Record<string, number> = {
  checkpoint: 0,
  "hey-there": 1,
  chau: 1,
  social: 2,
  seen: 3,
  ping: 4,
};

/** When there are too many: about unknown naras first, then by sort, then the oldest; and nothing once a critical one is next. */
function makeRoom(ledger: Held[], { capacity = Infinity, name, known: keys = {} }: PeerOptions): void {
  const over = ledger.length - capacity;
  if (over <= 0) return;
  const introduced = new Set(ledger.flatMap(({ value }) => value.hey_there ? [value.hey_there.From] : []));
  const priority = ({ svc, value }: Held): number =>
    svc !== "observation" ? PRIORITY[svc]! : value.observation!.type === "status-change" ? 1 : 0;
  const unknown = ({ svc, value }: Held): boolean => {
    const said = value[svc.replace("-", "_")]!;
    return ["From", "observer", "subject", "actor", "target", "witness"].some((key) =>
      svc !== "checkpoint" && said[key] && said[key] !== name && !(String(said[key]) in keys) &&
      !introduced.has(said[key])
    );
  };
  const order = (a: Held, b: Held): number =>
    Number(unknown(b)) - Number(unknown(a)) || priority(b) - priority(a) || (a.ts < b.ts ? -1 : 1);
  ledger.sort(order);
  const stop = ledger.slice(0, over).findIndex((event) => priority(event) === 0);
  for (const { id } of ledger.splice(0, stop < 0 ? over : stop)) known.get(ledger)?.delete(id);
}

/** The ids of each ledger. */
const known = new WeakMap<Held[], Set<string>>();

/** Stash messages: a request is answered in the same answer, a response sets an empty stash. */
function message(state: State, text: string): Response {
  const { kind, payload } = JSON.parse(text) as { kind: string; payload: Record<string, string> };
  if (kind === "stash:request") {
    const kept = confided.get(payload.owner_id ?? "");
    const answer = kept
      ? { owner_id: payload.owner_id, found: true, ...kept }
      : { owner_id: payload.owner_id, found: false };
    return Response.json([{
      id: randomBytes(8).toString("hex"),
      kind: "stash:response",
      version: 1,
      payload: answer,
    }]);
  }
  if (kind === "stash:response" && state.stash.length === 0) {
    const [nonce, sealed] = [payload.nonce!, payload.ciphertext!].map((text) =>
      new Uint8Array(fromBase64(text))
    );
    const plain = open(state.soul.stashKey(), nonce!, sealed!);
    state.stash.push({ data: JSON.parse(new TextDecoder().decode(plain)), from: "response" });
  }
  return new Response("");
}

/** What confidants keep for owners, by id: shared by all peers of a test. */
export const confided = new Map<string, { nonce: string; ciphertext: string; stored_at: number }>();

function fromBase64(text: string): ArrayLike<number> {
  return Array.from(atob(text), (char) => char.charCodeAt(0));
}

/** Makes a well-formed, signed event. */
export function makeEvent(
  soul: Soul,
  ts: bigint,
  svc: string,
  emitter: string,
  content: string,
  payload: string,
): string {
  const id = createHash("sha256").update(`${ts}:${svc}:${content}`).digest("hex").slice(0, 32);
  const sig = soul.sign(createHash("sha256").update(`${id}:${ts}:${svc}:${emitter}:${content}`).digest());
  return `{"id":"${id}","ts":${ts},"svc":"${svc}","emitter":"${emitter}","sig":"${sig}","${
    svc.replace("-", "_")
  }":${payload}}`;
}

const START = 1_704_067_200_000_000_000n;

/** Teases, `count` of them, a second apart and three to a nanosecond every tenth. */
export function teases(soul: Soul, count: number, from = 0, name = "alice"): string[] {
  return Array.from({ length: count }, (_, i) => {
    const n = from + i;
    const ts = START + BigInt(n - (n % 10 < 3 ? n % 10 : 0)) * 1_000_000_007n;
    const reason = `r${n}`;
    return makeEvent(
      soul,
      ts,
      "social",
      name,
      `tease:${name}:bob:${reason}:`,
      `{"type":"tease","actor":"${name}","target":"bob","reason":"${reason}"}`,
    );
  });
}

/** Pings of one target. */
export function pings(soul: Soul, count: number, target: string, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => {
    const ts = START + BigInt(from + i) * 60_000_000_000n;
    return makeEvent(
      soul,
      ts,
      "ping",
      "alice",
      `alice:${target}:${(from + i) % 50}.5`,
      `{"observer":"alice","target":"${target}","rtt":${(from + i) % 50}.5}`,
    );
  });
}

/** Observations of one pair. */
export function observations(count: number, subject: string, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => {
    const ts = START + BigInt(from + i) * 3_600_000_000_000n;
    const id = createHash("sha256").update(`${ts}:observation:alice:${subject}:status-change:ONLINE:0:0`)
      .digest("hex").slice(0, 32);
    return `{"id":"${id}","ts":${ts},"svc":"observation","observation":{"observer":"alice","subject":"${subject}","type":"status-change","importance":2,"online_state":"ONLINE"}}`;
  });
}

/** An introduction. */
export function heyThere(soul: Soul, name: string, ts = START): string {
  return makeEvent(
    soul,
    ts,
    "hey-there",
    name,
    `hey_there:${name}:${soul.publicKey}:100.64.0.1`,
    `{"From":"${name}","PublicKey":"${soul.publicKey}","MeshIP":"100.64.0.1","ID":"","Signature":""}`,
  );
}
