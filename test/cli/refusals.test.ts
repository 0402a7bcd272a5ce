/** What a command line asks for that must not be half done: refused with a sentence and the right exit code. */
import { strict as assert } from "node:assert";
import { scratch } from "../support.ts";
import { run, type User } from "./support.ts";

type Dir = ReturnType<typeof scratch>;

/** A user who stands beside a folder "data" with one file, and a store that is empty. */
function newUser(dir: Dir): User {
  for (const name of ["home", "work", "work/data", "work/backups"]) Deno.mkdirSync(dir.join(name));
  Deno.writeTextFileSync(dir.join("work", "data", "letter.txt"), "Dear reader\n");
  return { home: dir.join("home"), cwd: dir.join("work") };
}

const PLAN = `[plan.app]
collect = { files = ["data"] }
encrypt = "plaintext"
upload = { to = "./store" }
`;

Deno.test("prune --keep-... with a configuration is refused, and nothing is removed", async () => {
  using dir = scratch();
  const user = newUser(dir);
  const toml = dir.join("work", "backup.toml");
  Deno.writeTextFileSync(toml, PLAN);
  assert.equal((await run(user, "backup", [])).code, 0);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.equal((await run(user, "backup", [])).code, 0);
  Deno.writeTextFileSync(toml, `${PLAN}prune = { keepLast = 1 }\n`);
  const stored = (): string[] =>
    [...Deno.readDirSync(dir.join("work", "store"))].map(({ name }) => name).sort();
  const before = stored();
  for (
    const args of [["--keep-last", "9"], ["--keep-monthly", "9", "--config", "backup.toml"], [
      "--timezone",
      "UTC",
    ]]
  ) {
    const { code, out, err } = await run(user, "prune", [...args, "--confirm"]);
    assert.deepEqual([code, out], [2, ""], err);
    assert.match(err, /Cannot use --(?:keep-last|keep-monthly|timezone) together with a configuration/);
    assert.match(err, /Change it there, or name the store with --from/);
    assert.deepEqual(stored(), before);
  }
  // What the sentence names works.
  const direct = await run(user, "prune", ["--keep-last", "9", "--from", "store"]);
  assert.equal(direct.code, 0, direct.err);
  Deno.writeTextFileSync(toml, PLAN);
  const none = await run(user, "prune", []);
  assert.equal(none.code, 2);
  assert.match(
    none.err,
    /no retention is set\. Add prune = \{ keepDaily = 14 \} to \[plan\.app\] in "\S+backup\.toml"\n/,
  );
});

const EMPTY: readonly (readonly [task: string, ...args: string[]])[] = [
  ["restore", "--into", "out"],
  ["restore", "latest", "--in-place"],
  ["verify"],
  ["verify", "--level", "full", "--json"],
  ["drill"],
  ["prune", "--keep-last", "1", "--confirm"],
  ["cat", "latest", "data/letter.txt"],
];

Deno.test("a store without a backup is a failure for whoever needs one, and nothing for list", async () => {
  using dir = scratch();
  const user = newUser(dir);
  for (const [task, ...args] of EMPTY) {
    const { code, err } = await run(user, task, args);
    assert.equal(code, 1, `${task} ${err}`);
    assert.ok(err.includes(`Cannot find a backup in ${dir.join("work", "backups")}: there is none. `), err);
  }
  const list = await run(user, "list", []);
  assert.deepEqual([list.code, list.out], [0, ""]);
  assert.match(list.err, /There is no backup yet/);
});

Deno.test("a store in memory is no store for a command, and is not offered", async () => {
  using dir = scratch();
  const user = newUser(dir);
  const said = /Cannot store in "memory:": it is gone when the command ends\. Name a folder/;
  for (const [task, ...args] of [["backup", "data", "--to", "memory:"], ["list", "--from", "Memory:x"]]) {
    const { code, out, err } = await run(user, task!, args);
    assert.deepEqual([code, out], [2, ""], err);
    assert.match(err, said);
  }
  Deno.writeTextFileSync(dir.join("work", "m.toml"), PLAN.replace("./store", "memory:"));
  const config = await run(user, "backup", ["--config", "m.toml"]);
  assert.equal(config.code, 2);
  assert.match(config.err, said);
  const unknown = await run(user, "list", ["--from", "ftp://x"]);
  assert.match(unknown.err, /or one of file:/);
  assert.ok(!unknown.err.includes("memory"), unknown.err);
  assert.throws(() => Deno.statSync(dir.join("home", ".config")), Deno.errors.NotFound);
});

const WRONG: readonly (readonly [name: string, chain: string, said: RegExp])[] = [
  [
    "compresses what is encrypted",
    ".pipe(archive.tar()).pipe(encrypt.plaintext()).pipe(compress.zstd())",
    /Cannot put "zstd" \(compress\) after "plaintext" \(encrypt\): .*The order is collect, archive, compress, encrypt/,
  ],
  [
    "stores what is not encrypted",
    ".pipe(archive.tar()).pipe(compress.zstd())",
    /after compress comes compress or encrypt/,
  ],
  ["has a stage with a wrong option", ".pipe(archive.tar()).pipe(compress.zstd({ level: 99 }))", /99/],
  ["has a store that nobody knows", ".pipe(store.open('ftp://x'))", /Cannot open the store "ftp:/],
];

for (const [name, chain, said] of WRONG) {
  Deno.test(`a TypeScript plan that ${name} is exit code 2, and the file is named`, async () => {
    using dir = scratch();
    const user = newUser(dir);
    Deno.writeTextFileSync(
      dir.join("work", "plan.ts"),
      `import { archive, collect, compress, encrypt, pipeline, store, upload } from "@holdfast/backup";
export const app = pipeline(collect.files("data"))${chain}.pipe(upload({ name: "app", to: store.directory("store") }));
void encrypt;
`,
    );
    const { code, out, err } = await run(user, "backup", ["--config", "plan.ts"]);
    assert.deepEqual([code, out], [2, ""], err);
    assert.match(err, /^Error: Cannot load the plan "\S+\/work\/plan\.ts": /);
    assert.match(err, said);
    assert.ok(!/\n\s+at /.test(err), "a stack is no message");
    assert.throws(() => Deno.lstatSync(dir.join("work", "store")), Deno.errors.NotFound);
  });
}
