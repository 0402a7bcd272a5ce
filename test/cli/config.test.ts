/** The command line with a configuration: plans, hooks, modules, narrow permissions. */
import { strict as assert } from "node:assert";
import { existsSync } from "node:fs";
import { generateIdentity } from "../../src/encrypt/mod.ts";
import { scratch, sh } from "../support.ts";
import { bareEnv, lines, makeTree, run, type User } from "./support.ts";

const { identity, recipient } = await generateIdentity();

type Dir = ReturnType<typeof scratch>;

/** A user whose configuration lies in one folder and who stands in another. */
function newUser(dir: Dir, toml: string): User {
  for (const name of ["home", "etc", "elsewhere"]) Deno.mkdirSync(dir.join(name));
  makeTree(dir.join("etc", "data"));
  Deno.writeTextFileSync(dir.join("etc", "app.key"), identity, { mode: 0o600 });
  Deno.writeTextFileSync(dir.join("etc", "backup.toml"), toml);
  return { home: dir.join("home"), cwd: dir.join("elsewhere") };
}

const AGE = `encrypt = { age = { recipients = ["${recipient}"], identityFile = "app.key" } }`;

const TWO = `[plan.good]
collect = { files = ["data"] }
${AGE}
upload = { to = "./store" }
[plan.bad]
collect = { files = ["nowhere"] }
encrypt = "plaintext"
upload = { to = "./store" }
[plan.last]
collect = { group = { files = { files = ["data"] }, db = { command = ["sh", "-c", "cat data/a/b/letter.txt"], path = "db.sql" } } }
compress = "gzip"
encrypt = "plaintext"
upload = { to = "./store" }
`;

Deno.test("paths in a configuration mean its folder, wherever the caller stands", async () => {
  using dir = scratch();
  const user = newUser(dir, TWO);
  const { code, out, err } = await run(user, "backup", ["--config", "../etc/backup.toml", "--plan", "good"]);
  assert.equal(code, 0, err);
  assert.ok(existsSync(dir.join("etc", "store", out.trim())));
  const restored = await run(user, "restore", [
    "--config",
    "../etc/backup.toml",
    "--plan",
    "good",
    "--into",
    "here",
  ]);
  assert.equal(restored.code, 0, restored.err);
  sh("diff -r --no-dereference etc/data elsewhere/here/data", { cwd: dir.path });
  const iam = await run(user, "config", ["--config", "../etc/backup.toml", "--plan", "good", "--iam"]);
  assert.deepEqual([iam.code, iam.out], [0, ""]);
  assert.match(iam.err, /^"good" has no bucket \(s3:\) among its targets\n$/);
});

Deno.test("backup.toml of the caller's folder counts without --config, unless a PATH is named", async () => {
  using dir = scratch();
  const user = { ...newUser(dir, TWO), cwd: dir.join("etc") };
  const several = await run(user, "backup", []);
  assert.equal(several.code, 2);
  assert.match(several.err, /holds 3\. Pass --plan NAME: good, bad, last/);
  const direct = await run(user, "backup", ["data", "--quiet", "--recipient", recipient]);
  assert.equal(direct.code, 0, direct.err);
  assert.ok(existsSync(dir.join("etc", "backups", direct.out.trim())));
  const typo = await run(user, "backup", ["--plan", "goood"]);
  assert.match(typo.err, /Did you mean "good"\?/);
  const all = lines((await run(user, "config", ["--json"])).out);
  assert.deepEqual(all.map(({ plan }) => plan), ["good", "bad", "last"]);
});

Deno.test("--all: a plan that fails does not stop the next, and the gravest exit code is the run's", async () => {
  using dir = scratch();
  const user = newUser(dir, TWO);
  const { code, out, err } = await run(user, "backup", ["--config", "../etc/backup.toml", "--all", "--json"]);
  assert.equal(code, 1, err);
  const results = lines(out);
  assert.deepEqual(results.map(({ plan, status, exitCode }) => [plan, status, exitCode]), [
    ["good", "complete", 0],
    ["bad", "failed", 1],
    ["last", "complete", 0],
  ]);
  assert.match(results[1].error, /does not exist/);
  assert.match(err, /Error: bad: .*nowhere/);
  const last = await run(user, "cat", [
    "latest",
    "db/db.sql",
    "--config",
    "../etc/backup.toml",
    "--plan",
    "last",
  ]);
  assert.deepEqual([last.code, last.out], [0, "Dear reader\n"]);
  const listed = lines((await run(user, "list", ["--config", "../etc/backup.toml", "--json"])).out);
  assert.deepEqual(listed.map(({ plan }) => plan), ["good", "last"]);
});

Deno.test("a plan that cannot be made does not stop the others either", async () => {
  using dir = scratch();
  const user = newUser(
    dir,
    TWO.replace('encrypt = "plaintext"', 'encrypt = { age = { recipients = ["age1bad"] } }'),
  );
  const { code, out, err } = await run(user, "backup", ["--config", "../etc/backup.toml", "--all"]);
  assert.equal(code, 2, err);
  assert.match(err, /line 7, plan\.bad\.encrypt: Cannot encrypt with age: recipient 1/);
  assert.equal(out.trim().split("\n").length, 2);
});

Deno.test("one of several stores failing is exit code 3, all of them 1", async () => {
  using dir = scratch();
  const toml = TWO.replace('to = "./store"', 'to = ["./store", "./no/such/parent"]');
  const user = newUser(dir, toml);
  const one = await run(user, "backup", ["--config", "../etc/backup.toml", "--plan", "good", "--json"]);
  assert.equal(one.code, 3, one.err);
  const [result] = lines(one.out);
  assert.equal(result.status, "warnings");
  assert.deepEqual(result.stores.map(({ error }: { error?: string }) => error === undefined), [true, false]);
  Deno.writeTextFileSync(dir.join("etc", "backup.toml"), toml.replace('"./store", ', '"./other/parent", '));
  const all = await run(user, "backup", ["--config", "../etc/backup.toml", "--plan", "good"]);
  assert.equal(all.code, 1, all.err);
});

/** Hooks that write down what they were told. */
function hooks(more = ""): string {
  const tell = (kind: string) =>
    `${kind} = ["sh", "-c", "echo ${kind} $HOLDFAST_PLAN $HOLDFAST_OUTCOME \${HOLDFAST_ID:+id} >> told; echo heard"]`;
  return `${TWO}[plan.good.hooks]\n${["before", "after", "failed", "finally"].map(tell).join("\n")}\n`
    .replaceAll("PLACE", more);
}

Deno.test("hooks run around a backup, in the configuration's folder, and print to standard error", async () => {
  using dir = scratch();
  const user = newUser(dir, hooks());
  const args = ["--config", "../etc/backup.toml", "--plan", "good"];
  const { code, out, err } = await run(user, "backup", args);
  assert.equal(code, 0, err);
  assert.match(out, /^good_\S+\n$/);
  assert.equal(err.match(/^heard$/gm)?.length, 3);
  const told = () => Deno.readTextFileSync(dir.join("etc", "told")).trim().split("\n");
  assert.deepEqual(
    told(),
    ["before good running ", "after good complete id", "finally good complete id"].map((line) =>
      line.trimEnd()
    ),
  );

  Deno.removeSync(dir.join("etc", "told"));
  Deno.renameSync(dir.join("etc", "data"), dir.join("etc", "away"));
  assert.equal((await run(user, "backup", args)).code, 1);
  assert.deepEqual(told(), ["before good running", "failed good failed", "finally good failed"]);
});

Deno.test("a before hook that fails fails the run; an after hook that fails is a warning", async () => {
  using dir = scratch();
  const user = newUser(
    dir,
    `${TWO}[plan.good.hooks]\nbefore = ["sh", "-c", "exit 7"]\nfinally = ["touch", "done"]\n`,
  );
  const args = ["--config", "../etc/backup.toml", "--plan", "good"];
  const before = await run(user, "backup", args);
  assert.equal(before.code, 1);
  assert.match(before.err, /The before hook "sh" ended with exit code 7/);
  assert.ok(existsSync(dir.join("etc", "done")) && !existsSync(dir.join("etc", "store")));
  Deno.writeTextFileSync(
    dir.join("etc", "backup.toml"),
    `${TWO}[plan.good.hooks]\nafter = ["no-such-program"]\n`,
  );
  const after = await run(user, "backup", args);
  assert.equal(after.code, 3);
  assert.match(after.err, /Warning \(hook\): The after hook "no-such-program" does not start/);
  assert.ok(existsSync(dir.join("etc", "store", after.out.trim())));
});

const MODULE =
  `import { archive, collect, compress, encrypt, pipeline, prune, sign, store, upload } from "@holdfast/backup";
export const nightly = pipeline(collect.files("data"))
  .pipe(archive.tar()).pipe(compress.zstd()).pipe(encrypt.plaintext()).pipe(sign.sha256())
  .pipe(upload({ name: "ts", to: store.directory("store") }))
  .pipe(prune({ keepLast: 1 }));
export const other = 3;
`;

Deno.test("a TypeScript plan runs by its export's name, its paths meaning its folder", async () => {
  using dir = scratch();
  const user = newUser(dir, "");
  Deno.writeTextFileSync(dir.join("etc", "plan.ts"), MODULE);
  const { code, out, err } = await run(user, "backup", ["--config", "../etc/plan.ts"]);
  assert.equal(code, 0, err);
  assert.ok(existsSync(dir.join("etc", "store", out.trim())));
  const shown = await run(user, "config", ["--config", "../etc/plan.ts"]);
  assert.match(
    shown.out,
    /\[plan\.nightly\].*\n.*name +ts\n +stages +files \| tar \| zstd \| plaintext \| sha256 \| upload \| prune/,
  );
  Deno.writeTextFileSync(dir.join("etc", "broken.ts"), "export const x = ;");
  Deno.writeTextFileSync(dir.join("etc", "none.ts"), "export const x = 1;");
  const broken = await run(user, "backup", ["--config", "../etc/broken.ts"]);
  assert.deepEqual(
    [broken.code, /Cannot load the plan "\S+broken\.ts"/.test(broken.err)],
    [2, true],
    broken.err,
  );
  const none = await run(user, "backup", ["--config", "../etc/none.ts"]);
  assert.deepEqual([none.code, /it exports no pipeline/.test(none.err)], [2, true], none.err);
});

/** Runs a printed command line in a shell, as this user and in this folder. */
async function shell(user: User, line: string): Promise<{ code: number; err: string; out: string }> {
  const path = `${Deno.execPath().replace(/\/[^/]+$/, "")}:/usr/bin:/bin`;
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", line],
    cwd: user.cwd,
    clearEnv: true,
    env: { ...bareEnv(user), PATH: path },
    stdin: "null",
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

Deno.test("config --permissions prints a line that runs the plan and can do no more", async () => {
  using dir = scratch();
  const whoever = newUser(dir, hooks());
  Deno.mkdirSync(dir.join("etc", "o'dd folder"));
  const toml = Deno.readTextFileSync(dir.join("etc", "backup.toml")).replaceAll(
    '"./store"',
    `"./o'dd folder/store"`,
  );
  Deno.writeTextFileSync(dir.join("etc", "backup.toml"), toml);
  Deno.mkdirSync(dir.join("tmp"));
  // A program's output passes through the folder for temporary files.
  const user = { ...whoever, env: { TMPDIR: dir.join("tmp") } };
  for (const plan of ["good", "last"]) {
    const printed = await run(user, "config", [
      "--config",
      "../etc/backup.toml",
      "--plan",
      plan,
      "--permissions",
    ]);
    assert.equal(printed.code, 0, printed.err);
    const line = printed.out.trim();
    assert.match(line, /^deno run --no-prompt '?--allow-read=/);
    assert.ok(!/--allow-all| -A\b|--allow-(?:read|write|run|env|sys)[ ']/.test(line), line);
    // What reads backups is not among what writes them.
    assert.ok(!line.includes("app.key"), line);
    for (let i = 0; i < 2; i++) {
      const { code, out, err } = await shell(user, line);
      assert.equal(code, 0, `${line}\n${err}`);
      assert.match(out, /^(?:good|last)_\S+\n$/);
      if (i === 0) await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    // cron may not know the state folder that the shell did.
    const elsewhere = await shell({ ...user, env: { ...user.env, XDG_STATE_HOME: dir.join("cron") } }, line);
    assert.equal(elsewhere.code, 0, elsewhere.err);
    assert.match(elsewhere.err, /Cannot look into \S+cron\S+: .*Print it anew/);
    const missing = await shell(user, line.replace(dir.join("etc", "data"), "/etc/passwd"));
    assert.notEqual(missing.code, 0);
  }
});

Deno.test("config --permissions refuses what Deno's flags cannot say", async () => {
  using dir = scratch();
  const user = newUser(dir, TWO.replaceAll("./store", "./a,b"));
  const { code, out, err } = await run(user, "config", [
    "--config",
    "../etc/backup.toml",
    "--plan",
    "good",
    "--permissions",
  ]);
  assert.deepEqual([code, out], [2, ""]);
  assert.match(err, /no way to write the comma in "\S+etc\/a,b"/);
});

Deno.test("config --permissions prints the line of a TypeScript plan from what a dry run uses", async () => {
  using dir = scratch();
  const user = newUser(dir, "");
  Deno.writeTextFileSync(dir.join("etc", "plan.ts"), MODULE);
  const printed = await run(user, "config", ["--config", "../etc/plan.ts", "--permissions"]);
  assert.equal(printed.code, 0, printed.err);
  assert.ok(!existsSync(dir.join("etc", "store")), "the dry run wrote");
  const line = printed.out.trim();
  assert.ok(!line.includes(dir.join("elsewhere")) && line.includes(dir.join("etc", "data")), line);
  const { code, out, err } = await shell(user, line);
  assert.equal(code, 0, `${line}\n${err}`);
  assert.ok(existsSync(dir.join("etc", "store", out.trim())));
});

Deno.test("a secret in a program's environment is not shown by config", async () => {
  using dir = scratch();
  const toml =
    `[plan.app]\ncollect = { command = ["dump"], path = "x", env = { PGPASSWORD = "hunter2" } }\n${AGE}\nupload = { to = "./store" }\n`;
  const user = newUser(dir, toml);
  for (const args of [[], ["--json"]]) {
    const { code, out } = await run(user, "config", ["--config", "../etc/backup.toml", ...args]);
    assert.equal(code, 0);
    assert.ok(out.includes("PGPASSWORD") && !out.includes("hunter2"), out);
  }
});
