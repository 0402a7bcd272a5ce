/** The same on the command line, as a new user meets it. */
import { strict as assert } from "node:assert";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { lines, makeTree, run, runPrinted, type User } from "../cli/support.ts";
import { noise, scratch } from "../support.ts";

/** A user with a tree, standing beside it. */
function user(dir: ReturnType<typeof scratch>): User {
  mkdirSync(dir.join("here"));
  makeTree(dir.join("here/tree"));
  writeFileSync(dir.join("here/tree/noise"), noise(50_000)); // so that the first backup is not outgrown at once
  return { home: dir.join("home"), cwd: dir.join("here") };
}

/** File names hold seconds: two backups in one would have one name. */
async function nextSecond(): Promise<void> {
  const second = Math.floor(Date.now() / 1000);
  while (Math.floor(Date.now() / 1000) === second) await new Promise((resolve) => setTimeout(resolve, 20));
}

Deno.test("backup PATH --since latest stores what has changed, says so, and is restored", async () => {
  using dir = scratch();
  const me = user(dir);
  const first = await run(me, "backup", ["tree", "--since", "latest"]);
  assert.equal(first.code, 0, first.err);
  assert.match(first.err, /A full backup: there is no backup yet/);
  writeFileSync(dir.join("here/tree/new"), "new");
  rmSync(dir.join("here/tree/a"), { recursive: true });
  await nextSecond();
  const second = await run(me, "backup", ["tree", "--since", "latest", "--json"]);
  const [{ builtOn, contentBytes }] = lines(second.out);
  // The new file, and the path that is gone.
  assert.deepEqual([builtOn, contentBytes], [first.out.trim(), 3 + "tree/a\0".length]);
  await nextSecond();
  const third = await run(me, "backup", ["tree", "--since", "latest", "--rehash"]);
  assert.match(third.err, /Stored 1 entry, 0 B, as .*: what has changed since tree_/);
  const listed = lines((await run(me, "list", ["--from", "backups", "--name", "tree", "--json"])).out);
  assert.deepEqual(listed.map(({ increment }) => increment), [undefined, true, true]);
  const restored = await run(me, "restore", ["--from", "backups", "--name", "tree", "--into", "out"]);
  assert.equal(restored.code, 0, restored.err);
  assert.deepEqual(readdirSync(dir.join("here/out/tree")).sort(), [
    "cache",
    "empty",
    "link",
    "new",
    "noise",
    "ünï çødé",
  ]);
});

Deno.test("backup --dry-run of what has changed leaves nothing on this host", async () => {
  using dir = scratch();
  const me = user(dir);
  const { code, out, err } = await run(me, "backup", ["tree", "--since", "latest", "--dry-run"]);
  assert.equal(code, 0, err);
  assert.match(out, /^tree: \d+ entries, /);
  assert.doesNotMatch(err, /full backup/i);
  const left = (readdirSync(dir.join("home"), { recursive: true }) as string[]).filter((name) =>
    /since/.test(name)
  );
  assert.deepEqual(left, []);
});

Deno.test("wrong words about increments are refused with the right ones", async () => {
  using dir = scratch();
  const me = user(dir);
  for (
    const [args, said] of [
      [["tree", "--since", "yesterday"], /"--since|`--since`.*"latest".*"yesterday"/],
      [["tree", "--rehash"], /--rehash is for a backup of what has changed. Pass --since latest too/],
    ] as const
  ) {
    const { code, err } = await run(me, "backup", args);
    assert.equal(code, 2);
    assert.match(err, said);
  }
  assert.ok(!existsSync(dir.join("here/backups")));
});

Deno.test("a plan with since runs with the permissions that are printed for it", async () => {
  using dir = scratch();
  mkdirSync(dir.join("tmp")); // what may be written there says nothing of the folder of copies
  const me = { ...user(dir), env: { TMPDIR: dir.join("tmp") } };
  const collect = 'collect = { files = ["tree"], since = "latest", fullShare = 1000, indexDir = "index" }';
  const rest = 'encrypt = "plaintext"\nupload = { to = "./backups" }\n';
  writeFileSync(dir.join("here/backup.toml"), `[plan.home]\n${collect}\n${rest}`);
  for (const full of [true, false]) {
    const { code, err } = await runPrinted(me, "home");
    assert.equal(code, 0, err);
    assert.equal(/A full backup/.test(err), full, err);
    await nextSecond();
  }
  assert.equal(readdirSync(dir.join("here/index")).length, 2);
});
