/** `[plan.NAME.stopped]`: a service that stands still, by a configuration. */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { bareEnv, ROOT, run, runPrinted, type User } from "../cli/support.ts";
import { judged, scratch } from "../support.ts";
import { counters, type Daemon, daemon } from "./support.ts";

/** A user with a plan over the daemon's data, its configuration in the daemon's own folder. */
function userOf(it: Pick<Daemon, "dir">, stopped: string, more = ""): User {
  mkdirSync(it.dir.join("home"), { recursive: true });
  writeFileSync(
    it.dir.join("backup.toml"),
    `[plan.counter]\ncollect = { files = { data = "data" } }\nencrypt = "plaintext"\nupload = { to = "./store" }\n${more}` +
      `[plan.counter.stopped]\n${stopped}\n`,
  );
  return { home: it.dir.join("home"), cwd: it.dir.path };
}

const PROGRAMS =
  `stop = ["./ctl", "stop"]\nstart = ["./ctl", "start"]\nrunning = ["./ctl", "running"]\nname = "counter"`;

Deno.test("stopped: a plan of a configuration stops and starts programs, with the printed permissions alone", async () => {
  using it = await daemon();
  const user = userOf(it, PROGRAMS);
  const described = await run(user, "config", ["--plan", "counter"]);
  assert.match(described.out, /^ {2}stopped +.*stop=\["\.\/ctl","stop"\].*name=counter/m);
  const made = await runPrinted(user, "counter");
  assert.equal(made.code, 0, made.err);
  assert.match(made.err, /"counter" runs again; it was down for/);
  assert.deepEqual(it.diary(), ["start", "stop", "start"]);
  const back = await run(user, "restore", ["latest", "--plan", "counter", "--into", "out"]);
  assert.equal(back.code, 0, back.err);
  const [one, two] = counters(it.dir.join("out/data"));
  assert.equal(one, two);
  assert.deepEqual(
    it.diary(),
    ["start", "stop", "start"],
    "who looks into a backup leaves the service alone",
  );
});

Deno.test("stopped: a service that does not stop, or not start again: clear words, exit code 1, started by the next command", async () => {
  using it = await daemon();
  const user = userOf(it, PROGRAMS);
  const stored = (): readonly string[] =>
    existsSync(it.dir.join("store"))
      ? readdirSync(it.dir.join("store")).filter((name) => !name.startsWith("."))
      : [];
  it.refuse("stop");
  const running = await run(user, "backup", ["--plan", "counter"]);
  assert.equal(running.code, 1, running.err);
  assert.match(
    running.err,
    /Cannot stop "counter": .*ctl stop" ended with exit code 7: I refuse to stop.*Nothing was read/,
  );
  assert.ok(it.runs());
  it.refuse("stop", false);

  it.refuse("start");
  const down = await run(user, "backup", ["--plan", "counter"]);
  assert.equal(down.code, 1, down.err);
  assert.match(down.err, /"counter" IS DOWN: .*I refuse to start.*then: cd \/.* && \.\/ctl start/);
  assert.ok(!it.runs());
  assert.deepEqual(stored(), []);
  it.refuse("start", false);
  const next = await run(user, "list", []);
  assert.match(next.err, /"counter" runs: a run that died had stopped it/);
  assert.ok(it.runs());
});

judged("stopped: before the stop the files are weighed, and none is opened", ["strace"], async () => {
  using dir = scratch();
  for (const name of ["home", "data"]) mkdirSync(dir.join(name));
  writeFileSync(dir.join("data/small"), "x".repeat(1000));
  // Programs that leave nothing running: strace waits for all it follows.
  const user = userOf({ dir }, `stop = ["/bin/true", "stop"]\nstart = ["/bin/true", "start"]`);
  const { code, stderr } = await new Deno.Command("strace", {
    args: [
      ...["-f", "-qq", "-e", "trace=open,openat,execve", "-o", dir.join("trace")],
      ...[Deno.execPath(), "run", "-A", "--no-prompt", `${ROOT}/tasks/backup.ts`, "--plan", "counter"],
    ],
    cwd: user.cwd,
    clearEnv: true,
    env: bareEnv(user),
    stdout: "null",
    stderr: "piped",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  const calls = readFileSync(dir.join("trace"), "utf8").split("\n");
  const opened = calls.flatMap((line, i) => /open(?:at)?\(.*\/small"/.test(line) ? [i] : []);
  assert.equal(opened.length, 1, calls.filter((line) => line.includes("small")).join("\n"));
  const stop = calls.findIndex((line) => line.includes(`["/bin/true", "stop"]`));
  assert.ok(stop >= 0 && stop < opened[0]!);
});

Deno.test("stopped: what strict forbids is found before the stop", async () => {
  using it = await daemon();
  execFileSync("sh", ["-c", `touch "$(printf 'odd\\377')"`], { cwd: it.data });
  const user = userOf(it, PROGRAMS);
  const config = it.dir.join("backup.toml");
  writeFileSync(
    config,
    readFileSync(config, "utf8").replace(
      `data = "data" }`,
      `data = "data" }, strict = true, metadata = "basic"`,
    ),
  );
  const refused = await run(user, "backup", ["--plan", "counter"]);
  assert.equal(refused.code, 1, refused.err);
  assert.match(refused.err, /because "strict" is set/);
  assert.deepEqual(it.diary(), ["start"]);
});

Deno.test("stopped: a configuration that does not say how is refused by line and key", async () => {
  using it = await daemon();
  const how = /line \d+, plan\.counter\.stopped: must say how the service is stopped/;
  for (
    const [words, expected] of [
      [`stop = ["./ctl", "stop"]`, how],
      [`unit = "a.service"\nstart = ["./ctl", "start"]`, how],
      [`user = true\n${PROGRAMS}`, how],
      [`unit = "-a"`, /plan\.counter\.stopped: .*must be a systemd unit/],
      [`unit = "a.service"\nstopTimeoutMs = 0`, /plan\.counter\.stopped: .*use milliseconds above 0/],
      [`units = "a.service"`, /plan\.counter\.stopped.*unit/],
    ] as const
  ) {
    const refused = await run(userOf(it, words), "backup", ["--plan", "counter"]);
    assert.equal(refused.code, 2, refused.err);
    assert.match(refused.err, expected);
  }
  assert.deepEqual(it.diary(), ["start"]);
});
