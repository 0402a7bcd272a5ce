/** A key that is lost: what nobody else can read is removed, announced, and nothing more. */
import { strict as assert } from "node:assert";
import {
  archive,
  backup,
  collect,
  encrypt,
  forget,
  list,
  pipeline,
  store,
  upload,
  verify,
} from "../../mod.ts";
import type { Plan } from "../../mod.ts";
import { memoryState } from "../../src/context.ts";
import { StoreError } from "../../src/errors.ts";
import { decodeReceipt } from "../../src/receipt.ts";
import { lines, run } from "../cli/support.ts";
import { faulty } from "../../src/testing/mod.ts";
import { bytesOf, keysOf, treeScratch } from "../engine/support.ts";
import { fresh, hour, old, planOf, readable } from "./support.ts";

Deno.test("forget: only what the lost key alone could read goes, and the ledger says so", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const state = memoryState();
  const both = (recipients: readonly string[]): Plan =>
    pipeline(collect.files(dir.join("src"))).pipe(archive.tar())
      .pipe(encrypt.age({ recipients, identities: () => fresh.identity }))
      .pipe(upload({ name: "app", to: target }));
  const first = await backup(both([old.recipient]), { now: hour(0), state });
  const shared = await backup(both([old.recipient, fresh.recipient]), { now: hour(1), state });
  const mine = await backup(both([fresh.recipient]), { now: hour(2), state });
  const plan = both([fresh.recipient]);
  await assert.rejects(forget(plan, { keys: [fresh.recipient] }), /still encrypts to it/);
  const dry = await forget(plan, { keys: [old.recipient], state });
  assert.deepEqual([dry.steps.map(({ id }) => id), dry.others], [[first.id], 2]);
  assert.equal((await list(plan)).length, 3);
  const done = await forget(plan, { keys: [old.recipient], state, now: hour(3), confirm: true });
  assert.deepEqual(done.steps.map(({ id, stores }) => [id, stores]), [[first.id, [target.url]]]);
  assert.deepEqual((await list(plan)).map(({ id }) => id), [shared.id, mine.id]);
  const event = (await keysOf(target)).find((key) => key.endsWith(".rotate.json"))!;
  const receipt = decodeReceipt(await bytesOf(target, event), event);
  assert.ok(receipt.event === "rotate");
  assert.deepEqual([receipt.reason, receipt.tombstones.map(({ id }) => id)], ["forgotten", [first.id]]);
  for (const seen of [state, memoryState()]) await verify(plan, { state: seen });
});

Deno.test("forget: a forged receipt does not get a backup removed", async () => {
  using dir = treeScratch();
  const target = store.memory();
  const source = dir.join("src");
  Deno.writeTextFileSync(`${source}/n`, "0");
  const { id } = await backup(planOf(source, target, fresh.recipient, fresh.identity), { now: hour(0) });
  const key = `${id}.receipt.json`;
  const text = new TextDecoder().decode(await bytesOf(target, key)).replaceAll(
    fresh.recipient,
    old.recipient,
  );
  await target.put(key, new TextEncoder().encode(text));
  const plan = planOf(source, target, fresh.recipient, fresh.identity);
  assert.deepEqual((await forget(plan, { keys: [old.recipient] })).steps, []);
  const { steps } = await forget(plan, { keys: [old.recipient], confirm: true });
  assert.deepEqual(steps, []);
  assert.ok((await keysOf(target)).includes(id));
});

Deno.test("forget: a receipt that cannot be read now ends the run; its backup is not passed over", async () => {
  using dir = treeScratch();
  const inner = store.memory();
  const source = dir.join("src");
  Deno.writeTextFileSync(`${source}/n`, "0");
  const { id } = await backup(planOf(source, inner, old.recipient, old.identity), { now: hour(0) });
  const target = faulty(inner, [{ on: "get", how: "fail", key: /\.receipt\.json$/ }]);
  const plan = planOf(source, target, fresh.recipient, fresh.identity);
  await assert.rejects(forget(plan, { keys: [old.recipient] }), StoreError);
  assert.ok((await keysOf(inner)).includes(id));
});

Deno.test("task rotate: dry first, then done; exit codes; honest about what it cannot undo", async () => {
  using dir = treeScratch();
  const user = { home: dir.path, cwd: dir.path };
  const target = store.directory(dir.join("backups"));
  Deno.writeTextFileSync(dir.join("src/n"), "0");
  await backup(planOf(dir.join("src"), target, old.recipient, old.identity, false), { now: hour(0) });
  Deno.writeTextFileSync(dir.join("old.key"), old.identity + "\n");
  Deno.writeTextFileSync(dir.join("new.key"), fresh.identity + "\n");
  const common = ["--from", "backups", "--name", "app"];
  const again = ["--reencrypt", ...common, "--recipient", fresh.recipient];
  assert.equal((await run(user, "rotate", ["--reencrypt", "--forget", "x", ...common])).code, 2);
  assert.equal((await run(user, "rotate", [...again, "--identity", "new.key"])).code, 4);
  const dry = await run(user, "rotate", [...again, "--identity", "old.key"]);
  assert.equal(dry.code, 0, dry.err);
  assert.match(dry.out, /^re-encrypt +app_/);
  assert.match(dry.err, /does not undo: whoever has copied/);
  const done = await run(user, "rotate", [...again, "--identity", "old.key", "--confirm", "--json"]);
  assert.equal(done.code, 0, done.err);
  assert.match(lines(done.out)[0].successor, /03-00-01Z/);
  assert.deepEqual(await readable(dir.join("src"), target, old.identity, dir.path), []);
  const lost = await run(user, "rotate", ["--forget", fresh.recipient, ...common, "--confirm"]);
  assert.equal(lost.code, 0, lost.err);
  assert.match(lost.out, /^removed +app_/);
  assert.deepEqual(await list(planOf(".", target, fresh.recipient, fresh.identity, false)), []);
});

Deno.test("task rotate: a passphrase is changed", async () => {
  using dir = treeScratch();
  const user = { home: dir.path, cwd: dir.path };
  Deno.writeTextFileSync(dir.join("old.txt"), "before the leak\n");
  Deno.writeTextFileSync(dir.join("new.txt"), "after the leak\n");
  const config = (file: string): void =>
    Deno.writeTextFileSync(
      dir.join("backup.toml"),
      `[plan.app]\ncollect = { files = ["src"] }\nencrypt = { age = { passphraseFile = "${file}" } }\n` +
        `upload = { to = ["backups"] }\n`,
    );
  config("old.txt");
  const made = await run(user, "backup", []);
  assert.equal(made.code, 0, made.err);
  config("new.txt");
  const done = await run(user, "rotate", [
    "--reencrypt",
    "--old-passphrase-file",
    "old.txt",
    "--confirm",
    "--json",
  ]);
  assert.equal(done.code, 0, done.err);
  assert.equal(lines(done.out).length, 1);
  const restored = await run(user, "restore", ["latest", "--into", "out"]);
  assert.equal(restored.code, 0, restored.err);
  const over = await run(user, "rotate", [
    "--reencrypt",
    "--old-passphrase-file",
    "old.txt",
    "--confirm",
    "--json",
  ]);
  assert.deepEqual([over.code, over.out], [0, ""], over.err);
});
