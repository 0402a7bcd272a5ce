/** The command line without a configuration, from a second folder, with cron's bare environment. */
import { strict as assert } from "node:assert";
import { parseName } from "../../src/name.ts";
import { judged, scratch, sh } from "../support.ts";
import { lines, makeTree, run, type User } from "./support.ts";

/** A user who stands in a folder with a tree called "my docs". */
function newUser(dir: { join: (...parts: string[]) => string }): User {
  for (const name of ["home", "work"]) Deno.mkdirSync(dir.join(name));
  Deno.mkdirSync(dir.join("work", "my docs"));
  makeTree(dir.join("work", "my docs"));
  return { home: dir.join("home"), cwd: dir.join("work") };
}

Deno.test("backup PATH makes a key, says so, and every other command works after it", async (t) => {
  using dir = scratch();
  const user = newUser(dir);
  const key = dir.join("home", ".config", "holdfast", "identity.txt");
  let id = "";

  await t.step("backup", async () => {
    const { code, out, err } = await run(user, "backup", ["my docs", "--exclude", "cache/**"]);
    assert.equal(code, 0, err);
    id = out.trim();
    assert.equal(parseName(id)?.name, "my-docs");
    assert.equal(parseName(id)?.suffix, ".tar.zst.age");
    assert.ok(err.includes(key) && err.includes("Copy this file to another place NOW"), err);
    assert.ok(err.includes(`to ${dir.join("work", "backups")}\n`), err);
    assert.equal(Deno.statSync(key).mode! & 0o777, 0o600);
    assert.equal(Deno.statSync(dir.join("home", ".config", "holdfast")).mode! & 0o777, 0o700);
    assert.ok(!err.includes("AGE-SECRET-KEY") && !out.includes("AGE-SECRET-KEY"));
  });

  await t.step("a second backup uses the same key, even when it was taken off the host", async () => {
    Deno.renameSync(key, key + ".away");
    const { code, err, out } = await run(user, "backup", [
      "./my docs",
      "--quiet",
      "--json",
      "--name",
      "other",
    ]);
    Deno.renameSync(key + ".away", key);
    assert.equal(code, 0, err);
    assert.equal(err, "");
    const [result] = lines(out);
    assert.deepEqual(
      [result.plan, result.status, result.exitCode, result.entries],
      ["other", "complete", 0, 9],
    );
    assert.deepEqual(result.stores, [{ store: dir.join("work", "backups") }]);
    assert.deepEqual(Object.keys(result.warnings), []);
  });

  await t.step("list", async () => {
    const { code, out } = await run(user, "list", ["--json"]);
    assert.equal(code, 0);
    const items = lines(out);
    assert.deepEqual(items.map(({ name, state }) => [name, state]), [["my-docs", "complete"], [
      "other",
      "complete",
    ]]);
    assert.equal(items[0].id, id);
    const plain = await run({ ...user, cwd: dir.join("home") }, "list", ["--from", "../work/backups"]);
    assert.match(plain.out, /^ID +STATE +ENTRIES.*\nmy-docs_\S+ +complete +8 /);
  });

  await t.step("verify", async () => {
    const ambiguous = await run(user, "verify", []);
    assert.equal(ambiguous.code, 2);
    assert.match(ambiguous.err, /holds several names\. Pass --name: my-docs, other/);
    const quick = await run(user, "verify", ["--name", "my-docs"]);
    assert.deepEqual([quick.code, quick.out], [0, `${id}  ok (quick)  ledger: ok\n`]);
    const full = await run(user, "verify", [id, "--level", "full", "--json"]);
    assert.equal(full.code, 0, full.err);
    assert.equal(lines(full.out)[0].entries, 8);
    const stranger = await run({ ...user, home: dir.join("work") }, "verify", [id, "--level", "full"]);
    assert.equal(stranger.code, 4);
    assert.match(stranger.out, /bytes ok \(full\) {2}ledger: cannot tell\n$/);
    assert.match(stranger.err, /The entries were not checked/);
  });

  await t.step("restore", async () => {
    const dry = await run(user, "restore", [id, "--into", "out", "--dry-run"]);
    assert.deepEqual([dry.code, dry.out.split("\n").length], [0, 9]);
    assert.match(dry.out, /^create {2}my docs\n/);
    const { code, out, err } = await run(user, "restore", [id, "--into", "out"]);
    assert.equal(code, 0, err);
    assert.equal(out, dir.join("work", "out") + "\n");
    sh(`diff -r --no-dereference "my docs" "out/my docs" -x cache`, { cwd: user.cwd });
    const again = await run(user, "restore", [id, "--into", "out"]);
    assert.equal(again.code, 1);
    assert.match(again.err, /exist already/);
    const part = await run(user, "restore", [
      id,
      "--into",
      "part",
      "--only",
      "my docs/a/**",
      "--strip",
      "2",
      "--json",
    ]);
    assert.equal(part.code, 0, part.err);
    assert.equal(Deno.readTextFileSync(dir.join("work", "part", "b", "letter.txt")), "Dear reader\n");
    const stranger = await run({ ...user, home: dir.join("work") }, "restore", [id, "--into", "no"]);
    assert.equal(stranger.code, 4, stranger.err);
    const named = await run({ ...user, home: dir.join("work") }, "restore", [
      id,
      "--into",
      "yes",
      "--identity",
      key,
    ]);
    assert.equal(named.code, 0, named.err);
  });

  await t.step("restore FILE, with its receipt beside it and without", async () => {
    const file = dir.join("work", "backups", id);
    const beside = await run({ ...user, cwd: dir.join("home") }, "restore", [file, "--into", "beside"]);
    assert.equal(beside.code, 0, beside.err);
    assert.ok(!beside.err.includes("no receipt"));
    Deno.copyFileSync(file, dir.join("home", "copy.age"));
    const alone = await run({ ...user, cwd: dir.join("home") }, "restore", ["copy.age", "--into", "alone"]);
    assert.equal(alone.code, 0, alone.err);
    assert.match(alone.err, /no receipt: nothing vouches/);
    sh("diff -r --no-dereference beside alone", { cwd: dir.join("home") });
  });

  await t.step("cat", async () => {
    const { code, out } = await run(user, "cat", [id, "my docs/a/b/letter.txt"]);
    assert.deepEqual([code, out], [0, "Dear reader\n"]);
    const none = await run(user, "cat", [id, "my docs/none"]);
    assert.equal(none.code, 1);
    assert.match(none.err, /Cannot find "my docs\/none".*"restore ID --into DIR --dry-run" shows the paths/);
  });

  await t.step("drill", async () => {
    const { code, out, err } = await run(user, "drill", [
      id,
      "--assert",
      "test",
      "--assert",
      "-s",
      "--assert",
      "my docs/a/b/letter.txt",
    ]);
    assert.equal(code, 0, err);
    assert.match(
      out,
      /restored 8 entries.*RTO.*RPO.* {2}flipped bit: failed as it must {2}assertion: passed\n$/,
    );
    const wrong = await run(user, "drill", [id, "--assert", "false", "--json"]);
    assert.equal(wrong.code, 1);
    assert.match(lines(wrong.out)[0].error, /assertion/);
  });

  await t.step("prune", async () => {
    const none = await run(user, "prune", ["--name", "my-docs"]);
    assert.equal(none.code, 2);
    assert.match(none.err, /no retention is set/);
    for (let i = 0; i < 2; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      assert.equal((await run(user, "backup", ["my docs"])).code, 0);
    }
    const dry = await run(user, "prune", ["--name", "my-docs", "--keep-last", "1", "--json"]);
    const verdicts = lines(dry.out).map(({ keep, removed }) => [keep, removed]);
    // The first was verified in full, the last is the newest.
    assert.deepEqual(verdicts, [[true, false], [false, false], [true, false]]);
    assert.match(dry.err, /Dry run: nothing was removed\. --confirm removes 1 of 3/);
    const real = await run(user, "prune", ["--name", "my-docs", "--keep-last", "1", "--confirm"]);
    assert.match(real.out, /^removed {2}my-docs_/m);
    assert.equal(lines((await run(user, "list", ["--name", "my-docs", "--json"])).out).length, 2);
    assert.equal((await run(user, "prune", ["--confirm", "--dry-run"])).code, 2);
  });
});

judged(
  "a backup of the command line opens with stock tools, and jq reads the list",
  ["age", "zstd", "jq"],
  async () => {
    using dir = scratch();
    const user = newUser(dir);
    const id = (await run(user, "backup", ["my docs"])).out.trim();
    Deno.mkdirSync(dir.join("stock"));
    sh(
      `age -d -i home/.config/holdfast/identity.txt "work/backups/${id}" | zstd -d | tar -x -C stock && ` +
        `diff -r --no-dereference "work/my docs" "stock/my docs" && cd work/backups && sha256sum -c "${id}.sha256"`,
      { cwd: dir.path },
    );
    Deno.writeTextFileSync(dir.join("list"), (await run(user, "list", ["--json"])).out);
    const out = new TextDecoder().decode(sh("jq -r .id list", { cwd: dir.path }));
    assert.equal(out.trim(), id);
  },
);

judged(
  "backup --recipient and --passphrase-file encrypt to something else, and make no key",
  ["age-keygen"],
  async () => {
    using dir = scratch();
    const user = newUser(dir);
    sh("age-keygen -o key 2>/dev/null && age-keygen -y key > recipient", { cwd: dir.path });
    const recipient = Deno.readTextFileSync(dir.join("recipient")).trim();
    const keyed = await run(user, "backup", ["my docs", "--name", "keyed", "--recipient", recipient]);
    assert.equal(keyed.code, 0, keyed.err);
    assert.equal(
      (await run(user, "verify", ["--name", "keyed", "--level", "full", "--identity", dir.join("key")])).code,
      0,
    );

    Deno.writeTextFileSync(dir.join("work", "pass"), "correct horse\nsecond line\n");
    const words = await run(user, "backup", ["my docs", "--name", "words", "--passphrase-file", "pass"]);
    assert.equal(words.code, 0, words.err);
    const back = await run(
      user,
      "restore",
      ["--name", "words", "--into", "out", "--passphrase-file", "-"],
      "correct horse\n",
    );
    assert.equal(back.code, 0, back.err);
    const wrong = await run(
      user,
      "restore",
      ["--name", "words", "--into", "no", "--passphrase-file", "-"],
      "wrong\n",
    );
    assert.equal(wrong.code, 4, wrong.err);
    assert.ok(!wrong.err.includes("wrong\n") && !back.err.includes("horse"));
    const silent = await run(user, "restore", ["--name", "words", "--into", "no"]);
    assert.equal(silent.code, 4);
    assert.match(silent.err, /encrypted with a passphrase\. Pass --passphrase-file/);
    assert.throws(() => Deno.statSync(dir.join("home", ".config", "holdfast")), Deno.errors.NotFound);
  },
);

Deno.test("a checksum that the receipt states must be there; one it does not state is not asked for", async () => {
  using dir = scratch();
  const user = newUser(dir);
  const id = (await run(user, "backup", ["my docs"])).out.trim();
  Deno.removeSync(dir.join("work", "backups", `${id}.sha256`));
  const { code, err } = await run(user, "verify", []);
  assert.equal(code, 5, err);
  assert.match(err, /sha256/);
  const toml =
    `[plan.bare]\ncollect = { files = ["my docs"] }\nencrypt = "plaintext"\nsign = []\nupload = { to = "bare" }\n`;
  Deno.writeTextFileSync(dir.join("work", "backup.toml"), toml);
  assert.equal((await run(user, "backup", [])).code, 0);
  assert.equal((await run(user, "verify", ["--from", "bare"])).code, 0);
});

Deno.test("--identity with a file that holds none is exit code 4, and its content is not shown", async () => {
  using dir = scratch();
  const user = newUser(dir);
  assert.equal((await run(user, "backup", ["my docs"])).code, 0);
  Deno.writeTextFileSync(dir.join("work", "wrong.txt"), "s3cret but no key\n");
  const { code, err } = await run(user, "restore", ["--into", "out", "--identity", "wrong.txt"]);
  assert.equal(code, 4);
  assert.match(
    err,
    /Cannot use the identity "\S+wrong\.txt": it holds no line that starts with AGE-SECRET-KEY-/,
  );
  assert.ok(!err.includes("s3cret"));
});

Deno.test("names in a store and an archive cannot drive the terminal", async () => {
  using dir = scratch();
  const user = newUser(dir);
  Deno.writeTextFileSync(dir.join("work", "my docs", "\x1b[2Jevil\nname"), "x");
  const id = (await run(user, "backup", ["my docs"])).out.trim();
  const { out, err } = await run(user, "restore", [id, "--into", "out", "--dry-run"]);
  assert.match(out, /create {2}my docs\/\\u\{1b\}\[2Jevil\\nname\n/);
  const missing = await run(user, "cat", [id, "\x1b[31mx"]);
  // deno-lint-ignore no-control-regex -- what must not be there
  assert.ok(!/\x1b/.test(out + err + missing.out + missing.err), missing.err);
});

Deno.test("backup --dry-run counts, names the store, and writes nothing", async () => {
  using dir = scratch();
  const user = newUser(dir);
  const { code, out, err } = await run(user, "backup", [
    "my docs",
    "--dry-run",
    "--recipient",
    "age1nonsense",
  ]);
  assert.equal(code, 2, out + err);
  const good = await run(user, "backup", ["my docs", "--dry-run", "--passphrase"]);
  assert.equal(good.code, 0, good.err);
  assert.match(
    good.out,
    /^my-docs: 9 entries, 98\.\d KiB -> tar \| zstd \| age \| sha256 \| upload -> \/.*\/work\/backups\n$/,
  );
  assert.throws(() => Deno.statSync(dir.join("work", "backups")), Deno.errors.NotFound);
});
