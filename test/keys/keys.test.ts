/** Which key reads what: from receipts that count, from the first bytes where they say more, and by trying. */
import { strict as assert } from "node:assert";
import {
  archive,
  backup,
  collect,
  compress,
  encrypt,
  health,
  keys,
  monitor,
  pipeline,
  sign,
  store,
  upload,
} from "../../mod.ts";
import type { Plan, Store } from "../../mod.ts";
import { memoryState } from "../../src/context.ts";
import { lines, run } from "../cli/support.ts";
import { bytesOf, identity, planOf, recipient, treeScratch } from "../engine/support.ts";
import { gpgIn, minisignPair, openpgpPair, stopAgent } from "../sign/support.ts";
import { judged, sh } from "../support.ts";

const T0 = Date.UTC(2026, 10, 20, 3);
const hour = (n: number): Date => new Date(T0 + n * 3_600_000);
const idAt = (n: number, suffix = ".tar.zst.age"): string =>
  `app_${hour(n).toISOString().slice(0, 19).replaceAll(":", "-")}Z${suffix}`;
const other = await encrypt.generateIdentity();

function planTo(source: string, to: Store, recipients: readonly string[], secret = identity): Plan {
  return pipeline(collect.files(source)).pipe(archive.tar()).pipe(compress.zstd())
    .pipe(encrypt.age({ recipients, identities: () => secret }))
    .pipe(sign.sha256()).pipe(upload({ name: "app", to }));
}

Deno.test("keys: who reads what, since when, and which backups one key alone reads", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const source = dir.join("src");
  await backup(planTo(source, target, [recipient]), { now: hour(0) });
  await backup(planTo(source, target, [recipient, other.recipient]), { now: hour(1) });
  await backup(planTo(source, target, [other.recipient]), { now: hour(2) });
  const found = await keys(planTo(source, target, [recipient]), { open: true, now: hour(10) });
  assert.deepEqual(
    found.backups.map((
      { id, source, recipients, opens, unknown },
    ) => [id, source, recipients, opens, unknown]),
    [
      [idAt(0), "unsigned", [recipient], true, false],
      [idAt(1), "unsigned", [recipient, other.recipient], true, false],
      [idAt(2), "unsigned", [other.recipient], false, false],
    ],
  );
  const [mine, theirs] = found.keys;
  assert.deepEqual([mine!.key, mine!.backups, mine!.alone, mine!.ageMs], [recipient, 2, 1, 10 * 3_600_000]);
  assert.deepEqual([theirs!.first, theirs!.last], [hour(1).toISOString(), hour(2).toISOString()]);
});

Deno.test("keys: the first use outlasts retention, and health counts from the same day", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const state = memoryState();
  const plan = planTo(dir.join("src"), target, [recipient]);
  for (const n of [0, 1, 2]) await backup(plan, { now: hour(n), state });
  await keys(plan, { state, now: hour(3) });
  for await (const { key } of target.list(idAt(0))) await target.delete(key);
  for await (const { key } of target.list(idAt(1))) await target.delete(key);
  const [use] = (await keys(plan, { state, now: hour(48) })).keys;
  assert.deepEqual([use!.backups, use!.ageMs], [1, 48 * 3_600_000]);
  const limit = (maxKeyAge: string): Plan => monitor(plan, { health: { maxAge: "off", maxKeyAge } });
  const codes = async (maxKeyAge: string): Promise<string[]> =>
    (await health(limit(maxKeyAge), { state, now: hour(48) })).findings.map(({ code }) => code);
  assert.ok((await codes("47h")).includes("key"));
  assert.ok(!(await codes("49h")).includes("key"));
});

Deno.test("keys: a receipt that the plan's signer did not sign counts for nothing", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const pair = minisignPair();
  const signed = (key: typeof pair): Plan =>
    pipeline(collect.files(dir.join("src"))).pipe(archive.tar())
      .pipe(encrypt.age({ recipients: [recipient] }))
      .pipe(sign.minisign({ publicKey: key.publicKey, secretKey: () => key.secretKey }))
      .pipe(upload({ name: "app", to: target }));
  await backup(signed(pair), { now: hour(0) });
  await backup(signed(minisignPair()), { now: hour(1) });
  const said: string[] = [];
  const log = { info: () => {}, warn: (_: string, text: string) => void said.push(text) };
  const found = await keys(signed(pair), { log });
  assert.deepEqual(found.backups.map(({ source }) => source), ["signed", "untrusted"]);
  assert.deepEqual(found.keys.map(({ key, role, backups }) => [key, role, backups]), [
    [recipient, "reads", 1],
    [pair.publicKey, "signs", 1],
  ]);
  assert.match(said.join("\n"), /none of the trusted ones/);
});

Deno.test("keys: an archive without a receipt is unknown, unless an identity opens it", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const plan = planTo(dir.join("src"), target, [recipient]);
  await backup(plan, { now: hour(0) });
  await target.put(idAt(1), new Uint8Array(await bytesOf(target, idAt(0))));
  const [, foreign] = (await keys(plan)).backups;
  assert.deepEqual([foreign!.source, foreign!.unknown, foreign!.opens], ["header", true, undefined]);
  assert.equal((await keys(plan, { open: true })).backups[1]!.opens, true);
  assert.equal(
    (await keys(planTo("x", target, [recipient], other.identity), { open: true })).backups[1]!.opens,
    false,
  );
});

judged("keys: the ids of OpenPGP keys are those gpg lists, read from the first bytes", ["gpg"], async () => {
  using dir = treeScratch();
  const target = store.directory(dir.join("store"));
  const gpg = gpgIn(dir.path);
  const pair = await openpgpPair();
  const plan = pipeline(collect.files(dir.join("src"))).pipe(archive.tar())
    .pipe(encrypt.openpgp({ recipients: [pair.certificate] })).pipe(upload({ name: "app", to: target }));
  const { id } = await backup(plan, { now: hour(0) });
  const asked: (number | undefined)[] = [];
  const counting: Store = {
    ...target,
    get: (key, range) => {
      if (key === id) asked.push(range && range.end - range.start);
      return target.get(key, range);
    },
  };
  const watching = pipeline(collect.files(".")).pipe(archive.tar())
    .pipe(encrypt.openpgp({ recipients: [pair.certificate] })).pipe(upload({ name: "app", to: counting }));
  const [found] = (await keys(watching)).backups;
  assert.deepEqual(asked, [16 * 1024]);
  const listed = new TextDecoder().decode(
    sh(`${gpg} --list-packets '${dir.join("store", id)}' 2>/dev/null || true`),
  );
  stopAgent(dir.path);
  assert.equal(found!.keyIds.length, 1);
  assert.match(listed, new RegExp(found!.keyIds[0]!, "i"));
});

Deno.test("task keys: tables, --json, and exit codes", async () => {
  using dir = treeScratch();
  const user = { home: dir.path, cwd: dir.path };
  const target = store.directory(dir.join("backups"));
  await backup(planOf(dir.join("src"), target), { now: hour(0) });
  Deno.writeTextFileSync(dir.join("fits.key"), identity + "\n");
  Deno.writeTextFileSync(dir.join("other.key"), other.identity + "\n");
  const plain = await run(user, "keys", []);
  assert.equal(plain.code, 0, plain.err);
  assert.match(plain.out, /^BACKUP +TOLD BY +READ BY\n.* unsigned +age1/);
  assert.match(plain.out, /\nreads +1 +1 +2026-11-20 /);
  const fits = await run(user, "keys", ["--json", "--identity", "fits.key"]);
  assert.equal(fits.code, 0, fits.err);
  assert.equal(lines(fits.out)[0].backups[0].opens, true);
  assert.equal((await run(user, "keys", ["--identity", "other.key"])).code, 4);
  assert.equal((await run(user, "keys", ["--identity", "none.key"])).code, 4);
  await target.put(idAt(1), new Uint8Array(await bytesOf(target, idAt(0))));
  const foreign = await run(user, "keys", []);
  assert.equal(foreign.code, 3, foreign.err);
  assert.match(foreign.out, /header +unknown without an identity/);
});
