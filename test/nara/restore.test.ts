/** Giving events back to a nara: what is sent, what is predicted, what is refused, and that the second time sends nothing. */
import { strict as assert } from "node:assert";
import { giveBack, type GiveBackOptions, type GiveBackResult } from "../../src/recipes/nara/restore.ts";
import { parseSoul } from "../../src/recipes/nara/soul.ts";
import { type Seen, streamOf, testContext } from "../support.ts";
import { held, heyThere, makeEvent, observations, pings, startPeer, teases } from "./peer.ts";
import { ALICE, BOB } from "./support.ts";

const alice = parseSoul(ALICE);
const bob = parseSoul(BOB);

function give(
  target: string,
  lines: readonly string[] | string,
  options: Partial<GiveBackOptions> = {},
  seen: Seen = { warnings: [], infos: [] },
): Promise<GiveBackResult> {
  const text = typeof lines === "string" ? lines : lines.map((line) => line + "\n").join("");
  return giveBack(
    { target, soul: () => ALICE, lines: () => streamOf(new TextEncoder().encode(text)), ...options },
    testContext({ seen }),
  );
}

Deno.test("nara restore: sends what is missing, introductions first, oldest first; the second time nothing", async () => {
  const log = [...teases(alice, 4500), heyThere(bob, "bob", 1_904_067_200_000_000_000n)];
  await using target = startPeer({ name: "alice", soul: ALICE, events: log.slice(100, 200) });
  const first = await give(`${target.url}/`, log.toReversed());
  assert.deepEqual(first, {
    events: 4501,
    present: 100,
    capped: 0,
    replaced: 0,
    sent: 4401,
    refused: 0,
    kept: 4401,
    imported: 4401,
    duplicates: 0,
    unverified: first.unverified,
    bad: 0,
  });
  const order = target.events().slice(100);
  assert.equal(order[0]!.svc, "hey-there");
  assert.ok(order.slice(1).every(({ ts }, i) => i === 0 || ts >= order[i]!.ts), "oldest first");
  assert.deepEqual(target.batches, [2000, 2000, 401]);
  assert.deepEqual(target.lines().toSorted(), log.toSorted(), "byte for byte");
  const again = await give(target.url, log);
  assert.equal(again.sent, 0);
  assert.equal(again.present, 4501);
  assert.equal(target.batches.length, 3);
});

Deno.test("nara restore: what the target would drop by its caps is predicted, not sent, and counted", async () => {
  const log = [...pings(alice, 12, "bob"), ...observations(50, "bob"), ...teases(alice, 10)];
  await using target = startPeer({
    name: "alice",
    soul: ALICE,
    events: [...pings(alice, 3, "bob", 8), ...observations(20, "bob", 35)],
  });
  const first = await give(target.url, log);
  // 5 of 12 pings stay: 3 of them were there or newer; 20 of 50 + 5 newer observations.
  assert.equal(first.sent, first.imported);
  assert.equal(first.kept, first.sent, "all that was sent is there afterwards");
  assert.equal(first.events, 72);
  assert.equal(first.present + first.capped + first.sent, 72);
  const stays = (svc: string): bigint[] =>
    target.events().filter((event) => event.svc === svc).map(({ ts }) => ts).sort();
  const newest = (lines: readonly string[], n: number): bigint[] =>
    lines.map((line) => held(line).ts).sort().slice(-n);
  assert.deepEqual(stays("ping"), newest(pings(alice, 12, "bob"), 5));
  assert.deepEqual(stays("observation"), newest(observations(55, "bob"), 20));
  const before = target.lines().toSorted();
  const again = await give(target.url, log);
  assert.deepEqual([again.sent, again.imported], [0, 0]);
  assert.deepEqual(target.lines().toSorted(), before, "a second restore changes nothing");
});

Deno.test("nara restore: what a full ledger would drop is predicted, not sent, and counted; the second time nothing is sent", async () => {
  const others = teases(bob, 30, 500, "bob"); // of a nara that introduces itself in the log
  const unknown = teases(alice, 25, 900, "carol"); // newest, and yet the first to go
  const log = [heyThere(alice, "alice"), heyThere(bob, "bob"), ...teases(alice, 200), ...others, ...unknown];
  log.push(...pings(alice, 8, "bob"));
  await using target = startPeer({
    name: "alice",
    soul: ALICE,
    capacity: 150,
    events: [...pings(alice, 2, "bob", 20), ...teases(alice, 20, 190)],
  });
  const first = await give(target.url, log);
  // 150 places: 2 introductions, 30 of bob's, and the newest 118 of alice's, 20 of which it has. No ping, nothing of carol's.
  assert.deepEqual([first.present, first.sent, first.imported, first.kept], [10, 130, 130, 130]);
  assert.equal(first.capped, log.length - 10 - 130);
  assert.equal(first.replaced, 2);
  assert.equal(target.events().length, 150);
  assert.ok(target.events().every(({ svc, value }) => svc !== "ping" && value.social?.actor !== "carol"));
  const before = target.lines().toSorted();
  const again = await give(target.url, log);
  assert.deepEqual([again.sent, again.replaced], [0, 0]);
  assert.deepEqual(target.lines().toSorted(), before);
  await using critical = startPeer({ name: "alice", soul: ALICE, capacity: 3 });
  const restart = (n: number): string =>
    `{"id":"${
      "0".repeat(31)
    }${n}","ts":${n},"svc":"observation","observation":{"observer":"alice","subject":"alice","type":"restart","importance":3,"start_time":5,"restart_num":${n}}}`;
  const kept = await give(critical.url, [1, 2, 3, 4, 5].map(restart));
  assert.deepEqual([kept.capped, kept.kept], [0, 5], "what is critical never goes");
});

Deno.test("nara restore: an event that breaks a batch is found by halving, and alone is missing", async () => {
  const log = teases(alice, 300);
  const poison = log[77]!.replace('{"id"', '{"poison":1,"id"');
  await using target = startPeer({ name: "alice", soul: ALICE });
  const seen: Seen = { warnings: [], infos: [] };
  const result = await give(target.url, log.with(77, poison), {}, seen);
  assert.deepEqual([result.sent, result.imported, result.refused, result.kept], [300, 299, 1, 299]);
  assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["refused"]);
  assert.ok(seen.warnings[0]!.message.includes(held(poison).id));
});

Deno.test("nara restore: bad lines are one sentence each, and the rest arrives", async () => {
  const seen: Seen = { warnings: [], infos: [] };
  const [a, b, c] = teases(alice, 3) as [string, string, string];
  const long = makeEvent(
    alice,
    5n,
    "seen",
    "alice",
    `seen:alice:bob:${"x".repeat(70_000)}`,
    `{"observer":"alice","subject":"bob","via":"${"x".repeat(70_000)}"}`,
  );
  const lines = [
    a,
    "",
    "   ",
    "\r",
    "no json",
    '{"id":"short","ts":1,"svc":"ping","ping":{}}',
    `${b}\r`,
    '{"id":"123456789","ts":5,"svc":"ping"}',
  ];
  lines.push(
    '{"id":"123456789","ts":5,"svc":"zine","zine":{}}',
    '{"id":"123456789","ts":1.5,"svc":"ping","ping":{}}',
    long,
    "[]",
  );
  lines.push(
    '{"id":"123456789","ts":5,"svc":"checkpoint","checkpoint":{"subject":"r2d2","as_of_time":1768774453}}',
    c.slice(0, 80),
  );
  await using target = startPeer({ name: "alice", soul: ALICE });
  const result = await give(target.url, lines.join("\n"), {}, seen);
  assert.deepEqual(target.lines().toSorted(), [a, b, long].toSorted());
  assert.deepEqual([result.events, result.bad, result.kept], [3, 8, 3]);
  const texts = seen.warnings.map(({ message }) => message);
  for (
    const part of [
      /^Line 5 is left out: no JSON at byte 0/,
      /^Line 6 is left out: its id has 5 characters, and a nara breaks on fewer than 8/,
      /^Line 8 .*"ping" is missing/,
      /^Line 9 .*its service "zine" is not known/,
      /^Line 10 .*not a whole number of nanoseconds/,
      /^Line 12 /,
      /^Line 13 .*naras refuse old checkpoints of r2d2/,
      /^Line 14 .*ends too early.*\(the log was cut here\)/,
    ]
  ) assert.ok(texts.some((text) => part.test(text)), `${part} in ${texts.join("\n")}`);
});

Deno.test("nara restore: another soul, another name, and clocks that differ are said before anything is sent", async () => {
  await using target = startPeer({ name: "alice", soul: ALICE });
  await assert.rejects(
    give(target.url, teases(alice, 3), { soul: () => BOB }),
    /the soul is not that of "alice"/,
  );
  await assert.rejects(
    give(target.url, teases(alice, 3), { name: "carol" }),
    /"alice" answers there, not "carol"/,
  );
  await using late = startPeer({ name: "alice", soul: ALICE, clockMs: 600_000 });
  await assert.rejects(
    give(late.url, teases(alice, 3)),
    /timestamp too old or in future.*(600|599|601) s ahead of this machine's.*within 5 minutes/,
  );
  assert.deepEqual([target.batches, late.batches], [[], []]);
});

Deno.test("nara restore: by service, time and emitter; a dry run sends nothing", async () => {
  const log = [...teases(alice, 20), ...pings(alice, 3, "bob"), ...teases(bob, 5, 40, "bob")];
  await using target = startPeer({ name: "alice", soul: ALICE });
  assert.equal((await give(target.url, log, { services: ["ping"], dryRun: true })).events, 3);
  assert.equal(target.events().length, 0);
  assert.equal((await give(target.url, log, { services: ["ping"] })).sent, 3);
  assert.equal((await give(target.url, log, { emitters: ["bob"] })).sent, 5);
  const result = await give(target.url, log, {
    services: ["social"],
    until: "2024-01-01T00:00:15Z",
    since: "2024-01-01T00:00:13Z",
  });
  assert.deepEqual(
    target.events().slice(8).map(({ ts }) => ts),
    [13n, 14n].map((n) => 1_704_067_200_000_000_000n + n * 1_000_000_007n),
  );
  assert.equal(result.kept, 2);
  await assert.rejects(give(target.url, log, { services: ["zine"] }), /Cannot choose the service "zine"/);
});

Deno.test("nara restore: a target that goes away fails the run; the next one sends only the rest", async () => {
  const log = teases(alice, 100);
  let gone = true;
  await using target = startPeer({ name: "alice", soul: ALICE, down: (batches) => gone && batches >= 2 });
  await assert.rejects(give(target.url, log, { batch: 30 }), /Cannot restore to .*the connection failed/);
  assert.equal(target.events().length, 60);
  gone = false;
  const { present, sent, kept } = await give(target.url, log, { batch: 30 });
  assert.deepEqual([present, sent, kept], [60, 40, 40]);
  await assert.rejects(
    give("http://127.0.0.1:1", log),
    /Cannot restore to http:\/\/127.0.0.1:1: the connection failed/,
  );
});
