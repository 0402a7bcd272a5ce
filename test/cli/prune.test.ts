/** The list that a dry run shows is the list that --confirm removes. */
import { strict as assert } from "node:assert";
import { scratch } from "../support.ts";
import { lines, run } from "./support.ts";

Deno.test("prune says what each removal frees, and removes what was shown or nothing", async () => {
  using dir = scratch();
  const user = { home: dir.join("home"), cwd: dir.path };
  for (const folder of ["home", "src"]) Deno.mkdirSync(dir.join(folder));
  Deno.writeTextFileSync(dir.join("src/file"), "x".repeat(10_000));
  const backup = async (): Promise<void> => {
    const { code, err } = await run(user, "backup", ["src", "--name", "app", "--to", "store"]);
    assert.equal(code, 0, err);
  };
  const prune = (...args: string[]): ReturnType<typeof run> =>
    run(user, "prune", ["--from", "store", "--name", "app", "--keep-last", "1", ...args]);
  await backup();
  await backup();

  const shown = await prune();
  assert.equal(shown.code, 0, shown.err);
  assert.match(shown.out, /^keep +app_\S+ +\d+\.\d KiB +last 1 of 1, newest$/m);
  assert.match(shown.out, /^remove +app_\S+ +\d+\.\d KiB +no rule keeps it$/m);
  const digest = /--confirm removes 1 of 2, \d+\.\d KiB: exactly .* --expect ([0-9a-f]{16}) /.exec(
    shown.err,
  )![1]!;
  const objects = lines((await prune("--json")).out);
  assert.deepEqual(objects.map(({ keep, removed, list }) => [keep, removed, list]), [
    [true, false, digest],
    [false, false, digest],
  ]);
  assert.ok(objects[1].bytes > 0);

  await backup();
  const before = [...Deno.readDirSync(dir.join("store"))].length;
  const refused = await prune("--confirm", "--expect", digest);
  assert.equal(refused.code, 1);
  assert.match(
    refused.err,
    /Cannot prune "app": .*\(2 of 3 now\), is no longer what the dry run "\w+" showed/,
  );
  assert.equal([...Deno.readDirSync(dir.join("store"))].length, before);

  const mistyped = await prune("--confirm", "--expect", "WRONG");
  assert.equal(mistyped.code, 2);
  assert.match(mistyped.err, /Cannot use --expect "WRONG": it is no digest of a list\. Copy the 16 digits/);

  // Without a digest, what a dry run showed a moment ago binds as well.
  const unbound = await prune("--confirm");
  assert.equal(unbound.code, 1);
  assert.match(unbound.err, /is no longer what the dry run "\w+" showed/);
  assert.equal([...Deno.readDirSync(dir.join("store"))].length, before);

  const again = lines((await prune("--json")).out)[0].list;
  const done = await prune("--confirm", "--expect", again);
  assert.equal(done.code, 0, done.err);
  assert.match(done.err, /Removed 2 of 3, \d+\.\d KiB/);

  // What was shown has been dealt with: a timer's --confirm plans for itself.
  await backup();
  const timer = await prune("--confirm");
  assert.equal(timer.code, 0, timer.err);
  assert.match(timer.err, /Removed 1 of 2, /);
});
