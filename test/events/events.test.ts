/** collect.events: pages, merging, exact numbers, failing peers, incremental runs. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import {
  archive,
  backup,
  collect,
  encrypt,
  pipeline,
  restore,
  sinceLastBackup,
  store,
  upload,
} from "../../mod.ts";
import { parseExact } from "../../src/collect/events/exact.ts";
import type { Plan } from "../../src/find.ts";
import { lineWriter } from "../../src/collect/events/merge.ts";
import { scratch, type Seen } from "../support.ts";
import { linkServer, numbered, readLines, serve } from "./support.ts";

const at = (n: number): string => `1704067200${String(n).padStart(9, "0")}`;
const event = (n: number, more = ""): string =>
  `{"id":"${String(n).padStart(32, "0")}","ts":${at(n)}${more}}`;
const json = (body: string): Response =>
  new Response(body, { headers: { "content-type": "application/json" } });
const pages = (...parts: readonly string[][]) => (request: Request): Response => {
  const page = Number(new URL(request.url).pathname.split("/").at(-1));
  return json(`[${(parts[page] ?? []).join()}]`);
};

Deno.test("events: overlapping peers give the union, oldest first, each event once and byte for byte", async () => {
  await using a = serve(pages([event(5), event(1)], [event(9, ',"n":18446744073709551615')]));
  await using b = serve(pages([event(1), event(7, ',"t":"a\\u003c\\n"')], [event(5), event(2)]));
  const { lines, read } = await readLines({ peers: [a.url, b.url], pages: numbered });
  const wanted = [
    event(1),
    event(2),
    event(5),
    event(7, ',"t":"a\\u003c\\n"'),
    event(9, ',"n":18446744073709551615'),
  ];
  assert.deepEqual(lines, wanted);
  assert.equal(read.facts().duplicates, 2);
  assert.equal(read.facts().last, 1704067200000000009n);
});

Deno.test("events: two different events under one id are both kept and reported, also at different times", async () => {
  const seen: Seen = { warnings: [], infos: [] };
  const twin = event(1, ',"x":1');
  const late = event(1).replace(at(1), at(8));
  await using a = serve(pages([event(1), event(2), late]));
  await using b = serve(pages([twin, `{"ts":${at(2)},"id":"${"2".padStart(32, "0")}"}`]));
  const { lines, read } = await readLines({ peers: [a.url, b.url], pages: numbered }, seen);
  assert.deepEqual(
    lines.filter((line) => line.includes(`"${"1".padStart(32, "0")}"`)).sort(),
    [event(1), twin, late].sort(),
  );
  assert.equal(lines.length, 4, "the same event in another order of its keys is the same event");
  assert.equal(read.facts().conflicts, 2);
  assert.equal(seen.warnings.filter(({ kind }) => kind === "conflict").length, 2);
});

Deno.test("events: past the ids that are remembered, those of one time are still told apart", () => {
  const counts = { events: 0, duplicates: 0, conflicts: 0 };
  const told: string[] = [];
  const writer = lineWriter(counts, (id) => told.push(id), 1);
  const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
  const add = (id: string, rest: string): boolean => {
    const event = bytes(`{"id":"${id}","ts":1,${rest}}`);
    return writer.add({
      bytes: event,
      start: 0,
      end: event.length,
      idStart: 7,
      idEnd: 7 + id.length,
      high: 0,
      low: 1,
    });
  };
  const seen = [
    add("a", '"n":1'),
    add("b", '"n":1'),
    add("b", '"n": 1'),
    add("b", '"n":2'),
    add("a", '"n":3'),
  ];
  assert.deepEqual(seen, [true, true, false, true, true]);
  assert.deepEqual([counts, told], [{ events: 4, duplicates: 1, conflicts: 2 }, ["b", "a"]]);
});

Deno.test("events: what does not fit in memory is sorted on disk, with the same result", async () => {
  const many = Array.from(
    { length: 6000 },
    (_, i) => event((i * 7919) % 6000, `,"pad":"${"x".repeat(i % 97)}"`),
  );
  await using a = serve(pages(many.slice(0, 3500)));
  await using b = serve(pages(many.slice(2500)));
  const options = { peers: [a.url, b.url], pages: numbered };
  const plain = await readLines(options);
  const spilled = await readLines({ ...options, memoryBytes: 400_000 });
  assert.equal(plain.lines.length, 6000);
  assert.deepEqual(spilled.lines, plain.lines);
  assert.ok(
    plain.lines.every((line, i) =>
      parseExact(line) && line.startsWith(`{"id":"${String(i).padStart(32, "0")}"`)
    ),
  );
});

Deno.test("events: blanks between tokens, pretty printing, negative and old times, no id, no time", async () => {
  const seen: Seen = { warnings: [], infos: [] };
  const pretty = '{\n  "id" : "b c",\n  "ts" : -5,\n "x" : [ 1, { "y" : "z  z" } ] }';
  await using a = serve(
    pages([pretty, '{"id":"a","ts":-6}', '{"id":"c","ts":0}', '{"x":1}', '"text"', '{"id":"d","ts":7}']),
  );
  const { lines, read } = await readLines({ peers: [a.url], pages: numbered }, seen);
  assert.deepEqual(lines, [
    '{"id":"a","ts":-6}',
    '{"id":"b c","ts":-5,"x":[1,{"y":"z  z"}]}',
    '"text"',
    '{"x":1}',
    '{"id":"c","ts":0}',
    '{"id":"d","ts":7}',
  ]);
  assert.equal(read.facts().odd, 2);
});

Deno.test("events: a peer that fails keeps its pages and is a warning; when all fail, the run fails", async () => {
  const seen: Seen = { warnings: [], infos: [] };
  await using good = serve(pages([event(1)], [event(2)]));
  await using torn = serve((request) =>
    request.url.endsWith("/0") ? json(`[${event(3)}]`) : json(`[${event(4)},{"id":"00`)
  );
  const options = { pages: numbered, attempts: 2 };
  const { lines } = await readLines({ ...options, peers: [good.url, torn.url] }, seen);
  assert.deepEqual(lines, [event(1), event(2), event(3)]);
  assert.equal(seen.warnings.length, 1);
  assert.match(
    seen.warnings[0]!.message,
    /failed: it sent JSON that ends too early.*; the 1 events it sent before are kept/,
  );
  assert.equal(torn.log.filter((line) => line.endsWith("/1")).length, 2, "a torn page is asked for again");
  using dir = scratch();
  await assert.rejects(backup(planOf([torn.url], dir.join("store"))), /all 1 peers failed/);
});

for (
  const [name, respond, reason] of [
    [
      "a web page with status 200",
      () => new Response("<html>", { headers: { "content-type": "text/html" } }),
      /web page/,
    ],
    [
      "401",
      () => new Response("Authentication failed: unknown sender: x", { status: 401 }),
      /401: Authentication failed/,
    ],
    ["500 for ever", () => new Response("no", { status: 500 }), /it answered 500: no/],
    [
      "a connection reset",
      () => new Response(new ReadableStream({ start: (c) => c.error(new Error("reset")) })),
      /connection failed/,
    ],
    [
      "an answer that never ends",
      () => new Response(new ReadableStream({})),
      /no whole answer within 0.3 s|0.9 s are over/,
    ],
    [
      "pages that never end",
      (_: Request, n: number) => json(`[${event(n)}]`),
      /its 0.9 s are over; the \d+ events/,
    ],
    ["two JSON texts", () => json("[] []"), /no JSON at byte 3/],
  ] as const
) {
  Deno.test(`events: a peer with ${name} is one warning with its reason, and the others' events are there`, async () => {
    const seen: Seen = { warnings: [], infos: [] };
    await using good = serve(pages([event(1_000_000)]));
    await using bad = serve(respond);
    const times = { timeoutMs: 900, requestTimeoutMs: 300, attempts: 2 };
    const { lines } = await readLines({ peers: [good.url, bad.url], pages: numbered, ...times }, seen);
    assert.ok(lines.includes(event(1_000_000)));
    assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["peer"]);
    assert.match(seen.warnings[0]!.message, reason);
  });
}

Deno.test("events: a passing fault is asked again, and an address never shows what may be secret", async () => {
  const seen: Seen = { warnings: [], infos: [] };
  await using flaky = serve((request, count) =>
    count < 3 ? new Response("", { status: 503 }) : pages([event(1)])(request)
  );
  const peer = flaky.url.replace("//", "//user:hunter2@");
  const { lines } = await readLines({
    peers: [peer, "http://127.0.0.1:1/?token=hunter2"],
    pages: numbered,
    attempts: 3,
  }, seen);
  assert.deepEqual(lines, [event(1)]);
  assert.equal(seen.warnings.length, 1);
  assert.ok(!JSON.stringify(seen).includes("hunter2"));
});

function planOf(peers: readonly string[], to: string, incremental = false): Plan {
  const target = store.directory(to);
  const base = incremental ? sinceLastBackup({ name: "log", from: target }) : undefined;
  return pipeline(collect.events({ peers, time: "ts", attempts: 1, base }))
    .pipe(archive.tar())
    .pipe(encrypt.plaintext())
    .pipe(upload({ name: "log", to: target }));
}

Deno.test("events: Link headers, gzip and ETags; the next run goes on from the last receipt", async () => {
  using dir = scratch();
  const log = [event(1), event(2), event(3), event(4)];
  await using server = linkServer(() => log);
  const plan = planOf([`${server.url}/log?page=1`], dir.join("store"), true);
  const first = await backup(plan, { now: new Date("2026-11-20T03:00:00Z") });
  assert.equal(first.receipt.sources[0]!.facts.next, at(4));
  assert.equal(first.receipt.sources[0]!.facts.incremental, false);
  await restore(plan, { into: dir.join("out") });
  assert.equal(readFileSync(dir.join("out/events.jsonl"), "utf8"), log.map((line) => line + "\n").join(""));
  log.push(event(5), event(6), event(7));
  const second = await backup(plan, { now: new Date("2026-11-21T03:00:00Z") });
  await restore(plan, { into: dir.join("out2") });
  // The first page has not changed, so it is not sent again; the second has.
  assert.equal(
    readFileSync(dir.join("out2/events.jsonl"), "utf8"),
    [4, 5, 6, 7].map((n) => event(n) + "\n").join(""),
  );
  assert.equal(second.receipt.sources[0]!.facts.incremental, true);
  const third = await backup(plan, { now: new Date("2026-11-29T03:00:00Z") });
  assert.equal(third.receipt.sources[0]!.facts.events, 7, "after a week everything is read again");
});

Deno.test("events: after a run in which a peer failed, the next one asks again for what only that peer may have", async () => {
  using dir = scratch();
  await using server = linkServer(() => [event(1), event(2)]);
  const peers = [`${server.url}/log?page=1`, "http://127.0.0.1:1/log"];
  const plan = planOf(peers, dir.join("store"), true);
  const first = await backup(plan, { now: new Date("2026-11-20T03:00:00Z") });
  assert.equal(first.status, "warnings");
  assert.deepEqual([first.receipt.sources[0]!.facts.failed, first.receipt.sources[0]!.facts.next], [
    1,
    undefined,
  ]);
  const second = await backup(plan, { now: new Date("2026-11-21T03:00:00Z") });
  assert.equal(second.receipt.sources[0]!.facts.incremental, false);
  assert.equal(second.receipt.sources[0]!.facts.events, 2);
});

Deno.test("events: a next page on another host, or one that came before, ends the peer", async () => {
  for (
    const [link, reason] of [["http://other.invalid/x", /lies elsewhere, on other.invalid/], [
      "/log",
      /that came before/,
    ]] as const
  ) {
    const seen: Seen = { warnings: [], infos: [] };
    await using server = serve(() =>
      new Response(`[${event(1)}]`, {
        headers: { link: `<${link}>; rel="next"`, "content-type": "application/json" },
      })
    );
    const { lines } = await readLines({ peers: [`${server.url}/log`], time: "ts", attempts: 1 }, seen);
    assert.match(seen.warnings[0]!.message, reason);
    assert.equal(lines.length, link === "/log" ? 1 : 0);
  }
});

Deno.test("events: a peer that has moved is followed on its host, and nowhere else: headers hold secrets", async () => {
  const token = "t0ken";
  const got: (string | null)[] = [];
  await using elsewhere = serve((request) => {
    got.push(request.headers.get("x-token"));
    return Response.json([]);
  });
  const page = Response.json([{ id: "a", created_at: 1 }]);
  await using moved = serve((request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/new") return page.clone();
    const location = { "/old": "/new", "/loop": "/loop", "/away": `${elsewhere.url}/log` }[pathname] ??
      "https://localhost:1/log";
    return new Response(null, { status: 301, headers: { location } });
  });
  const headers = (): Record<string, string> => ({ "x-token": token });
  const seen: Seen = { warnings: [], infos: [] };
  const peers = ["/old", "/away", "/far", "/loop"].map((path) => moved.url + path);
  const { lines } = await readLines({ peers, headers }, seen);
  assert.deepEqual([lines, got], [['{"id":"a","created_at":1}'], []]);
  const texts = seen.warnings.map(({ message }) => message);
  assert.equal(texts.length, 3);
  assert.ok(texts.every((text) => /answered 301 \(it points elsewhere: use that address\)/.test(text)));
});

Deno.test("events: RFC 3339 times sort to the nanosecond, across time zones", async () => {
  const dated = (id: string, time: string): string => `{"id":"${id}","created_at":"${time}"}`;
  const log = [
    dated("c", "2026-01-01T00:00:00.000000002Z"),
    dated("a", "2026-01-01T01:00:00+01:30"),
    dated("b", "2026-01-01T00:00:00.000000001Z"),
    dated("d", "2026-01-01T00:00:01Z"),
  ];
  await using server = serve(() => json(`{"items":[${log.join()}],"total":4}`));
  const { lines } = await readLines({ peers: [server.url], items: "items" });
  assert.deepEqual(lines.map((line) => (JSON.parse(line) as { id: string }).id), ["a", "b", "c", "d"]);
});

Deno.test("events: wrong options throw when the stage is made; no peers fails when it runs", async () => {
  assert.throws(() => collect.events({ peers: [] }), TypeError);
  assert.throws(() => collect.events({ peers: ["ftp://x"] }), TypeError);
  assert.throws(() => collect.events({ peers: ["http://x"], workers: 0 }), RangeError);
  assert.throws(() => collect.events({ peers: ["http://x"], path: "../x" }), TypeError);
  await assert.rejects(readLines({ peers: () => Promise.resolve([]) }), /there are no peers/);
});
