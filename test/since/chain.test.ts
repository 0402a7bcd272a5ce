/** What else is done with backups in a chain: kept, copied, encrypted again, searched, proven, and refused when it is not whole. */
import { strict as assert } from "node:assert";
import * as fs from "node:fs";
import {
  archive,
  collect,
  compress,
  encrypt,
  forget,
  pipeline,
  prune,
  reencrypt,
  sign,
  store,
  upload,
} from "../../mod.ts";
import { text } from "../../src/bytes.ts";
import { cat } from "../../src/cat.ts";
import { copy } from "../../src/copy/mod.ts";
import { drill } from "../../src/drill.ts";
import { checkProof } from "../../src/archive/mod.ts";
import { findError, IntegrityError, NotFoundError } from "../../src/errors.ts";
import { health } from "../../src/health.ts";
import { list } from "../../src/list.ts";
import { prove } from "../../src/prove.ts";
import { restore } from "../../src/restore.ts";
import { backup, type BackupResult, retain } from "../../src/run.ts";
import { verify } from "../../src/verify.ts";
import { identity, recipient, type Scene, scene, shape } from "./support.ts";

/** Chains of tiny archives soon outgrow the full one. */
const LONG = { fullShare: 1000 };

/** Three backups: everything; `changed` changed and `gone` gone; `late` new. */
async function three(at: Scene): Promise<readonly [BackupResult, BackupResult, BackupResult]> {
  fs.mkdirSync(`${at.src}/deep/gone`, { recursive: true });
  for (const name of ["kept", "changed", "deep/kept", "deep/gone/file"]) {
    fs.writeFileSync(`${at.src}/${name}`, `${name} at first`);
  }
  fs.linkSync(`${at.src}/kept`, `${at.src}/name`);
  const first = await at.run(LONG);
  fs.writeFileSync(`${at.src}/changed`, "changed since");
  fs.rmSync(`${at.src}/deep/gone`, { recursive: true });
  const second = await at.run(LONG);
  fs.writeFileSync(`${at.src}/late`, "late");
  fs.linkSync(`${at.src}/kept`, `${at.src}/other`);
  return [first, second, await at.run(LONG)];
}

Deno.test("an increment holds what changed and a list of what is gone; its receipt names its base", async () => {
  using at = scene();
  const [first, second, third] = await three(at);
  assert.equal(first.receipt.contents.base, null);
  assert.equal(first.receipt.sources[0]!.facts.incremental, false);
  const facts = second.receipt.sources[0]!.facts;
  assert.equal(facts.builtOn, first.id);
  assert.deepEqual([facts.incremental, facts.chain, facts.gone], [true, 1, 1]);
  assert.deepEqual(facts.tree, { entries: 6, bytes: 13 + 13 + 18 });
  // app, deep (which has lost something), changed, and the list.
  assert.equal(second.receipt.contents.entries, 4);
  assert.equal(third.receipt.sources[0]!.facts.chain, 2);
});

Deno.test("cat and restore --only find each file in the newest archive that has it, and none that is gone", async () => {
  using at = scene();
  const [first, second] = await three(at);
  const plan = at.plan();
  const read = async (path: string, id?: string): Promise<string> =>
    await new Response(await cat(plan, { path, id })).text();
  assert.equal(await read("app/kept"), "kept at first");
  assert.equal(await read("app/name"), "kept at first");
  assert.equal(await read("app/changed"), "changed since");
  assert.equal(await read("app/changed", first.id), "changed at first");
  assert.equal(await read("app/late"), "late");
  await assert.rejects(read("app/late", second.id), NotFoundError);
  await assert.rejects(read("app/deep/gone/file"), NotFoundError);
  assert.equal(await read("app/deep/gone/file", first.id), "deep/gone/file at first");
  await restore(plan, { only: ["app/deep", "app/other"], into: at.join("out") });
  assert.deepEqual(fs.readdirSync(at.join("out/app")).sort(), ["deep", "other"]);
  assert.deepEqual(shape(at.join("out/app/deep")), shape(`${at.src}/deep`));
  assert.equal(text(fs.readFileSync(at.join("out/app/other"))), "kept at first");
});

Deno.test("a tree that has shrunk comes back: what is below may unfold to more than it", async () => {
  using at = scene();
  for (let i = 0; i < 30; i++) fs.writeFileSync(`${at.src}/${i}`, "x".repeat(100));
  await at.run(LONG);
  for (let i = 1; i < 30; i++) fs.rmSync(`${at.src}/${i}`);
  await at.run(LONG);
  await restore(at.plan(), { into: at.join("out") });
  assert.deepEqual(shape(at.join("out/app")), shape(at.src));
});

Deno.test("a root that sorts behind the list of what is gone comes back, also from an archive in path order", async () => {
  using at = scene();
  for (const root of ["\u00e4", "a"]) {
    const plan = pipeline(collect.files({ [root]: at.src }, { since: "latest", indexDir: at.index, ...LONG }))
      .pipe(archive.tar({ deterministic: true }))
      .pipe(compress.zstd())
      .pipe(encrypt.plaintext())
      .pipe(upload({ name: root === "a" ? "a" : "umlaut", to: store.directory(at.join("store")) }));
    for (const [hour, text] of ["one", "three", "seven"].entries()) {
      fs.writeFileSync(`${at.src}/${hour}`, text);
      fs.rmSync(`${at.src}/${hour - 1}`, { force: true });
      await backup(plan, { now: new Date(Date.UTC(2026, 10, 20, hour)) });
    }
    await verify(plan, { level: "full" });
    await restore(plan, { into: at.join(root) });
    assert.deepEqual(fs.readdirSync(at.join(root, root)), ["2"]);
    assert.equal(await new Response(await cat(plan, { path: `${root}/2` })).text(), "seven");
  }
});

Deno.test("a service that stands still is stored by what has changed too, also in a group", async () => {
  using at = scene();
  const service = { name: "mine", stop: () => {}, start: () => {} };
  const files = collect.files({ app: at.src }, { since: "latest", indexDir: at.index, ...LONG });
  const still = collect.stopped(service, files, { journalDir: at.join("journal") });
  const plan = pipeline(collect.group({ one: still }))
    .pipe(archive.tar())
    .pipe(compress.zstd())
    .pipe(encrypt.plaintext())
    .pipe(upload({ name: "app", to: store.directory(at.join("store")) }));
  fs.writeFileSync(`${at.src}/kept`, "x");
  fs.writeFileSync(`${at.src}/large`, new Uint8Array(3_000_000).fill(7));
  await backup(plan, { now: new Date(Date.UTC(2026, 10, 20, 3)) });
  fs.writeFileSync(`${at.src}/changed`, "x");
  const { receipt } = await backup(plan, { now: new Date(Date.UTC(2026, 10, 20, 4)) });
  assert.notEqual(receipt.contents.base, null);
  assert.ok(receipt.contents.bytes < 1000);
  await restore(plan, { into: at.join("out") });
  assert.deepEqual(shape(at.join("out/one/app")), shape(at.src));
});

Deno.test("a dry run lists the tree, not the list of what is gone", async () => {
  using at = scene();
  await three(at);
  const seen: string[] = [];
  await restore(at.plan(), { into: at.join("out"), dryRun: true, report: (path) => void seen.push(path) });
  const wanted = [
    "app",
    "app/changed",
    "app/deep",
    "app/deep/kept",
    "app/kept",
    "app/late",
    "app/name",
    "app/other",
  ];
  assert.deepEqual(seen, wanted);
});

Deno.test("verify and drill go down the chain; damage in any of it is found, and nothing is restored", async () => {
  using at = scene();
  const [first, second, third] = await three(at);
  const plan = at.plan();
  const { entries } = await verify(plan, { level: "full" });
  const stored = [first, second, third].map(({ receipt }) => receipt.contents.entries);
  assert.equal(entries, stored.reduce((sum, one) => sum + one, 0));
  const drilled = await drill(plan, { assert: ["test", "-f", "app/late", "-a", "!", "-e", "app/deep/gone"] });
  assert.equal(drilled.entries, 8);
  for (const { id } of [first, second, third]) {
    const path = at.join("store", id);
    const whole = fs.readFileSync(path);
    const bad = Uint8Array.from(whole);
    bad[bad.length >> 1]! ^= 1;
    fs.writeFileSync(path, bad);
    await assert.rejects(verify(plan, { level: "full" }), IntegrityErrorWithin);
    await assert.rejects(restore(plan, { into: at.join("out") }), IntegrityErrorWithin);
    assert.ok(!fs.existsSync(at.join("out")));
    fs.writeFileSync(path, whole);
  }
});

function IntegrityErrorWithin(error: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause) if (one instanceof IntegrityError) return true;
  return false;
}

Deno.test("a base that is gone, altered, or another's is refused, by quick verification too", async () => {
  using at = scene();
  const [first, second, third] = await three(at);
  const plan = at.plan();
  const key = at.join("store", `${second.id}.receipt.json`);
  const whole = fs.readFileSync(key);
  const altered = text(whole).replace(/"run":"[^"]*"/, `"run":"${first.run}"`);
  for (
    const break_ of [
      () => fs.rmSync(key),
      () => fs.writeFileSync(key, altered),
      () => fs.writeFileSync(key, text(whole).replaceAll(second.id, first.id)),
    ]
  ) {
    break_();
    for (
      const work of [
        () => verify(plan, { id: third.id, accept: true }),
        () => restore(plan, { id: third.id, into: at.join("out") }),
      ]
    ) {
      await assert.rejects(
        work,
        /builds on a backup that is not there, or not as it was|gone|renamed or swapped/,
      );
    }
    assert.ok(!fs.existsSync(at.join("out")));
    fs.writeFileSync(key, whole);
  }
  await restore(plan, { id: third.id, into: at.join("out") });
});

Deno.test("retention keeps what a kept backup builds on, and says so; a dry run shows it", async () => {
  using at = scene();
  const [first, second, third] = await three(at);
  const plan = at.plan().pipe(prune({ keepLast: 1 }));
  for (const confirm of [false, true]) {
    const verdicts = await retain(plan, { confirm, now: new Date(Date.UTC(2026, 11, 1)) });
    assert.deepEqual(verdicts.map(({ id, keep, reasons }) => [id, keep, reasons.at(-1)]), [
      [third.id, true, "newest"],
      [second.id, true, `base of ${third.id}`],
      [first.id, true, `base of ${second.id}`],
    ]);
  }
  await at.run({ fullEvery: 1 });
  const verdicts = await retain(plan, { confirm: true, now: new Date(Date.UTC(2026, 11, 1)) });
  assert.equal(verdicts.filter(({ keep }) => !keep).length, 3);
  await verify(plan, { level: "full" });
});

Deno.test("retention keeps a base that is named as newer: the clock was set back", async () => {
  using at = scene();
  fs.writeFileSync(`${at.src}/file`, "x");
  const later = new Date(Date.UTC(2026, 10, 21));
  const first = await at.run({ now: later });
  fs.writeFileSync(`${at.src}/file`, "another");
  const second = await at.run({ now: new Date(later.getTime() - 3_600_000) });
  const wanted = shape(at.src);
  assert.notEqual(second.receipt.contents.base, null);
  const plan = at.plan().pipe(prune({ keepLast: 1, pins: [second.id] }));
  const verdicts = await retain(plan, { now: new Date(Date.UTC(2026, 11, 1)) });
  assert.ok(verdicts.find(({ id }) => id === first.id)!.reasons.includes(`base of ${second.id}`));
  await restore(plan, { id: second.id, into: at.join("out") });
  assert.deepEqual(shape(at.join("out/app")), wanted);
});

Deno.test("copy brings what a backup builds on along, and names it by the target's own receipts", async () => {
  using at = scene();
  const [, second, third] = await three(at);
  const plan = at.plan();
  const [here, there] = [store.directory(at.join("store")), store.directory(at.join("there"))];
  // In parts, so that ledgers differ and the base has been there since another run.
  const some = await copy(plan, { from: [here], to: [there], id: second.id });
  assert.equal(some.copied.length, 2);
  const rest = await copy(plan, { from: [here], to: [there] });
  assert.deepEqual([rest.copied.length, rest.troubles], [1, []]);
  const elsewhere = at.plan({ to: there });
  await verify(elsewhere, { level: "full", id: third.id });
  await restore(elsewhere, { into: at.join("out") });
  assert.deepEqual(shape(at.join("out/app")), shape(at.src));
});

Deno.test("copy refuses an increment where its base was removed, and says what to do", async () => {
  using at = scene();
  const [first] = await three(at);
  const plan = at.plan();
  const [here, there] = [store.directory(at.join("store")), store.directory(at.join("there"))];
  await copy(plan, { from: [here], to: [there], id: first.id });
  const full = await at.run({ fullEvery: 1 });
  await copy(plan, { from: [here], to: [there], id: full.id });
  await retain(at.plan({ to: there }).pipe(prune({ keepLast: 1 })), { confirm: true });
  const { copied, troubles } = await copy(plan, { from: [here], to: [there] });
  assert.deepEqual(copied, []);
  assert.match(troubles[0]!.error.message, /builds on ".*", which is not there.*make a full backup/);
});

Deno.test("copy refuses an increment where another backup has its base's name: two hosts, one name, one second", async () => {
  using at = scene();
  using other = scene();
  const [here, there] = [store.directory(at.join("store")), store.directory(at.join("there"))];
  await three(at);
  fs.writeFileSync(`${other.src}/other`, "another host's");
  await other.run({ to: there });
  const { copied, troubles } = await copy(at.plan(), { from: [here], to: [there] });
  assert.deepEqual(copied, []);
  assert.ok(findError(troubles[0]!.error, IntegrityError), String(troubles[0]?.error));
  assert.match(troubles[0]!.error.message, /builds on ".*", and what has that name there is another backup/);
});

Deno.test("nothing builds on what is another backup in another target", async () => {
  using at = scene();
  using other = scene();
  const to = [store.directory(at.join("store")), store.directory(at.join("two"))];
  fs.writeFileSync(`${at.src}/file`, "x");
  const { id } = await at.run({ to });
  fs.writeFileSync(`${other.src}/other`, "another host's");
  assert.equal((await other.run()).id, id);
  for (const name of fs.readdirSync(at.join("two"))) fs.rmSync(at.join("two", name));
  fs.cpSync(other.join("store"), at.join("two"), { recursive: true });
  const next = await at.run({ to });
  assert.equal(next.receipt.contents.base, null);
  assert.match(at.said.join("\n"), /what has that name in .* is another backup/);
  for (const one of to) {
    const into = at.join(`out-${one === to[0]}`);
    await restore(at.plan({ to: one }), { into });
    assert.deepEqual(shape(`${into}/app`), shape(at.src));
  }
});

Deno.test("prove() proves what the newest archive of the chain holds that has the path", async () => {
  using at = scene();
  const [first, second] = await three(at);
  for (const [path, id] of [["app/kept", first.id], ["app/changed", second.id]] as const) {
    const found = await prove(at.plan(), { path });
    assert.equal(found.id, id);
    assert.equal(
      checkProof(found.proof, [first, second].find((one) => one.id === id)!.receipt.contents).path,
      path,
    );
  }
  await assert.rejects(prove(at.plan(), { path: "app/deep/gone/file" }), NotFoundError);
  await assert.rejects(prove(at.plan(), { path: "app/never" }), NotFoundError);
});

Deno.test("re-encrypted, a chain is a chain; and the next run is a full one", async () => {
  using at = scene();
  await three(at);
  const plan = at.plan();
  const before = await list(plan);
  const other = await encrypt.generateIdentity();
  const fresh = at.plan({ recipient: other.recipient, identities: () => `${identity}\n${other.identity}` });
  const { steps } = await reencrypt(fresh, { confirm: true });
  assert.deepEqual(steps.map(({ error }) => error), [undefined, undefined, undefined]);
  const items = await list(plan);
  assert.deepEqual([items.length, items.some(({ id }) => before.some((one) => one.id === id))], [3, false]);
  const only = { recipient: other.recipient, identities: () => other.identity };
  await verify(at.plan(only), { level: "full" });
  await restore(at.plan(only), { into: at.join("out") });
  assert.deepEqual(shape(at.join("out/app")), shape(at.src));
  const { receipt } = await at.run({ ...LONG, ...only });
  assert.equal(receipt.contents.base, null);
  assert.match(at.said.join("\n"), /A full backup: this host keeps no index of/);
});

Deno.test("nothing builds on what a new key cannot read: the next run is a full one, and the old key can be forgotten", async () => {
  using at = scene();
  await at.run();
  const other = await encrypt.generateIdentity();
  const fresh = { ...LONG, recipient: other.recipient, identities: () => other.identity };
  const second = await at.run(fresh);
  assert.equal(second.receipt.contents.base, null);
  assert.match(
    at.said.join("\n"),
    /Nothing builds on ".*": a key that is to read this backup cannot read that one/,
  );
  await forget(at.plan(fresh), { keys: [recipient], confirm: true });
  fs.writeFileSync(`${at.src}/file`, "x");
  assert.equal((await at.run(fresh)).receipt.sources[0]!.facts.builtOn, second.id);
  await restore(at.plan(fresh), { into: at.join("out") });
  assert.deepEqual(shape(at.join("out/app")), shape(at.src));
});

Deno.test("a base that has been removed from the store is no base: evidence, and a full backup", async () => {
  using at = scene();
  const [first] = await three(at);
  for (const name of fs.readdirSync(at.join("store"))) {
    if (name.startsWith(first.id)) fs.rmSync(at.join("store", name));
  }
  const next = await at.run(LONG);
  assert.equal(next.receipt.contents.base, null);
  assert.match(
    at.said.join("\n"),
    /base: Nothing can build on .* is not there, or not as it was\n.*: the one before cannot be/,
  );
});

Deno.test("a base that is cut, or has lost the signature that the plan asks for, is no base", async () => {
  const { signer } = await import("../rotate/support.ts");
  using at = scene();
  const plan = pipeline(collect.files({ app: at.src }, { since: "latest", indexDir: at.index, ...LONG }))
    .pipe(archive.tar())
    .pipe(compress.zstd())
    .pipe(encrypt.age({ recipients: [recipient], identities: () => identity }))
    .pipe(sign.minisign({ publicKey: signer.publicKey, secretKey: () => signer.secretKey }))
    .pipe(upload({ name: "app", to: store.directory(at.join("store")), require: { signature: true } }));
  const said: string[] = [];
  const log = {
    info: () => {},
    warn: (kind: string, message: string) => void said.push(`${kind}: ${message}`),
  };
  let hour = 3;
  const run = (): Promise<BackupResult> =>
    backup(plan, { now: new Date(Date.UTC(2026, 10, 20, hour++)), log });
  let last = await run();
  const damage: [RegExp, (path: string) => void][] = [
    [/base: Nothing can build on .* is missing or cut/, (path) => fs.truncateSync(path, 100)],
    [/base: Nothing can build on .* is not signed/, (path) => fs.rmSync(`${path}.receipt.json.minisig`)],
  ];
  for (const [what, work] of damage) {
    const next = await run();
    assert.notEqual(next.receipt.contents.base, null);
    work(at.join("store", last.id)); // what the newest builds on
    last = await run();
    assert.equal(last.receipt.contents.base, null);
    assert.match(said.join("\n"), what);
  }
});

Deno.test("health compares what backups come to, not what of it an increment holds", async () => {
  using at = scene();
  const noise = (bytes: number): void =>
    fs.writeFileSync(`${at.src}/data`, crypto.getRandomValues(new Uint8Array(bytes)));
  noise(50_000);
  const found = async (): Promise<string[]> =>
    (await health(at.plan())).findings.filter(({ code }) => code === "size").map(({ message }) => message);
  for (let i = 0; i < 4; i++) await at.run({ fullEvery: 4 });
  await at.run({ fullEvery: 4 });
  assert.deepEqual(await found(), []);
  noise(10_000);
  await at.run(LONG);
  assert.match((await found()).join(), /comes to 10000 bytes, 80 % less than is usual \(50000/);
});

Deno.test("an increment that is restored as a file says what it is", async () => {
  using at = scene();
  const [, second] = await three(at);
  const { warnings } = await restore(at.plan(), { file: at.join("store", second.id), into: at.join("out") });
  assert.deepEqual(warnings, { increment: 1 });
  assert.deepEqual(fs.readdirSync(at.join("out")), ["app"]);
  assert.deepEqual(fs.readdirSync(at.join("out/app")).sort(), ["changed", "deep"]);
});
