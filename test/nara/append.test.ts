/** nara:dump --append: what is added, what stays, one run at a time, and a kill at any moment. */
import { strict as assert } from "node:assert";
import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { parseSoul } from "../../src/recipes/nara/soul.ts";
import { judged, scratch } from "../support.ts";
import { held, startPeer, teases } from "./peer.ts";
import { ALICE, command, joined, root, run, soul } from "./support.ts";

const alice = parseSoul(ALICE);
const DUMP = "tasks/nara_dump.ts";
const argsFor = (
  peer: string,
  file: string,
): string[] => ["-name", "alice", "--peer", peer, "--append", file];

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

Deno.test("nara:dump --append keeps a different event under a known id, and says so; one written in another way is known", async () => {
  using dir = scratch();
  const log = teases(alice, 6);
  const other = log[2]!.replace('"reason":"r2"', '"reason":"r9"');
  const nameless = log[5]!.replace(held(log[5]!).id, "");
  await using peer = startPeer({ name: "alice", soul: ALICE, events: [...log.with(2, other), nameless] });
  const file = dir.join("events.jsonl");
  const spaced = log[1]!.replaceAll('":', '": ').replaceAll(',"', ', "');
  writeFileSync(file, joined(log.slice(0, 4).with(1, spaced)));
  const first = await run(DUMP, argsFor(peer.url, file), { env: soul });
  assert.equal(first.code, 3);
  assert.match(first.err, new RegExp(`Two different events have the id "${held(other).id}": both are kept`));
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  assert.deepEqual(lines.slice(0, 4), log.slice(0, 4).with(1, spaced), "what was there stays as it was");
  assert.deepEqual(lines.slice(4).toSorted(), [other, log[4]!, log[5]!, nameless].toSorted());
  const again = await run(DUMP, argsFor(peer.url, file), { env: soul });
  assert.deepEqual([again.code, readFileSync(file, "utf8")], [0, joined(lines)], again.err);
});

Deno.test("nara:dump --append: while one run adds to a file, another ends with 6 and adds nothing; a killed run holds no lock", async () => {
  using dir = scratch();
  const log = teases(alice, 5);
  let asked = (): void => {};
  let go = (): void => {};
  const begun = new Promise<void>((resolve) => asked = resolve);
  const wait = new Promise<void>((resolve) => go = resolve);
  const fault = async (): Promise<Response> => {
    asked();
    await wait;
    return new Response("later", { status: 404 });
  };
  await using slow = startPeer({ name: "alice", soul: ALICE, fault });
  await using quick = startPeer({ name: "alice", soul: ALICE, events: log });
  const file = dir.join("events.jsonl");
  const first = command(DUMP, argsFor(slow.url, file), soul).spawn();
  await first.stdin.close();
  await begun;
  const second = await run(DUMP, argsFor(quick.url, file), { env: soul });
  assert.equal(second.code, 6);
  assert.match(second.err, /Cannot add to ".*events.jsonl": another run is adding to it. Wait for it/);
  assert.equal(statSync(file).size, 0);
  first.kill("SIGKILL");
  await first.output();
  const third = await run(DUMP, argsFor(quick.url, file), { env: soul });
  assert.equal(third.code, 0, third.err);
  assert.deepEqual(readFileSync(file, "utf8").split("\n").slice(0, -1).toSorted(), log.toSorted());
  go();
});

Deno.test("nara:dump --append: a file that cannot be is said with its name", async () => {
  using dir = scratch();
  await using peer = startPeer({ name: "alice", soul: ALICE, events: teases(alice, 2) });
  mkdirSync(dir.join("folder"));
  for (
    const [file, reason] of [["folder", /Cannot add to ".*folder": /], [
      "no/file",
      /Cannot add to ".*no.file": /,
    ]] as const
  ) {
    const { code, err } = await run(DUMP, argsFor(peer.url, dir.join(file)), { env: soul });
    assert.equal(code, 1);
    assert.match(err, reason);
  }
  const device = await run(DUMP, argsFor(peer.url, "/dev/full"), { env: soul });
  assert.equal(device.code, 2);
  assert.match(device.err, /Cannot add to "\/dev\/full": it is no file/);
});

judged("nara:dump into a full disk says so", ["sh"], async () => {
  await using peer = startPeer({ name: "alice", soul: ALICE, events: teases(alice, 2) });
  const dump = `'${Deno.execPath()}' run -A --no-check '${root}${DUMP}' -name alice --peer ${peer.url}`;
  const full = await new Deno.Command("sh", {
    args: ["-c", `${dump} > /dev/full`],
    env: { ...soul, NO_COLOR: "1" },
    stderr: "piped",
  }).output();
  assert.equal(full.code, 1);
  assert.match(
    new TextDecoder().decode(full.stderr),
    /Cannot write the result to standard output: No space left on device.*What is there ends in the middle/,
  );
});

const ROUNDS = Deno.env.get("HOLDFAST_SOAK") === "1" ? 80 : 6;
const EVENTS = 200; // that are new in each round

Deno.test(`nara:dump --append, killed at ${ROUNDS} moments on one file: always a valid prefix, and in the end everything once`, async () => {
  using dir = scratch();
  const log = teases(alice, EVENTS * ROUNDS);
  const all = new Set(log);
  const file = dir.join("events.jsonl");
  writeFileSync(file, "");
  let seed = 20261121;
  const random = (): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  let killed = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    const before = readFileSync(file, "utf8");
    await using peer = startPeer({ name: "alice", soul: ALICE, events: log.slice(0, EVENTS * round) });
    const child = command(DUMP, argsFor(peer.url, file), soul).spawn();
    await child.stdin.close();
    if (await killAt(child, file, round % 2 === 0, random())) killed++;
    const lines = readFileSync(file, "utf8").split("\n");
    const torn = lines.pop()!;
    const kept = before.slice(0, before.lastIndexOf("\n") + 1);
    assert.ok(readFileSync(file, "utf8").startsWith(kept), `round ${round}: what was whole stays`);
    assert.ok(lines.every((line) => all.has(line)), `round ${round}: every line is an event`);
    assert.equal(new Set(lines).size, lines.length, `round ${round}: none twice`);
    assert.ok(
      torn === "" || log.some((line) => line.startsWith(torn)),
      `round ${round}: the last is the beginning of one`,
    );
    if (round % 3 === 0) appendFileSync(file, log[round]!.slice(0, 40 + round)); // torn, as a full disk leaves it
  }
  console.error(`${killed} of ${ROUNDS} runs were killed, the others were faster`);
  if (ROUNDS > 6) assert.ok(killed > ROUNDS / 4, `${killed}`);
  appendFileSync(file, log[0]!.slice(0, 50));
  await using peer = startPeer({ name: "alice", soul: ALICE, events: log });
  const last = await run(DUMP, argsFor(peer.url, file), { env: soul });
  assert.equal(last.code, 3, last.err);
  assert.match(last.err, /its last line was cut/);
  assert.deepEqual(readFileSync(file, "utf8").split("\n").slice(0, -1).toSorted(), log.toSorted());
});

/** Kills a run when its file changes, or after a share of a second and a half; gives whether it was still running. */
async function killAt(
  child: Deno.ChildProcess,
  file: string,
  onChange: boolean,
  share: number,
): Promise<boolean> {
  assert.ok(existsSync(file));
  const status = child.status;
  const watch = Deno.watchFs(file);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const changed = (async () => {
    for await (const { kind } of watch) if (kind === "modify") return;
  })();
  const later = new Promise<void>((resolve) =>
    timer = setTimeout(resolve, onChange ? 60_000 : 200 + share * 1300)
  );
  await Promise.race([status, later, ...(onChange ? [changed] : [])]);
  clearTimeout(timer);
  watch.close();
  await changed;
  try {
    child.kill("SIGKILL");
  } catch { /* it has ended */ }
  await child.stdout.cancel();
  await child.stderr.cancel();
  return (await status).signal === "SIGKILL";
}
