/** `deno task health` as monitoring runs it: lines, JSON, exit codes. */
import { strict as assert } from "node:assert";
import { lines, run } from "../cli/support.ts";
import { recipient, treeScratch } from "../engine/support.ts";
import { scratch } from "../support.ts";

Deno.test("health: one line a finding, JSON, and an exit code for each grade", async (t) => {
  using dir = treeScratch();
  using home = scratch();
  const user = { home: home.path, cwd: dir.path };
  const config = (health: string, to = '"store"'): void =>
    Deno.writeTextFileSync(
      dir.join("backup.toml"),
      `[plan.app]
collect = { files = ["src"] }
encrypt = { age = { recipients = ["${recipient}"] } }
upload = { to = [${to}] }
health = { ${health} }
`,
    );
  await t.step("none yet", async () => {
    config("");
    const unmounted = await run(user, "health", ["--quiet"]);
    assert.deepEqual([unmounted.code, unmounted.out.slice(0, 26)], [1, "app  problem unreachable: "]);
    Deno.mkdirSync(dir.join("store"));
    const { code, out } = await run(user, "health", ["--quiet"]);
    assert.equal(code, 5);
    assert.match(
      out,
      /^app {2}problem missing: There is no complete backup of "app" in \S+store\. Read what .*\n$/,
    );
  });
  const made = await run(user, "backup", ["--quiet"]);
  assert.equal(made.code, 0, made.err);
  const id = made.out.trim();
  await t.step("healthy", async () => {
    const { code, out, err } = await run(user, "health", []);
    assert.deepEqual([code, out], [0, out], err);
    assert.match(out, /^app {2}healthy: "app_\S+" is \d+ s old, no drill yet\n$/);
    const { out: json } = await run(user, "health", ["--json"]);
    const [result] = lines(json);
    assert.deepEqual([result.plan, result.status, result.exitCode, result.newest.id], [
      "app",
      "healthy",
      0,
      id,
    ]);
  });
  await t.step("a warning", async () => {
    const made = Date.parse(id.slice(4, 24).replace(/T(\d\d)-(\d\d)-/, "T$1:$2:"));
    while (Date.now() - made < 2100) await new Promise((resolve) => setTimeout(resolve, 50));
    config('maxKeyAge = "1s"');
    const { code, out, err } = await run(user, "health", ["--json"]);
    assert.equal(code, 3, err);
    assert.deepEqual(lines(out)[0].findings.map(({ code }: { code: string }) => code), ["key"]);
  });
  await t.step("a problem, from the command line's limit", async () => {
    const { code, out } = await run(user, "health", ["--max-age", "1s", "--max-key-age", "off"]);
    assert.equal(code, 5);
    assert.match(
      out,
      /^app {2}problem old: The newest backup .* the limit is 1 s\. Read what the last run said/,
    );
    const direct = await run(user, "health", [
      "--from",
      "store",
      "--name",
      "app",
      "--max-age",
      "1s",
      "--quiet",
    ]);
    assert.equal(direct.code, 5, direct.err);
  });
  await t.step("a store that cannot be looked at", async () => {
    config("", '"store", "s3://nowhere/x?endpoint=http://127.0.0.1:1&region=us-east-1"');
    const env = { AWS_ACCESS_KEY_ID: "x", AWS_SECRET_ACCESS_KEY: "y" };
    const { code, out } = await run({ ...user, env }, "health", ["--json"]);
    assert.equal(code, 1, out);
    assert.deepEqual(lines(out)[0].findings.map(({ code }: { code: string }) => code), ["unreachable"]);
  });
  await t.step("wrong limits", async () => {
    config('maxAge = "26"');
    const { code, err } = await run(user, "health", []);
    assert.equal(code, 2);
    assert.match(
      err,
      /line 5, plan\.app\.health: Cannot use maxAge = "26": write a span such as "90s", "30min", "26h"/,
    );
    const given = await run(user, "health", ["--from", "store", "--size-share", "lots"]);
    assert.deepEqual([given.code, /sizeShare = NaN/.test(given.err)], [2, true], given.err);
  });
});
