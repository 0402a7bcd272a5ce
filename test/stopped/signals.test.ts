/** The command line around a stopped service: signals, `kill -9`, and systemd through a stand-in for its `systemctl`. */
import { strict as assert } from "node:assert";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { bareEnv, ended, ROOT, run, start, type User } from "../cli/support.ts";
import { type Daemon, daemon, until } from "./support.ts";

/** Answers what the stage asks of systemctl, for one unit that the daemon's control program stands for. */
const SYSTEMCTL = (ctl: string): string =>
  `#!/bin/bash
unit="\${@: -1}"
echo "$*" >> "$(dirname "$0")/asked"
case $1 in
  show)
    [ "$unit" = counter.service ] || { echo LoadState=not-found; echo ActiveState=inactive; exit 0; }
    echo LoadState=loaded
    if '${ctl}' running; then echo ActiveState=active; else echo ActiveState=inactive; fi ;;
  start|stop) [ "$unit" = counter.service ] && exec '${ctl}' "$1" ;;
esac
`;

/** A user with a TypeScript plan around a source that never ends, or ends at once. */
function userOf(it: Daemon, unit: string, source: string): User {
  const bin = it.dir.join("bin");
  mkdirSync(bin);
  writeFileSync(`${bin}/systemctl`, SYSTEMCTL(it.ctl), { mode: 0o755 });
  writeFileSync(
    it.dir.join("plan.ts"),
    `import { archive, collect, encrypt, pipeline, store, upload } from "${ROOT}/mod.ts";
export const counter = pipeline(collect.stopped({ unit: "${unit}" }, ${source}))
  .pipe(archive.tar())
  .pipe(encrypt.plaintext())
  .pipe(upload({ name: "counter", to: store.directory("${it.dir.join("store")}") }));
`,
  );
  const user = { home: it.dir.join("home"), cwd: it.dir.path };
  mkdirSync(user.home);
  return { ...user, env: { PATH: `${bin}:${bareEnv(user).PATH}` } };
}

/** Ends when nobody reads it any more, so that nothing of it outlives a run that is killed. */
const ENDLESS = `collect.command(["bash", "-c", "while echo x; do sleep 0.1; done"], { path: "dump" })`;
const ARGS = ["--config", "plan.ts"];

function notes(user: User): readonly string[] {
  const folder = `${user.home}/.local/state/holdfast/stopped`;
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : [];
}

Deno.test("stopped: a systemd unit is stopped and started, through a stand-in for systemctl", async () => {
  using it = await daemon();
  const user = userOf(it, "counter.service", `collect.files({ data: "${it.data}" })`);
  const { code, err } = await run(user, "backup", ARGS);
  assert.equal(code, 0, err);
  assert.match(err, /"counter.service" runs again; it was down for/);
  assert.deepEqual(it.diary(), ["start", "stop", "start"]);
  assert.match(readFileSync(it.dir.join("bin/asked"), "utf8"), /^stop -- counter\.service$/m);
  assert.ok(it.runs());
});

Deno.test("stopped: a unit that starts on what was restored, and ends at once, has it taken back", async () => {
  using it = await daemon();
  const user = userOf(it, "counter.service", `collect.files({ data: "${it.data}" })`);
  writeFileSync(`${it.data}/bad`, "");
  assert.equal((await run(user, "backup", ARGS)).code, 0);
  Deno.removeSync(`${it.data}/bad`);
  const ctl = readFileSync(it.ctl, "utf8");
  writeFileSync(it.ctl, ctl.replace("while :; do", "while [ $n -lt 5 ] || [ ! -e data/bad ]; do"));
  const { code, err } = await run(user, "restore", [
    "latest",
    "--in-place",
    "--conflict",
    "overwrite",
    ...ARGS,
  ]);
  assert.equal(code, 1, err);
  assert.match(err, /"counter.service" does not run: it started, and ended/);
  assert.ok(!existsSync(`${it.data}/bad`) && it.runs());
  assert.deepEqual(notes(user), []);
});

Deno.test("stopped: a unit that ends right after its start is down: nothing is stored, and the note stays", async () => {
  using it = await daemon();
  const user = userOf(it, "counter.service", `collect.files({ data: "${it.data}" })`);
  const ctl = readFileSync(it.ctl, "utf8");
  writeFileSync(it.ctl, ctl.replace("while :; do", "while [ $n -lt 5 ]; do"));
  const { code, err } = await run(user, "backup", ARGS);
  assert.equal(code, 1, err);
  assert.match(err, /"counter.service" IS DOWN: .* it started, and ended within 2 s\. See its log, then: /);
  assert.ok(!existsSync(it.dir.join("store")) || readdirSync(it.dir.join("store")).length === 0);
  assert.equal(notes(user).length, 1);
});

Deno.test("stopped: a unit that systemd does not have is refused", async () => {
  using it = await daemon();
  const user = userOf(it, "other.service", `collect.files({ data: "${it.data}" })`);
  const { code, err } = await run(user, "backup", ARGS);
  assert.equal(code, 1);
  assert.match(err, /systemd does not have it \(LoadState=not-found\).*Nothing was stopped/);
  assert.deepEqual(it.diary(), ["start"]);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`stopped: ${signal} while the service is down: it runs when the task has ended, with 130`, async () => {
    using it = await daemon();
    const user = userOf(it, "counter.service", ENDLESS);
    const child = start(user, "backup", ARGS);
    await until("the service is down", () => it.diary().includes("stop") && !it.runs());
    child.kill(signal);
    const { code, err } = await ended(child);
    assert.equal(code, 130, err);
    assert.ok(it.runs());
    assert.deepEqual(notes(user), []);
  });
}

Deno.test("stopped: after kill -9 any next command starts the service; one that cannot says so each time", async () => {
  using it = await daemon();
  const user = userOf(it, "counter.service", ENDLESS);
  const child = start(user, "backup", ARGS);
  await until("the service is down", () => it.diary().includes("stop") && !it.runs());
  child.kill("SIGKILL");
  await child.output();
  assert.equal(it.runs(), false);
  assert.equal(notes(user).length, 1);

  it.refuse("start");
  const refused = await run(user, "list", ARGS);
  assert.match(
    refused.err,
    /Warning \(service\): "counter.service" IS DOWN.*systemctl start counter\.service/,
  );
  assert.equal(notes(user).length, 1);

  it.refuse("start", false);
  const { err } = await run(user, "list", ARGS);
  assert.match(err, /"counter.service" runs: a run that died had stopped it/);
  assert.ok(it.runs());
  assert.deepEqual(notes(user), []);
});

Deno.test("stopped: a note that others can write is not believed: it names programs", async () => {
  using it = await daemon();
  const user = userOf(it, "counter.service", ENDLESS);
  const folder = `${user.home}/.local/state/holdfast/stopped`;
  mkdirSync(folder, { recursive: true });
  const touch = ["touch", it.dir.join("pwned")];
  const note = { name: "x", stoppedAt: "2026-11-20T03:00:00Z", pid: 1, spec: { stop: touch, start: touch } };
  writeFileSync(`${folder}/x.json`, JSON.stringify(note), { mode: 0o666 });
  Deno.chmodSync(`${folder}/x.json`, 0o666);
  const { err } = await run(user, "list", ARGS);
  assert.match(err, /Cannot trust.*others can write it/);
  assert.equal(existsSync(it.dir.join("pwned")), false);
});

Deno.test("examples/stopped.ts stops and starts a service around its backup", async () => {
  using it = await daemon();
  for (const verb of ["stop", "start"]) {
    writeFileSync(it.dir.join(verb), `#!/bin/sh\nexec '${it.ctl}' ${verb}\n`, { mode: 0o755 });
  }
  const user: User = { home: it.dir.path, cwd: ROOT };
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "examples/stopped.ts", it.data, it.dir.join("store")]
      .concat(it.dir.join("stop"), it.dir.join("start")),
    cwd: ROOT,
    clearEnv: true,
    env: bareEnv(user),
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.match(new TextDecoder().decode(stdout), /stopped: true/);
  assert.deepEqual(it.diary(), ["start", "stop", "start"]);
  assert.ok(it.runs());
});
