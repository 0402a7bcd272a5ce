/** The nara tasks as real processes: flags, output, exit codes, appending, the stash, drills, examples. */
import { strict as assert } from "node:assert";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import {
  archive,
  backup,
  compress,
  drill,
  encrypt,
  nara,
  pipeline,
  prune,
  sign,
  store,
  upload,
} from "../../mod.ts";
import { fromGoFlags } from "../../src/recipes/nara/arguments.ts";
import { sealStash } from "../../src/recipes/nara/stash.ts";
import { parseSoul } from "../../src/recipes/nara/soul.ts";
import { idFits, readEvent } from "../../src/recipes/nara/event.ts";
import { identity, recipient } from "../engine/support.ts";
import { judged, scratch, sh } from "../support.ts";
import { confided, heyThere, observations, pings, startPeer, teases } from "./peer.ts";
import { ALICE, BOB, joined, type Ran, root, run, soul } from "./support.ts";

const alice = parseSoul(ALICE);

Deno.test("nara tasks: Go's flags are ours", () => {
  assert.deepEqual(
    fromGoFlags([
      "-name",
      "alice",
      "-soul=x=y",
      "--timeout=90s",
      "-verbose=false",
      "-verbose",
      "-verbose=true",
      "-h",
      "-",
    ]),
    ["--name", "alice", "--soul=x=y", "--timeout=90s", "--verbose", "--verbose", "-h", "-"],
  );
});

Deno.test("nara:dump prints the union and nothing else; nara:restore brings it to another nara, the second time nothing", async () => {
  using dir = scratch();
  const log = teases(alice, 500);
  await using a = startPeer({ name: "alice", soul: ALICE, events: log.slice(0, 300) });
  await using b = startPeer({ name: "alice", soul: ALICE, events: log.slice(200) });
  writeFileSync(dir.join("soul"), `${ALICE}\n`, { mode: 0o600 });
  const peers = ["--peer", a.url, "--peer", b.url];
  const dump = await run("tasks/nara_dump.ts", ["-name", "alice", "--soul-file", dir.join("soul"), ...peers]);
  assert.deepEqual([dump.code, dump.err], [0, ""]);
  const lines = dump.out.split("\n").slice(0, -1);
  assert.deepEqual(lines.toSorted(), log.toSorted());
  assert.ok(lines.every((line) => idFits(readEvent(line))));

  await using target = startPeer({ name: "alice", soul: ALICE });
  const args = ["-nara-url", `${target.url}/`, "-soul", ALICE];
  const first = await run("tasks/nara_restore.ts", args, { input: dump.out });
  assert.equal(first.code, 0, first.err);
  assert.equal(first.out, "");
  assert.match(first.err, /Warning: the soul is on the command line/);
  assert.match(
    first.err,
    /500 events, 0 already there; 500 sent: 500 imported, 0 not taken, 0 refused; .*500 are there afterwards/,
  );
  const again = await run("tasks/nara_restore.ts", ["-nara-url", target.url, "--json"], {
    input: dump.out,
    env: soul,
  });
  assert.equal((JSON.parse(again.out) as { sent: number }).sent, 0);
});

Deno.test("nara:dump: exit codes 1, 2, 3 and 4 say what they say", async () => {
  await using good = startPeer({ name: "alice", soul: ALICE, events: teases(alice, 3) });
  const dead = "http://127.0.0.1:1";
  const warned = await run("tasks/nara_dump.ts", ["-name", "alice", "--peer", good.url, "--peer", dead], {
    env: soul,
  });
  assert.equal(warned.code, 3);
  assert.deepEqual(warned.out.split("\n").slice(0, -1).toSorted(), teases(alice, 3).toSorted());
  assert.match(warned.err, /Warning \(peer\): http:\/\/127.0.0.1:1 failed: the connection failed/);
  const failed = await run("tasks/nara_dump.ts", ["-name", "alice", "--peer", dead], { env: soul });
  assert.equal(failed.code, 1);
  assert.match(failed.err, /all 1 peers failed/);
  const none = await run("tasks/nara_dump.ts", ["-name", "alice", "--tailscale", "/dev/null"], { env: soul });
  assert.equal(none.code, 2);
  const usage = await run("tasks/nara_dump.ts", ["-nmae", "alice"], { env: soul });
  assert.equal(usage.code, 2);
  const nameless = await run("tasks/nara_dump.ts", ["--peer", good.url], { env: soul });
  assert.match(nameless.err, /pass -name NAME/);
  const soulless = await run("tasks/nara_dump.ts", ["-name", "alice", "--peer", good.url]);
  assert.equal(soulless.code, 2);
  assert.match(soulless.err, /pass --soul-file FILE, or set NARA_SOUL/);
  const other = await run("tasks/nara_dump.ts", ["-name", "carol", "--peer", good.url], { env: soul });
  assert.equal(other.code, 4);
  assert.match(other.err, /made for another name than "carol"/);
});

judged("nara:dump compresses so that stock gzip and zstd read it, and nara:restore reads both", [
  "gzip",
  "zstd",
], async () => {
  using dir = scratch();
  const log = teases(alice, 3000);
  await using peer = startPeer({ name: "alice", soul: ALICE, events: log });
  for (const how of ["gzip", "zstd"]) {
    const dump = await run("tasks/nara_dump.ts", ["-name", "alice", "--peer", peer.url, "--compress", how], {
      env: soul,
    });
    assert.equal(dump.code, 0, dump.err);
    writeFileSync(dir.join(how), dump.bytes);
    const lines = new TextDecoder().decode(sh(`${how} -d -c < '${dir.join(how)}'`)).split("\n").slice(0, -1);
    assert.deepEqual(lines.toSorted(), log.toSorted());
    await using target = startPeer({ name: "alice", soul: ALICE });
    const back = await run("tasks/nara_restore.ts", ["-nara-url", target.url, "--input", dir.join(how)], {
      env: soul,
    });
    assert.equal(back.code, 0, back.err);
    assert.equal(target.events().length, 3000);
  }
});

Deno.test("nara:stash: taken from its nara, sealed; given back both ways; taken from confidants", async () => {
  const data = { hello: "world", n: 1 };
  await using owner = startPeer({ name: "alice", soul: ALICE });
  owner.stash.push({ data, from: "test" });
  const dump = await run("tasks/nara_stash_dump.ts", ["-name", "alice", "-nara-url", owner.url], {
    env: soul,
  });
  assert.equal(dump.code, 0, dump.err);
  assert.ok(!dump.out.includes("hello"), "it is sealed");
  await using empty = startPeer({ name: "alice", soul: ALICE });
  const args = ["-name", "alice", "-nara-url", empty.url];
  const back = await run("tasks/nara_stash_restore.ts", args, { input: dump.out, env: soul });
  assert.equal(back.code, 0, back.err);
  assert.deepEqual(empty.stash, [{ data, from: "response" }]);
  const second = await run("tasks/nara_stash_restore.ts", args, { input: dump.out, env: soul });
  assert.equal(second.code, 1);
  assert.match(second.err, /has one, and would ignore this. Replace it with --way update/);
  assert.equal(
    (await run("tasks/nara_stash_restore.ts", [...args, "--way", "update"], { input: dump.out, env: soul }))
      .code,
    0,
  );
  assert.deepEqual(empty.stash.at(-1), { data, from: "update" });
  const show = await run("tasks/nara_stash_restore.ts", ["-name", "alice", "--show"], {
    input: dump.out,
    env: soul,
  });
  assert.equal(show.out, JSON.stringify(data));
  const damaged = dump.out.replace(/"ciphertext":"./, '"ciphertext":"/');
  const bad = await run("tasks/nara_stash_restore.ts", args, {
    input: damaged === dump.out ? "{}" : damaged,
    env: soul,
  });
  assert.equal(bad.code, 5);

  const exact = new TextEncoder().encode('{"big": 12345678901234567890}');
  const kept = sealStash({ name: "alice", soul: alice }, exact, 7);
  await using friend = startPeer({ name: "bob", soul: BOB, known: { alice: alice.publicKey } });
  const ask = ["-name", "alice", "--confidant", friend.url];
  const none = await run("tasks/nara_stash_dump.ts", ask, { env: soul });
  assert.equal(none.code, 1);
  confided.set(kept.owner_id, { nonce: kept.nonce, ciphertext: kept.ciphertext, stored_at: 7 });
  const found = await run("tasks/nara_stash_dump.ts", ask, { env: soul });
  assert.equal(found.code, 0, found.err);
  assert.deepEqual(JSON.parse(found.out), kept);
});

Deno.test("nara:drill replays a log into a fresh nara and compares", async () => {
  using dir = scratch();
  const log = [
    heyThere(alice, "alice"),
    ...teases(alice, 200),
    ...pings(alice, 9, "bob"),
    ...observations(30, "bob"),
  ];
  writeFileSync(dir.join("events.jsonl"), joined(log));
  const drill = await run("tasks/nara_drill.ts", ["--input", dir.join("events.jsonl"), "--json"]);
  assert.equal(drill.code, 0, drill.err);
  const { events, capped, kept } = JSON.parse(drill.out) as Record<string, number>;
  assert.deepEqual([events, capped, kept], [240, 14, 226]);
  assert.match(drill.err, /The drill has passed. 240 events.*14 not sent: it would drop them by its caps/);
});

Deno.test("examples: nara_nightly.ts stores encrypted and goes on the next night; nara_migrate.ts moves to a new nara", async () => {
  using dir = scratch();
  mkdirSync(dir.join("store"));
  writeFileSync(dir.join("identity"), identity);
  const log = [heyThere(alice, "alice"), ...teases(alice, 100), ...hourly(1, 6)];
  await using peer = startPeer({ name: "alice", soul: ALICE, events: log });
  const nightly = (url: string): Promise<Ran> =>
    run("examples/nara_nightly.ts", ["alice", dir.join("store"), recipient, url], { env: soul });
  const first = await nightly(peer.url);
  assert.equal(first.code, 0, first.err);
  assert.match(first.out, /^nara_.*\.tar\.zst\.age 107 events \{\}$/m);
  await new Promise((resolve) => setTimeout(resolve, 1100)); // names have seconds
  const later = [...log, ...hourly(7, 3)];
  await using grown = startPeer({ name: "alice", soul: ALICE, events: later });
  const second = await nightly(grown.url);
  assert.equal(second.code, 0, second.err);
  assert.match(second.out, / 5 events \{\}$/m, "what is new, and the hour before it");
  await using fresh = startPeer({ name: "alice", soul: ALICE });
  const move = ["alice", dir.join("store"), recipient, dir.join("identity"), fresh.url];
  const moved = await run("examples/nara_migrate.ts", move, { env: soul });
  assert.equal(moved.code, 0, moved.err);
  assert.match(moved.out, /107 events, 0 already there; 107 sent: 107 imported/);
  assert.match(moved.out, /5 events, 2 already there; 3 sent: 3 imported/);
  assert.deepEqual(fresh.lines().toSorted(), later.toSorted(), "the full backup and its increment");
  const again = await run("examples/nara_migrate.ts", move, { env: soul });
  assert.ok(again.out.trim().split("\n").every((line) => /; 0 sent/.test(line)), again.out);
});

/** Observations, one an hour: more than fits in what nara_nightly.ts asks for again. */
const hourly = (from: number, count: number): string[] => observations(count, "bob", from);

Deno.test("nara: a backup is drilled: restored, replayed into a fresh nara, compared; and pruned", async () => {
  using dir = scratch();
  const log = [heyThere(alice, "alice"), ...teases(alice, 50), ...pings(alice, 9, "bob")];
  await using peer = startPeer({ name: "alice", soul: ALICE, events: log });
  const to = store.directory(dir.join("store"));
  mkdirSync(dir.join("store"));
  const plan = pipeline(nara.collect({ name: "alice", peers: [peer.url], soul: () => ALICE }))
    .pipe(archive.tar())
    .pipe(compress.zstd())
    .pipe(encrypt.age({ recipients: [recipient], identities: () => identity }))
    .pipe(sign.sha256())
    .pipe(upload({ name: "nara", to }))
    .pipe(prune({ keepLast: 1 }));
  await backup(plan, { now: new Date("2026-11-19T03:00:00Z") });
  const { id } = await backup(plan, { now: new Date("2026-11-20T03:00:00Z") });
  const task = [
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
    `${root}tasks/nara_drill.ts`,
    "--input",
    "events.jsonl",
  ];
  const drilled = await drill(plan, { assert: task });
  assert.deepEqual([drilled.id, drilled.asserted], [id, true]);
  const archives = readdirSync(dir.join("store")).filter((name) => name.endsWith(".age"));
  assert.deepEqual(archives, [id]);
});
