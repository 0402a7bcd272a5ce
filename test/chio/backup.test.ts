/** Chio's surfaces, backed up together and restored together. */
import { strict as assert } from "node:assert";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { drill } from "../../src/drill.ts";
import { BusyError, ExistsError, findError, IntegrityError } from "../../src/errors.ts";
import * as encrypt from "../../src/encrypt/mod.ts";
import { pipeline } from "../../src/pipeline.ts";
import * as archive from "../../src/archive/mod.ts";
import * as collect from "../../src/collect/mod.ts";
import * as chio from "../../src/recipes/chio.ts";
import { decodeReceipt } from "../../src/receipt.ts";
import type { BackupReceipt } from "../../src/receipt.ts";
import { verifyChioStore } from "../../src/recipes/chio.ts";
import { scratch } from "../support.ts";
import { kernel, tamper } from "./support.ts";
import {
  archiveEntries,
  makeWorld,
  newSeed,
  readRevocations,
  type World,
  writeAuthority,
  writeRevocations,
  writeStore,
} from "./world.ts";

const by = kernel();
const at = (minute: number): Date => new Date(Date.UTC(2026, 10, 20, 3, minute));

function all({ plans }: World): chio.Surface[] & never {
  return Object.values(plans) as never;
}

function factsOf(receipt: BackupReceipt): Record<string, unknown> {
  return receipt.sources.find(({ tool }) => tool === "chio")!.facts as Record<string, unknown>;
}

Deno.test("chio: all surfaces are taken in the safe order under one time, and come back to where they were", async () => {
  using dir = scratch();
  const world = await makeWorld(dir.path, by);
  // The reverse of the safe order.
  const done = await chio.chioBackup(Object.values(world.plans).reverse(), { now: at(0) });
  const order = ["receipts", "policies", "federation", "authority", "state", "revocations"];
  assert.deepEqual(done.map(({ surface }) => surface), order);
  const ended = done.map(({ result }) => result.receipt.completedAt);
  assert.deepEqual(ended.toSorted(), ended);
  const ids = readdirSync(world.paths.store).filter((name) => name.endsWith(".age"));
  assert.deepEqual(
    ids.map((name) => name.replace(/_2026-11-20T03-00-00Z\.tar\.zst\.age$/, "")),
    order.toSorted(),
  );
  assert.deepEqual(done.map(({ result }) => result.warnings), order.map(() => ({})));
  const facts = factsOf(done[0]!.result.receipt);
  assert.deepEqual([facts.receipts, facts.checkpoints, facts.tail], [57, 5, 7]);
  const receipts = readdirSync(world.paths.store).filter((name) => name.endsWith(".receipt.json"));
  const seed = readFileSync(world.paths.seed, "utf8").trim();
  for (const name of receipts) {
    assert.ok(!readFileSync(`${world.paths.store}/${name}`, "utf8").includes(seed), "no seed in a receipt");
  }
  const policy = readFileSync(world.paths.policy, "utf8");
  rmSync(dir.join("live"), { recursive: true });
  const after = await chio.chioRestore(all(world), { inPlace: true, now: at(10) });
  assert.equal(readFileSync(world.paths.seed, "utf8").trim(), seed);
  assert.equal(statSync(world.paths.seed).mode & 0o777, 0o600);
  assert.equal(readFileSync(world.paths.policy, "utf8"), policy);
  assert.equal((await verifyChioStore(world.paths.receipts)).faults, 0);
  assert.deepEqual(readRevocations(world.paths.revocations), { "cap-1": 100, "cap-2": 200 });
  assert.deepEqual(after.identity.includes(world.identity), true);
  assert.deepEqual(after.externalKeys, [{
    id: "arn:aws:kms:eu-central-1:1:key/5",
    publicKey: "cd".repeat(32),
  }]);
  assert.deepEqual(after.trustedIssuers, ["ab".repeat(32)]);
  assert.equal((after.chain as { fork: boolean }).fork, false);
  assert.deepEqual(after.peers.map(({ state }) => state), ["handshake", "handshake"]);
  assert.deepEqual(after.restored.map(({ surface }) => surface), order.toReversed());
  assert.match(after.todo.join("\n"), /Bring the revocations up to date[^]*Do a new handshake with 2 peers/);
});

Deno.test("chio: a seed before encrypt.plaintext cannot be made, in a group neither", () => {
  const source = chio.authority({ seeds: ["/etc/chio/edge.seed"] });
  for (const stage of [source, collect.group({ a: source, b: collect.files("/etc") })]) {
    const chain = pipeline(stage).pipe(archive.tar());
    assert.throws(() => chain.pipe(encrypt.plaintext()), /Cannot store an authority's seed in the clear/);
    chain.pipe(encrypt.age({ passphrase: () => "x" }));
  }
  assert.throws(() => chio.authority({}), /name its database, or a seed/);
  assert.throws(
    () => chio.receipts("x", { keys: [{ id: "k", publicKey: "no" }] }),
    /Cannot record the key "k"/,
  );
});

Deno.test("chio: a store that is not sound is not stored, and the number is named", async () => {
  using dir = scratch();
  const { paths, plans } = await makeWorld(dir.path, by);
  tamper(
    paths.receipts,
    (db) => db.exec("UPDATE chio_tool_receipts SET decision_kind = 'deny' WHERE seq = 13"),
  );
  const error = await chio.chioBackup([plans.receipts, plans.policies]).catch((error) => error);
  assert.match(
    error.message,
    /1 of 2 surfaces .* entry \d+: its column decision_kind is not the receipt's verdict/,
  );
  assert.ok(findError(error, IntegrityError));
  assert.deepEqual(readdirSync(paths.store).filter((name) => name.startsWith("receipts_")), []);
  assert.ok(readdirSync(paths.store).some((name) => name.startsWith("policies_")), "the others were stored");
});

Deno.test("chio: between two backups nothing goes down, unless it is accepted", async () => {
  using dir = scratch();
  const { paths, plans } = await makeWorld(dir.path, by);
  await chio.chioBackup([plans.receipts], { now: at(0) });
  writeStore(paths.receipts, by, { receipts: 80 });
  await chio.chioBackup([plans.receipts], { now: at(1) });
  writeStore(paths.receipts, by, { receipts: 70 });
  const refused = chio.chioBackup([plans.receipts], { now: at(2) });
  await assert.rejects(
    refused,
    /the numbering of log entries went down from 80 to 70.*checkpoint 8 of the earlier backup is gone/,
  );
  writeStore(paths.receipts, kernel(), { receipts: 90 });
  await assert.rejects(
    chio.chioBackup([plans.receipts], { now: at(2) }),
    /checkpoint 8 is another one than in the earlier backup/,
  );
  const [{ result }] = await chio.chioBackup([plans.receipts], { now: at(2), accept: ["rollback"] }) as [
    chio.ChioBackup,
  ];
  assert.deepEqual(factsOf(result.receipt).accepted, ["rollback"]);
  await chio.chioBackup([plans.receipts], { now: at(3) });
});

Deno.test("chio: another identity than the recorded one is refused; a rotation is fine, going back is not", async () => {
  using dir = scratch();
  const { paths, plans } = await makeWorld(dir.path, by);
  const [first, second] = [newSeed(), newSeed()];
  writeAuthority(paths.authority, [first]);
  const run = (minute: number, accept?: chio.Accept[]): Promise<unknown> =>
    chio.chioBackup([plans.authority], { now: at(minute), accept });
  await run(0);
  writeAuthority(paths.authority, [first, second]);
  await run(1);
  writeAuthority(paths.authority, [first]);
  await assert.rejects(run(2), /The identity [0-9a-f]{64}, which "authority_.*recorded, is gone/);
  writeAuthority(paths.authority, [second]);
  await assert.rejects(run(2), /The authority went back: it trusted the key/);
  writeAuthority(paths.authority, [first, second]);
  const seed = readFileSync(paths.seed, "utf8");
  writeFileSync(paths.seed, newSeed());
  await assert.rejects(run(2), /Chio makes a new one when it misses its seed/);
  await run(2, ["identity"]);
  writeFileSync(paths.seed, "not a seed");
  await assert.rejects(
    run(3),
    (error: Error) =>
      /is not 64 hexadecimal digits/.test(error.message) && !error.message.includes('not a seed"'),
  );
  rmSync(paths.seed);
  await assert.rejects(run(3), /edge\.seed".*does not exist/);
  writeFileSync(paths.seed, seed);
});

Deno.test("chio: revocations never become fewer; a restore merges newer ones", async () => {
  using dir = scratch();
  const { paths, plans } = await makeWorld(dir.path, by);
  await chio.chioBackup([plans.revocations], { now: at(0) });
  writeRevocations(paths.revocations, [["cap-1", 150], ["cap-2", 200], ["cap-3", 300]]);
  await chio.chioBackup([plans.revocations], { now: at(1) });
  const run = (): Promise<unknown> => chio.chioBackup([plans.revocations], { now: at(2) });
  writeRevocations(paths.revocations, [["cap-1", 150]]);
  await assert.rejects(run(), /"revocations_.*" held 3, there are 1/);
  writeRevocations(paths.revocations, [["cap-1", 150], ["cap-9", 1], ["cap-2", 200], ["cap-3", 300]]);
  await assert.rejects(run(), /not all that "revocations_.*" held are there/);
  const newer = dir.join("newer.sqlite3");
  writeRevocations(newer, [["cap-4", 400], ["cap-1", 120], ["cap-2", 150]], false);
  const after = await chio.chioRestore([plans.revocations], {
    into: dir.join("out"),
    at: at(0),
    mergeRevocations: newer,
    now: at(30),
  });
  assert.deepEqual(readRevocations(dir.join("out/revocations/revocations.sqlite3")), {
    "cap-1": 120,
    "cap-2": 200,
    "cap-4": 400,
  });
  assert.deepEqual(after.revocations?.merged, { added: 1, raised: 1 });
  assert.deepEqual(readdirSync(dir.join("out/revocations")), ["revocations.sqlite3"]);
});

Deno.test("chio: archives come along and return to the path that the ledger names; without one nothing is stored", async () => {
  using dir = scratch();
  const { paths, plans } = await makeWorld(dir.path, by);
  await chio.chioBackup([plans.receipts], { now: at(0) });
  const old = dir.join("live/old.sqlite3");
  archiveEntries(paths.receipts, old, 20);
  const [{ result }] = await chio.chioBackup([plans.receipts], { now: at(1) }) as [chio.ChioBackup];
  const facts = factsOf(result.receipt);
  assert.deepEqual([facts.receipts, facts.archives], [57, 1]);
  rmSync(dir.join("live"), { recursive: true });
  const after = await chio.chioRestore([plans.receipts], { inPlace: true });
  assert.deepEqual(after.restored[0]!.archives, [old]);
  assert.equal((await verifyChioStore(paths.receipts)).receipts, 57);
  const proven = await drill(plans.receipts);
  assert.equal(proven.entries, 2);
  rmSync(old);
  await assert.rejects(chio.chioBackup([plans.receipts], { now: at(2) }), /old\.sqlite3".*does not exist/);
});

Deno.test("chio: a restore that would fork the chain is flagged; one that contradicts it is refused", async () => {
  using dir = scratch();
  const { paths, plans } = await makeWorld(dir.path, by);
  await chio.chioBackup([plans.receipts], { now: at(0) });
  writeStore(paths.receipts, by, { receipts: 80 });
  // The file it replaces has gone on since the backup.
  const replaced = await chio.chioRestore([plans.receipts], { inPlace: true, conflict: "overwrite" });
  const known = replaced.chain as { fork: boolean; known: { seq: string; from: string } };
  assert.deepEqual([known.fork, known.known.seq, known.known.from], [true, "8", "the file it replaces"]);
  writeStore(paths.receipts, by, { receipts: 80 });
  await chio.chioBackup([plans.receipts], { now: at(1) });
  const run = { into: dir.join("a"), at: at(0) };
  const warnings: string[] = [];
  const log = {
    info: (): void => {},
    warn: (kind: string, text: string): void => void warnings.push(`${kind}: ${text}`),
  };
  const behind = await chio.chioRestore([plans.receipts], { ...run, log });
  const chain = behind.chain as {
    fork: boolean;
    head: { seq: string };
    known: { seq: string; from: string };
  };
  assert.deepEqual([chain.fork, chain.head.seq, chain.known.seq], [true, "5", "8"]);
  assert.match(chain.known.from, /^the backup "receipts_2026-11-20T03-01-00Z/);
  assert.match(warnings.join(), /^fork: .*ends before checkpoint 8/);
  assert.match(behind.todo[0]!, /Do not serve yet/);
  const heads = [{ seq: 3n, sha256: "00".repeat(32), from: "an anchor" }];
  const refused = chio.chioRestore([plans.receipts], { ...run, into: dir.join("b"), heads });
  await assert.rejects(refused, /its checkpoint 3 is another one than an anchor knows/);
  await chio.chioRestore([plans.receipts], { ...run, into: dir.join("b"), heads, accept: ["fork"] });
});

Deno.test("chio: nothing is touched while a process has a database open, or anything stands in the way", async () => {
  using dir = scratch();
  const world = await makeWorld(dir.path, by);
  const { paths } = world;
  await chio.chioBackup(all(world), { now: at(0) });
  const run = { inPlace: true, conflict: "overwrite" } as const;
  const before = statSync(paths.policy).ino;
  const open = new DatabaseSync(paths.authority);
  try {
    open.prepare("SELECT count(*) FROM authority_state").get();
    await assert.rejects(chio.chioRestore(all(world), run), BusyError);
  } finally {
    open.close();
  }
  assert.equal(statSync(paths.policy).ino, before);
  for (const path of Object.values(paths)) if (path !== paths.receipts && path !== paths.store) rmSync(path);
  await assert.rejects(
    chio.chioRestore(all(world), { inPlace: true }),
    (error) => findError(error, ExistsError) !== undefined,
  );
  const left = readdirSync(dir.join("live")).filter((name) => !/-(?:wal|shm)$/.test(name));
  assert.deepEqual(left, ["receipts.sqlite3"]);
  await chio.chioRestore(all(world), run);
});

Deno.test("chio: peers whose keys differ from today's are listed and warned of", async () => {
  using dir = scratch();
  const { plans } = await makeWorld(dir.path, by);
  await chio.chioBackup([plans.federation], { now: at(0) });
  const peerKeys = chio.peersIn(
    JSON.stringify({ "peer-1": "0x" + "1".repeat(64), "peer-2": "9".repeat(64), "peer-3": "3".repeat(64) }),
  );
  const warnings: string[] = [];
  const log = { info: (): void => {}, warn: (kind: string): void => void warnings.push(kind) };
  const { peers } = await chio.chioRestore([plans.federation], { into: dir.join("out"), peerKeys, log });
  assert.deepEqual(peers.map(({ kernelId, state }) => [kernelId, state]), [
    ["peer-1", "handshake"],
    ["peer-2", "differs"],
    ["peer-3", "new"],
  ]);
  assert.deepEqual(warnings, ["peer"]);
});

for (
  const made of [
    { generation: "first" },
    { generation: "later" },
    { older: true, childEvery: 0 },
    { receipts: 50 },
    { receipts: 3 },
    {
      receipts: 0,
    },
  ] as const
) {
  Deno.test(`chio: a drill appends to the scratch copy and the chain goes on (${JSON.stringify(made)})`, async () => {
    using dir = scratch();
    const { paths, plans } = await makeWorld(dir.path, by, made);
    const [{ result }] = await chio.chioBackup([plans.receipts], { now: at(0) }) as [chio.ChioBackup];
    await drill(plans.receipts, { note: "quarterly" });
    const event = readdirSync(paths.store).find((name) => name.endsWith(".drill.json"))!;
    const receipt = decodeReceipt(readFileSync(`${paths.store}/${event}`) as Uint8Array<ArrayBuffer>, event);
    const { facts } = receipt as unknown as {
      facts: { proven: { appended: { entry: string }; extends: string } };
    };
    const { watermarks } = factsOf(result.receipt) as {
      watermarks: { entries: string; head?: { sha256: string } };
    };
    assert.equal(facts.proven.appended.entry, `${Number(watermarks.entries) + 1}`);
    assert.ok(facts.proven.extends.includes(watermarks.head?.sha256 ?? "the first checkpoint"));
    assert.match(JSON.stringify(facts), /quarterly/);
    assert.equal(
      (await verifyChioStore(paths.receipts)).receipts,
      made.receipts ?? 57,
      "the live store is as it was",
    );
  });
}
