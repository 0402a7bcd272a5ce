/** `deno task copy` and `deno task sync --check`, as an operator runs them. */
import assert from "node:assert/strict";
import { readdirSync, renameSync, truncateSync } from "node:fs";
import { treeScratch } from "../engine/support.ts";
import { run } from "./support.ts";

Deno.test("copy brings a target up to date that was away, and sync --check says when all agree", async () => {
  using dir = treeScratch();
  const user = { home: dir.path, cwd: dir.path };
  await Deno.writeTextFile(
    dir.join("backup.toml"),
    '[plan.app]\ncollect = { files = ["src"] }\nencrypt = "plaintext"\nupload = { to = ["a", "b"] }\n',
  );
  const first = await run(user, "backup", []);
  assert.equal(first.code, 0, first.err);
  renameSync(dir.join("b"), dir.join("away"));
  await Deno.writeTextFile(dir.join("b"), "no folder");
  const alone = await run(user, "backup", ["--wait"]);
  assert.equal(alone.code, 3, alone.err);
  Deno.removeSync(dir.join("b"));
  renameSync(dir.join("away"), dir.join("b"));
  const id = alone.out.trim().split(/\s/)[0]!;

  const behind = await run(user, "sync", ["--check"]);
  assert.deepEqual([behind.code, behind.out.trim()], [3, `missing  ${id}  ${dir.join("b")}`], behind.err);
  const listed = readdirSync(dir.join("b"));
  const dry = await run(user, "copy", ["--dry-run", "--json"]);
  assert.equal(dry.code, 0, dry.err);
  const { bytes, ...step } = JSON.parse(dry.out);
  assert.deepEqual(step, { plan: "app", id, from: dir.join("a"), to: dir.join("b"), copied: false });
  assert.ok(bytes > 0);
  assert.deepEqual(readdirSync(dir.join("b")), listed);

  const copied = await run(user, "copy", []);
  assert.equal(copied.code, 0, copied.err);
  assert.match(copied.out, new RegExp(`^copied  ${id}  .*/a  .*/b`));
  const again = await run(user, "copy", []);
  assert.deepEqual([again.code, again.out], [0, ""]);
  assert.match(again.err, /No target lacks a backup/);
  const agreed = await run(user, "sync", ["--check", "--json"]);
  assert.deepEqual([agreed.code, agreed.out], [0, ""], agreed.err);
  assert.equal((await run(user, "verify", ["--level", "full", "--from", "b", "--name", "app"])).code, 0);

  // A target that is dead is named, and the others are compared.
  const three = ["--check", "--from", "b", "--from", "gone", "--from", "a"];
  const dead = await run(user, "sync", three);
  assert.deepEqual([dead.code, dead.out.split("\n").length], [1, 2], dead.err);
  assert.match(dead.out, /^unreachable +- +.*\/gone +\S/);
  assert.match(dead.err, /The others agree: 2 backups; 1 target could not be looked at/);
  Deno.renameSync(dir.join("a", `${id}.receipt.json`), dir.join("receipt"));
  const worse = await run(user, "sync", [...three, "--json"]);
  assert.equal(worse.code, 5, worse.err);
  const rows = worse.out.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(rows.map(({ what, store }) => [what, store]), [
    ["unreachable", dir.join("gone")],
    ["differing", dir.join("a")],
  ]);
  Deno.renameSync(dir.join("receipt"), dir.join("a", `${id}.receipt.json`));

  // Without a configuration, to a disk that is new.
  const moved = await run(user, "copy", ["latest", "--from", "b", "--to", "disk"]);
  assert.equal(moved.code, 0, moved.err);
  const partly = await run(user, "sync", ["--check", "--from", "b", "--from", "disk"]);
  assert.deepEqual([partly.code, partly.out.match(/^missing/gm)?.length], [3, 1], partly.err);
  truncateSync(dir.join("disk", id), 100);
  const damaged = await run(user, "sync", ["--check", "--from", "b", "--from", "disk"]);
  assert.equal(damaged.code, 5, damaged.err);
  assert.match(damaged.out, /differing .* it has 100 bytes, its receipt says/);
  const refused = await run(user, "copy", [id, "--from", "disk", "--to", "other"]);
  assert.deepEqual([refused.code, refused.out], [5, ""], refused.err);
});

Deno.test("copy and sync say what is missing on their command line", async () => {
  using dir = treeScratch();
  const user = { home: dir.path, cwd: dir.path };
  await Deno.writeTextFile(
    dir.join("backup.toml"),
    '[plan.app]\ncollect = { files = ["src"] }\nencrypt = "plaintext"\nupload = { to = "a" }\n',
  );
  const first = await run(user, "backup", []);
  assert.equal(first.code, 0, first.err);
  for (
    const [task, args, says] of [
      ["sync", [], /pass --check .* copy brings/],
      ["sync", ["--check", "--to", "a"], /Cannot use --to: .* Name each with --from/],
      ["sync", ["--check"], /there is only .*\/a\. Name a second store/],
      ["copy", [], /there is only .*\/a\. Name a second store in the plan, or pass one \(--to\)/],
      ["copy", ["--from", "a", "--config", "backup.toml"], /Cannot use --from together/],
    ] as const
  ) {
    const { code, err } = await run(user, task, args);
    assert.equal(code, 2, err);
    assert.match(err, says);
  }
});
