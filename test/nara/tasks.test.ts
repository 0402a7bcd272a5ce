/** The nara tasks as real processes: flags, output, exit codes, appending, the stash, drills, examples. */
import { strict as assert } from "node:assert";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
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
import { ALICE, BOB } from "./support.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const alice = parseSoul(ALICE);

interface Ran {
  code: number;
  out: string;
  bytes: Uint8Array;
  err: string;
}

function command(script: string, args: readonly string[], env: Record<string, string> = {}): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--no-check", `${root}${script}`, ...args],
    env: { NO_COLOR: "1", NARA_SOUL: "", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
}

async function run(
  script: string,
  args: readonly string[],
  options: { input?: string | Uint8Array; env?: Record<string, string> } = {},
): Promise<Ran> {
  const child = command(script, args, options.env).spawn();
  const writer = child.stdin.getWriter();
  const { input = "" } = options;
  await writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  const err = new TextDecoder().decode(stderr);
  assert.ok(!err.includes(ALICE) && !err.includes(BOB), "no soul is ever shown");
  return { code, out: new TextDecoder().decode(stdout), bytes: stdout, err };
}

const joined = (lines: readonly string[]): string => lines.map((line) => line + "\n").join("");
const soul = { NARA_SOUL: ALICE };

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

Deno.test("nara:dump --append adds what is missing, and mends a last line that was cut; --ids-from leaves out", async () => {
  using dir = scratch();
  const log = teases(alice, 40);
  await using peer = startPeer({ name: "alice", soul: ALICE, events: log });
  const file = dir.join("events.jsonl");
  const args = ["-name", "alice", "--peer", peer.url, "--append", file];
  writeFileSync(file, joined(log.slice(0, 10)) + log[10]!.slice(0, 50));
  const mended = await run("tasks/nara_dump.ts", args, { env: soul });
  assert.equal(mended.code, 3);
  assert.match(mended.err, /its last line was cut, 50 bytes of it are removed/);
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  assert.deepEqual(lines.slice(0, 10), log.slice(0, 10), "what was there stays as it was");
  assert.deepEqual(lines.toSorted(), log.toSorted());
  const again = await run("tasks/nara_dump.ts", args, { env: soul });
  assert.deepEqual([again.code, readFileSync(file, "utf8")], [0, joined(lines)]);
  writeFileSync(file, joined(log.slice(0, 5)).trimEnd()); // whole, but without its line end
  const kept = await run("tasks/nara_dump.ts", args, { env: soul });
  assert.equal(kept.code, 0, kept.err);
  assert.deepEqual(readFileSync(file, "utf8").split("\n").slice(0, -1).toSorted(), log.toSorted());
  writeFileSync(file, joined(log.slice(0, 35)));
  const rest = await run("tasks/nara_dump.ts", ["-name", "alice", "--peer", peer.url, "-ids-from", file], {
    env: soul,
  });
  assert.deepEqual(rest.out.split("\n").slice(0, -1).toSorted(), log.slice(35).toSorted());
});

Deno.test("nara:dump --append killed at any moment leaves a valid prefix, and the next run completes it", async () => {
  using dir = scratch();
  const log = teases(alice, 12_000);
  await using peer = startPeer({ name: "alice", soul: ALICE, events: log });
  const args = ["-name", "alice", "--peer", peer.url, "--append", dir.join("f")];
  const started = performance.now();
  assert.equal((await run("tasks/nara_dump.ts", args, { env: soul })).code, 0);
  const whole = readFileSync(dir.join("f"), "utf8");
  const ms = performance.now() - started;
  for (const share of [0.5, 0.7, 0.8, 0.85, 0.9, 0.95]) {
    const file = dir.join(`f${share}`);
    const child = command("tasks/nara_dump.ts", args.with(-1, file), soul).spawn();
    await child.stdin.close();
    await new Promise((resolve) => setTimeout(resolve, ms * share));
    try {
      child.kill("SIGKILL");
    } catch { /* it has ended: no moment of its life is left */ }
    await child.output();
    const left = (() => {
      try {
        return readFileSync(file, "utf8");
      } catch {
        return "";
      }
    })();
    assert.ok(whole.startsWith(left), `${left.length} bytes after ${share}`);
  }
  const cut = dir.join("cut");
  writeFileSync(cut, whole.slice(0, 1_234_567));
  assert.equal((await run("tasks/nara_dump.ts", args.with(-1, cut), { env: soul })).code, 3);
  assert.equal(readFileSync(cut, "utf8").length, whole.length);
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
  const log = [heyThere(alice, "alice"), ...teases(alice, 100)];
  await using peer = startPeer({ name: "alice", soul: ALICE, events: log });
  const nightly = (): Promise<Ran> =>
    run("examples/nara_nightly.ts", ["alice", dir.join("store"), recipient, peer.url], { env: soul });
  const first = await nightly();
  assert.equal(first.code, 0, first.err);
  assert.match(first.out, /^nara_.*\.tar\.zst\.age 101 events \{\}$/m);
  await using fresh = startPeer({ name: "alice", soul: ALICE });
  const move = ["alice", dir.join("store"), recipient, dir.join("identity"), fresh.url];
  const moved = await run("examples/nara_migrate.ts", move, { env: soul });
  assert.equal(moved.code, 0, moved.err);
  assert.match(moved.out, /101 events, 0 already there; 101 sent: 101 imported/);
  assert.deepEqual(fresh.lines().toSorted(), log.toSorted());
  await new Promise((resolve) => setTimeout(resolve, 1100)); // names have seconds
  const second = await nightly();
  assert.equal(second.code, 0, second.err);
  assert.ok(readdirSync(dir.join("store")).some((name) => name.endsWith(".receipt.json")));
});

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
