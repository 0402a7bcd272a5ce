/** Collecting from naras: both generations, ties, faults, signatures, discovery. */
import { strict as assert } from "node:assert";
import { writeFileSync } from "node:fs";
import { readEvents } from "../../src/collect/events.ts";
import { discover } from "../../src/recipes/nara/discover.ts";
import { idFits, readEvent } from "../../src/recipes/nara/event.ts";
import { inspector } from "../../src/recipes/nara/inspect.ts";
import { parseSoul } from "../../src/recipes/nara/soul.ts";
import { type Caller, naraPages } from "../../src/recipes/nara/sync.ts";
import { scratch, type Seen, testContext } from "../support.ts";
import { broken, held, heyThere, makeEvent, startPeer, teases } from "./peer.ts";
import { ALICE, BOB } from "./support.ts";

const alice = parseSoul(ALICE);
const bob = parseSoul(BOB);
const caller: Caller = { name: "alice", soul: alice };

async function dump(
  peers: readonly string[],
  seen: Seen = { warnings: [], infos: [] },
  times: { timeoutMs?: number; requestTimeoutMs?: number; since?: bigint } = {},
): Promise<string[]> {
  const { since, ...rest } = times;
  const base = since === undefined ? undefined : () => Promise.resolve({ since });
  const read = await readEvents({
    peers,
    pages: naraPages(() => Promise.resolve(caller)),
    attempts: 2,
    base,
    ...rest,
  }, testContext({ seen }));
  let text = "";
  for await (const block of read.lines()) text += new TextDecoder().decode(block);
  read.close();
  return text.split("\n").slice(0, -1);
}

const sorted = (lines: readonly string[]): string[] =>
  [...new Set(lines)].map(held).sort((a, b) => a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : a.id < b.id ? -1 : 1).map(
    ({ line }) => line,
  );

Deno.test("nara: three peers of both generations with overlapping logs give exactly the union, each line verifying", async () => {
  const log = [heyThere(alice, "alice"), ...teases(alice, 7000)];
  const known = { alice: alice.publicKey };
  await using a = startPeer({ name: "alice", soul: ALICE, events: log.slice(0, 3000), pageLimit: 700 });
  await using b = startPeer({
    name: "bob",
    soul: BOB,
    events: log.slice(1500, 6600),
    generation: "old",
    known,
  });
  await using c = startPeer({ name: "bob", soul: BOB, events: log.slice(5500), known });
  const seen: Seen = { warnings: [], infos: [] };
  const lines = await dump([a.url, b.url, c.url], seen);
  assert.deepEqual(seen.warnings, []);
  assert.equal(lines.length, 7001);
  assert.deepEqual(lines, sorted(log));
  assert.ok(lines.every((line) => idFits(readEvent(line))));
});

Deno.test("nara: events that share a time across a page's end are all there, also when no page can hold them", async () => {
  const ts = 1_704_067_200_000_000_000n;
  const tied = (n: number): string[] =>
    Array.from(
      { length: n },
      (_, i) =>
        makeEvent(
          alice,
          ts,
          "seen",
          "alice",
          `seen:alice:bob:${i}`,
          `{"observer":"alice","subject":"bob","via":"${i}"}`,
        ),
    );
  const before = makeEvent(
    alice,
    ts - 5n,
    "seen",
    "alice",
    "seen:alice:bob:x",
    '{"observer":"alice","subject":"bob","via":"x"}',
  );
  for (const [count, limit] of [[17, 20], [17, 3], [6100, 5000]] as const) {
    const log = [before, ...tied(count), ...teases(alice, 20, 5)];
    await using peer = startPeer({ name: "alice", soul: ALICE, events: log, pageLimit: limit });
    assert.deepEqual(await dump([peer.url]), sorted(log), `${count} in pages of ${limit}`);
  }
});

Deno.test("nara: an incremental read asks for what is new, the time itself included", async () => {
  const log = teases(alice, 100);
  await using peer = startPeer({ name: "alice", soul: ALICE, events: log });
  const since = held(log[51]!).ts;
  const lines = await dump([peer.url], undefined, { since });
  assert.deepEqual(lines, sorted(log.filter((line) => held(line).ts >= since)));
  assert.equal(lines.length, 50);
});

const page = (events: readonly string[]): string =>
  `{"from":"bob","events":[${events.join()}],"ts":1,"sig":"x"}`;
const faults: readonly (readonly [string, (count: number) => Response | null, RegExp])[] = [
  ["hangs", () => new Response(new ReadableStream({})), /no whole answer within 0.4 s/],
  [
    "stops in the middle of its second page",
    (n) => n === 2 || n === 3 ? broken() : null,
    /connection failed.*700 events it sent before are kept/,
  ],
  ["answers 500", () => new Response("oops", { status: 500 }), /answered 500: oops/],
  ["sends torn JSON", () => new Response(page(teases(alice, 3)).slice(0, -40)), /JSON that ends too early/],
  [
    "sends a web page",
    () => new Response("<html>", { headers: { "content-type": "text/html" } }),
    /web page/,
  ],
  ["sends JSON that is no answer", () => Response.json({ error: "no" }), /not that of a nara/],
  [
    "sends what it has not signed",
    () => new Response(page(teases(alice, 3))),
    /not signed with the key it has shown for "bob"/,
  ],
];
for (const [what, fault, reason] of faults) {
  Deno.test(`nara: a peer that ${what} is a warning; the other's events are there`, async () => {
    const log = teases(alice, 2000);
    await using good = startPeer({ name: "alice", soul: ALICE, events: teases(alice, 5, 3000) });
    await using bad = startPeer({
      name: "bob",
      soul: BOB,
      events: log,
      pageLimit: 700,
      known: { alice: alice.publicKey },
      fault: (_, count) => fault(count),
    });
    const seen: Seen = { warnings: [], infos: [] };
    const lines = await dump([good.url, bad.url], seen, { requestTimeoutMs: 400 });
    assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["peer"]);
    assert.match(seen.warnings[0]!.message, reason);
    assert.ok(lines.length === 5 || lines.length === 705);
  });
}

Deno.test("nara: 401 says why, and by how much clocks differ; a cursor that stands still or goes back ends", async () => {
  const log = teases(alice, 30);
  await using stranger = startPeer({ name: "bob", soul: BOB, events: log });
  await using early = startPeer({ name: "alice", soul: ALICE, events: log, clockMs: -600_000 });
  const seen: Seen = { warnings: [], infos: [] };
  await dump([stranger.url, early.url], seen);
  const texts = seen.warnings.map(({ message }) => message).join("\n");
  assert.match(texts, /401: Authentication failed: unknown sender: alice/);
  assert.match(texts, /Its clock is (600|59\d|601) s behind this machine's/);

  await using repeating = startPeer({ name: "alice", soul: ALICE, pageLimit: 4, events: log, repeat: true });
  assert.equal((await dump([repeating.url])).length, 30, "slices lead past a cursor that stands still");
  await using back = startPeer({ name: "alice", soul: ALICE, pageLimit: 4, events: log, backwards: true });
  const said: Seen = { warnings: [], infos: [] };
  assert.equal((await dump([back.url], said)).length, 4);
  assert.match(
    said.warnings[0]!.message,
    /repeats its cursor \d+, so its pages would never end; the 4 events/,
  );
});

Deno.test("nara: an id that is not what the content makes is kept, and a warning", () => {
  const seen: Seen = { warnings: [], infos: [] };
  const good = teases(alice, 2);
  const forged = good[0]!.replace('"reason":"r0"', '"reason":"r9"');
  inspector()(
    new TextEncoder().encode([...good, forged, '{"id":"a1b2c3","ts":1,"svc":"ping"}', ""].join("\n")),
    testContext({ seen }),
  );
  assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["id", "id"]);
  assert.match(seen.warnings[1]!.message, /"a1b2c3" is kept, but its id is not what its content makes/);
});

Deno.test("nara: peers come from a list, a file, another nara, or what tailscale says; none is an error that says what to do", async () => {
  using dir = scratch();
  await using other = startPeer({ name: "bob", soul: BOB });
  await using teller = startPeer({
    name: "alice",
    soul: ALICE,
    tells: () => [`${other.url}/`, "file:///etc", "nonsense"],
  });
  writeFileSync(dir.join("peers"), `# ours\n\nhttp://10.0.0.1:7433/ # the first\nhttp://10.0.0.2:7433\r\n`);
  const status = {
    Self: { HostName: "me", TailscaleIPs: ["100.64.0.9"] },
    Peer: {
      a: { HostName: "alice-x1y2", TailscaleIPs: ["100.64.0.1", "fd7a::1"], Online: true },
      b: { HostName: "nara-backup-123", TailscaleIPs: ["100.64.0.2"], Online: true },
      c: { HostName: "carol-aaaa", TailscaleIPs: ["100.64.0.3"], Online: false },
    },
  };
  writeFileSync(dir.join("status"), JSON.stringify(status));
  const context = testContext();
  assert.deepEqual(await discover({ peers: ["http://h:1/"], peersFile: dir.join("peers") }, context), [
    "http://h:1",
    "http://10.0.0.1:7433",
    "http://10.0.0.2:7433",
  ]);
  assert.deepEqual(await discover({ from: teller.url }, context), [teller.url, other.url]);
  assert.deepEqual(await discover({ tailscale: dir.join("status") }, context), [
    "http://100.64.0.9:7433",
    "http://100.64.0.1:7433",
  ]);
  await assert.rejects(
    discover({ peersFile: dir.join("none") }, context),
    /Cannot read the list of peers: .*none/,
  );
  await assert.rejects(discover({}, context), /no peers found. Pass --peer URL/);
  await assert.rejects(discover({ peers: ["nonsense"] }, context), /write it as http:\/\/HOST:PORT/);
});

Deno.test("nara: a peer with our name and another key is a warning", async () => {
  const seen: Seen = { warnings: [], infos: [] };
  await using imposter = startPeer({ name: "alice", soul: BOB });
  await dump([imposter.url], seen);
  assert.match(seen.warnings[0]!.message, /calls itself "alice" but has another key/);
  assert.ok(bob.publicKey !== alice.publicKey);
});

Deno.test({
  name: "nara: 200,000 events under one time are all there",
  ignore: Deno.env.get("HOLDFAST_SOAK") !== "1",
  fn: async () => {
    const line = (i: number): string =>
      `{"id":"${
        String(i).padStart(32, "0")
      }","ts":1704067200000000000,"svc":"seen","seen":{"observer":"alice","subject":"bob","via":"${i}"}}`;
    const log = Array.from({ length: 200_000 }, (_, i) => line(i));
    await using peer = startPeer({ name: "alice", soul: ALICE, events: log });
    const lines = await dump([peer.url], undefined, { timeoutMs: 170_000 });
    assert.equal(lines.length, 200_000);
    assert.ok(lines.every((text, i) => text === log[i]));
  },
});
