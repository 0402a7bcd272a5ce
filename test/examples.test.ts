/** Every example runs, as a user would run it; one of them from another project's folder. */
import { strict as assert } from "node:assert";
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { fileURLToPath } from "node:url";
import { makeTree } from "./engine/support.ts";
import { linkServer } from "./events/support.ts";
import { judged, scratch, sh } from "./support.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

async function run(cwd: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", ...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

Deno.test("every example is at most 40 lines, and a test runs it", () => {
  const tests = globSync("test/**/*.test.ts", { cwd: root }).map((file) => readFileSync(root + file, "utf8"))
    .join();
  for (const name of readdirSync(`${root}examples`)) {
    const lines = readFileSync(`${root}examples/${name}`, "utf8").trimEnd().split("\n").length;
    assert.ok(lines <= 40, `${name} has ${lines} lines`);
    assert.ok(tests.includes(name), `no test names ${name}`);
  }
});

Deno.test("examples/first_backup.ts backs up and restores", async () => {
  using dir = scratch();
  makeTree(dir.join("src"));
  const { code, err } = await run(
    root,
    "examples/first_backup.ts",
    dir.join("src"),
    dir.join("store"),
    dir.join("out"),
  );
  assert.equal(code, 0, err);
  sh(`diff -r --no-dereference '${dir.join("src")}' '${dir.join("out")}/src'`);
});

Deno.test("examples/own_stage.ts leaves out what is large, and the warning is counted", async () => {
  using dir = scratch();
  makeTree(dir.join("src"));
  writeFileSync(dir.join("src/huge"), new Uint8Array(1_000_001));
  const { code, out, err } = await run(root, "examples/own_stage.ts", dir.join("src"), dir.join("store"));
  assert.equal(code, 0, err);
  assert.match(out, /warnings.*large: 1/);
  const listing = new TextDecoder().decode(sh(`tar -tf '${dir.join("store")}'/*.tar`));
  assert.ok(!listing.includes("huge") && listing.includes("readme.md"), listing);
});

Deno.test("examples/many_targets.ts stores in each, and exits 3 when one fails", async () => {
  using dir = scratch();
  makeTree(dir.join("src"));
  const [a, b] = [dir.join("a"), dir.join("b")];
  assert.equal((await run(root, "examples/many_targets.ts", dir.join("src"), a, b)).code, 0);
  sh(`cd '${a}' && sha256sum -c *.sha256 && cd '${b}' && sha256sum -c *.sha256`);
  const { code, out } = await run(
    root,
    "examples/many_targets.ts",
    dir.join("src"),
    dir.join("c"),
    dir.join("no/such"),
  );
  assert.equal(code, 3);
  assert.match(out, /no\/such FAILED/);
});

judged("examples/rclone_store.ts backs up to a remote of rclone and restores", ["rclone"], async () => {
  using dir = scratch();
  makeTree(dir.join("src"));
  mkdirSync(dir.join("remote"));
  const args = ["examples/rclone_store.ts", dir.join("src"), `:local:${dir.join("remote")}`, dir.join("out")];
  const { code, err } = await run(root, ...args);
  assert.equal(code, 0, err);
  sh(
    `diff -r --no-dereference '${dir.join("src")}' '${dir.join("out")}/src' && cd '${
      dir.join("remote")
    }' && sha256sum -c *.sha256`,
  );
});

Deno.test("examples/embedding.ts runs from another project, linked as the README shows", async () => {
  using dir = scratch();
  makeTree(dir.join("src"));
  mkdirSync(dir.join("yours"));
  const readme = readFileSync(`${root}README.md`, "utf8");
  const config = /```json\n(\{[^`]*"links"[^`]*\})\n```/.exec(readme)![1]!.replace("../holdfast", root);
  writeFileSync(dir.join("yours/deno.json"), config);
  copyFileSync(`${root}examples/embedding.ts`, dir.join("yours/main.ts"));
  const { code, out, err } = await run(dir.join("yours"), "main.ts", dir.join("src"), dir.join("store"));
  assert.equal(code, 0, err);
  assert.match(out, /^embedded_.*\.tar\.zst$/m);
  assert.match(err, /upload: \d+ bytes/);
  assert.ok(existsSync(dir.join("store", out.trim())));
});

Deno.test("examples/simulate_faults.ts finds nothing lost, and touches no store", async () => {
  const { code, out, err } = await run(root, "examples/simulate_faults.ts", "4", "7");
  assert.equal(code, 0, err + out);
  assert.match(out, /^Nothing was lost\.$/m);
  assert.ok(!existsSync(`${root}backups`));
});

Deno.test("the cron example is one well-formed line for each job", () => {
  const lines = readFileSync(`${root}examples/holdfast.cron`, "utf8").split("\n");
  const jobs = lines.filter((line) => line && !line.startsWith("#") && !/^[A-Z]+=/.test(line));
  assert.equal(jobs.length, 1);
  assert.match(
    jobs[0]!,
    /^\d+ \d+ \* \* \* root \/usr\/local\/bin\/deno task --quiet --config \/\S+\/deno.json backup /,
  );
  assert.ok(!/[^\\]%/.test(jobs[0]!), "cron turns % into a line feed");
});

Deno.test("examples/link_api.ts stores what a paginated API has, with the token in a header only", async () => {
  using dir = scratch();
  const issue = (n: number): string => `{"id":${n},"updated_at":"2026-01-0${n}T00:00:00Z"}`;
  await using server = linkServer(() => [issue(3), issue(1), issue(2), issue(4)]);
  const { code, out, err } = await run(root, "examples/link_api.ts", `${server.url}/log`, dir.join("store"));
  assert.equal(code, 0, err);
  assert.match(out, /^issues_.*\.tar\.zst 4 events$/m);
  const text = new TextDecoder().decode(sh(`zstd -d -c '${dir.join("store")}'/*.zst | tar -x -O`));
  assert.equal(text, [1, 2, 3, 4].map((n) => issue(n) + "\n").join(""));
});

judged("systemd accepts the example units", ["systemd-analyze"], () => {
  using dir = scratch();
  const units = ["holdfast.service", "holdfast.timer", "sqlite_follow.service", "prose.service"];
  for (const unit of units) {
    const text = readFileSync(`${root}examples/${unit}`, "utf8").replace(
      "/usr/local/bin/deno",
      Deno.execPath(),
    );
    writeFileSync(dir.join(unit), text);
    // "strict" makes /tmp read-only too, where spools and drills begin.
    if (text.includes("ProtectSystem=strict")) assert.match(text, /^ReadWritePaths=.* \/tmp$/m, unit);
  }
  sh(`systemd-analyze verify --man=no ${units.map((unit) => `'${dir.join(unit)}'`).join(" ")} 2>&1`);
});
