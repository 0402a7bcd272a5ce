/** The tasks through `deno task` itself, a terminal, signals and shells. */
import { strict as assert } from "node:assert";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { generateIdentity } from "../../src/encrypt/mod.ts";
import { judged, scratch, sh } from "../support.ts";
import { bareEnv, ended, lines, makeTree, ROOT, run, start, type User } from "./support.ts";

const { recipient } = await generateIdentity();
const DENO_FOLDER = dirname(Deno.execPath());

/** `env -i` and nothing but what cron gives. */
function bare(user: User, line: string): { code: number; out: string; err: string } {
  const env = { ...bareEnv(user), PATH: `${DENO_FOLDER}:/usr/bin:/bin` };
  const result = new Deno.Command("sh", {
    args: ["-c", line],
    cwd: user.cwd,
    clearEnv: true,
    env,
    stdin: "null",
  }).outputSync();
  const decoder = new TextDecoder();
  return { code: result.code, out: decoder.decode(result.stdout), err: decoder.decode(result.stderr) };
}

Deno.test("deno task: relative paths mean the caller's folder, from a second folder and from a nested task", () => {
  using dir = scratch();
  for (const name of ["home", "work"]) Deno.mkdirSync(dir.join(name));
  makeTree(dir.join("work", "docs"));
  const user = { home: dir.join("home"), cwd: dir.join("work") };
  const task = `deno task --config ${ROOT}/deno.json`;
  const { code, out, err } = bare(user, `${task} backup docs`);
  assert.equal(code, 0, err);
  assert.ok(existsSync(dir.join("work", "backups", out.trim())), err);
  // `deno task` shows its command line: no secret may ever be part of it.
  assert.match(err, /Task.*backup.*'docs'/);
  assert.equal(
    bare({ ...user, cwd: dir.join("work", "docs") }, `${task} -q list -- --from ../backups --quiet`).code,
    0,
  );
  // A task that starts another hands its INIT_CWD on.
  Deno.writeTextFileSync(
    dir.join("work", "deno.json"),
    JSON.stringify({ tasks: { outer: `${task} -q verify` } }),
  );
  const nested = bare(user, "deno task -q outer");
  assert.equal(nested.code, 0, nested.err);
});

Deno.test("deno run from anywhere works as in a crontab", () => {
  using dir = scratch();
  Deno.mkdirSync(dir.join("data"));
  const toml =
    `[plan.app]\ncollect = { files = ["data"] }\nencrypt = { age = { recipients = ["${recipient}"] } }\nupload = { to = "store" }\n`;
  Deno.writeTextFileSync(dir.join("backup.toml"), toml);
  const line = `deno run -A --no-prompt ${ROOT}/tasks/backup.ts --config ${dir.join("backup.toml")}`;
  // INIT_CWD left behind by something else means nothing here.
  const { code, out, err } = bare({ home: dir.path, cwd: "/", env: { INIT_CWD: "/usr" } }, line);
  assert.equal(code, 0, err);
  assert.ok(existsSync(dir.join("store", out.trim())));
});

Deno.test("without HOME a backup to a recipient works, and forgets", () => {
  using dir = scratch();
  Deno.mkdirSync(dir.join("data"));
  const env = `PATH=${DENO_FOLDER}:/usr/bin:/bin DENO_DIR=${bareEnv({ home: "", cwd: "" })["DENO_DIR"]}`;
  const line = `env -i ${env} deno run -A --no-prompt ${ROOT}/tasks/backup.ts data`;
  const keyed = bare({ home: dir.path, cwd: dir.path }, `${line} --recipient ${recipient}`);
  assert.equal(keyed.code, 0, keyed.err);
  assert.match(keyed.err, /Cannot remember this run/);
  const unkeyed = bare({ home: dir.path, cwd: dir.path }, line);
  assert.equal(unkeyed.code, 2);
  assert.match(unkeyed.err, /HOME is not set\. Set HOME, or pass --recipient/);
});

/** A plan whose source goes on for a while. */
function slowPlan(dir: ReturnType<typeof scratch>, script: string, more = ""): User {
  const argv = JSON.stringify(["sh", "-c", script]);
  const toml =
    `[plan.slow]\ncollect = { command = ${argv}, path = "out" }\nencrypt = "plaintext"\nupload = { to = "store" }\n${more}`;
  Deno.writeTextFileSync(dir.join("backup.toml"), toml);
  return { home: dir.path, cwd: dir.path };
}

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !what(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(what(), "it never happened");
}

/** What a cancelled run leaves in its store: nothing but the explanation of how to restore, at most. */
function leftIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
    !/RESTORE\.txt$|\.lease$/.test(name)
  );
}

for (
  const [name, signals] of [["SIGINT twice, as deno task passes it on,", ["SIGINT", "SIGINT"]], ["SIGTERM", [
    "SIGTERM",
  ]]] as const
) {
  Deno.test(`backup: ${name} cancels, cleans up and exits with 130`, async () => {
    using dir = scratch();
    // The hook is still running when the second signal comes.
    const hook = JSON.stringify(["sh", "-c", "trap '' INT; sleep 0.6; touch told"]);
    const user = slowPlan(dir, "touch started; exec sleep 30", `[plan.slow.hooks]\nfailed = ${hook}\n`);
    const child = start(user, "backup", []);
    await until(() => existsSync(dir.join("started")));
    const began = performance.now();
    for (const signal of signals) {
      child.kill(signal);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const { code, out, err } = await ended(child);
    assert.equal(code, 130, err);
    assert.equal(out, "");
    assert.match(err, /Cancelled\. Nothing was left behind/);
    assert.ok(performance.now() - began < 10_000);
    assert.deepEqual(leftIn(dir.join("store")), []);
    assert.ok(existsSync(dir.join("told")), "the failed hook did not run");
  });
}

Deno.test("backup: a SIGINT more than two seconds after the first stops at once", async () => {
  using dir = scratch();
  // The hook ignores being asked to end, so the first Ctrl-C alone takes until it has ended.
  const hook = JSON.stringify(["sh", "-c", "trap '' TERM INT; touch started; sleep 6"]);
  const user = slowPlan(dir, "echo x", `[plan.slow.hooks]\nbefore = ${hook}\n`);
  const child = start(user, "backup", []);
  await until(() => existsSync(dir.join("started")));
  const began = performance.now();
  child.kill("SIGINT");
  await new Promise((resolve) => setTimeout(resolve, 500));
  child.kill("SIGINT");
  await new Promise((resolve) => setTimeout(resolve, 1700));
  child.kill("SIGINT");
  const { code } = await child.status;
  assert.equal(code, 130);
  const ms = performance.now() - began;
  assert.ok(ms > 2000 && ms < 5000, `${ms} ms`);
  await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
});

Deno.test("backup: a second run of the same name exits with 6 naming the first, or waits", async () => {
  using dir = scratch();
  const user = slowPlan(dir, "touch started; sleep 2; echo x");
  const first = start(user, "backup", []);
  await until(() => existsSync(dir.join("started")));
  const busy = await run(user, "backup", []);
  assert.equal(busy.code, 6, busy.err);
  assert.match(busy.err, /"slow".*pid \d+.*--wait/);
  const [one, two] = await Promise.all([ended(first), run(user, "backup", ["--wait"])]);
  assert.deepEqual([one.code, two.code], [0, 0], one.err + two.err);
  assert.notEqual(one.out, two.out);
});

Deno.test("backup: what cannot be stored is exit code 3, named on standard error and counted", async () => {
  using dir = scratch();
  sh(`mkdir data && mkfifo data/pipe && echo x > "data/$(printf 'b\\377d')" && echo y > data/good`, {
    cwd: dir.path,
  });
  const user = { home: dir.path, cwd: dir.path };
  const { code, out, err } = await run(user, "backup", ["data", "--json", "--recipient", recipient]);
  assert.equal(code, 3, err);
  const [result] = lines(out);
  assert.deepEqual([result.status, result.exitCode, result.warnings], ["warnings", 3, { special: 1 }]);
  // The name that is not UTF-8 is stored: tasks may use the C library.
  assert.equal(result.entries, 3);
  assert.match(err, /Warning \(special\): /);
  const listed = lines((await run(user, "list", ["--json"])).out);
  assert.deepEqual(listed[0].warnings, { special: 1 });
});

Deno.test("any command takes back what a killed restore left", async () => {
  using dir = scratch();
  sh("mkdir data && head -c 60000000 /dev/urandom > data/noise", { cwd: dir.path });
  const user = { home: dir.path, cwd: dir.path };
  assert.equal((await run(user, "backup", ["data"])).code, 0);
  const child = start(user, "restore", ["--into", "out"]);
  const left = () => [...Deno.readDirSync(dir.path)].filter(({ name }) => /^\.out\./.test(name));
  const known = () =>
    [...Deno.readDirSync(dir.join(".local/state/holdfast"))].some(({ name }) => /^restores-\d+$/.test(name));
  while (!known()) await new Promise((resolve) => setTimeout(resolve, 2));
  child.kill("SIGKILL");
  await ended(child);
  assert.equal(left().length, 1);
  assert.equal((await run(user, "list", [])).code, 0);
  assert.deepEqual(left(), []);
  assert.ok(!existsSync(dir.join("out")));
});

/** A terminal of its own, and what is on its screen. */
function terminal(
  user: User,
  line: string,
): { screen: () => string; keys: (...keys: string[]) => void } & Disposable {
  const socket = `${user.home}/tmux`;
  const tmux = (args: readonly string[]): string => {
    const { stdout } = new Deno.Command("tmux", { args: ["-S", socket, ...args] }).outputSync();
    return new TextDecoder().decode(stdout);
  };
  const env = Object.entries({
    ...bareEnv(user),
    PATH: `${DENO_FOLDER}:/usr/bin:/bin`,
    TERM: "xterm-256color",
  });
  const words = env.map(([key, value]) => `${key}='${value}'`).join(" ");
  Deno.writeTextFileSync(
    `${user.home}/line.sh`,
    `trap : INT\ncd '${user.cwd}'\nenv -i ${words} ${line}\necho "exit=$?" >exit\nsleep 5\n`,
  );
  tmux(["-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", `sh '${user.home}/line.sh'`]);
  return {
    screen: () => tmux(["capture-pane", "-p", "-S", "-"]),
    keys: (...keys) => void tmux(["send-keys", ...keys]),
    [Symbol.dispose]: () => void tmux(["kill-server"]),
  };
}

judged(
  "backup --passphrase asks unseen, twice, and the file opens with what was typed",
  ["tmux"],
  async () => {
    using dir = scratch();
    for (const name of ["home", "work"]) Deno.mkdirSync(dir.join(name));
    makeTree(dir.join("work", "docs"));
    const user = { home: dir.join("home"), cwd: dir.join("work") };
    using pane = terminal(user, `deno task --config ${ROOT}/deno.json backup docs --passphrase >id`);
    await until(() => pane.screen().includes("Passphrase"));
    pane.keys("hunter two", "Enter");
    await until(() => pane.screen().includes("The same again"));
    pane.keys("hunter three", "Enter");
    await until(() => pane.screen().includes("The two are not the same"));
    pane.keys("hunter two", "Enter");
    await until(() => pane.screen().split("The same again").length === 3);
    pane.keys("hunter two", "Enter");
    await until(() => existsSync(dir.join("work", "exit")));
    assert.equal(Deno.readTextFileSync(dir.join("work", "exit")), "exit=0\n", pane.screen());
    assert.ok(!pane.screen().includes("hunter"), "the passphrase was shown");
    // Results only: the prompt went to the terminal through standard error.
    const id = Deno.readTextFileSync(dir.join("work", "id")).trim();
    assert.match(id, /^docs_\S+\.tar\.zst\.age$/);
    const back = await run(user, "restore", [id, "--into", "out", "--passphrase-file", "-"], "hunter two\n");
    assert.equal(back.code, 0, back.err);
  },
);

judged("Ctrl-C in a terminal reaches the task twice and still cleans up", ["tmux"], async () => {
  using dir = scratch();
  Deno.mkdirSync(dir.join("home"));
  const user = { ...slowPlan(dir, "touch started; exec sleep 30"), home: dir.join("home") };
  using pane = terminal(user, `deno task --config ${ROOT}/deno.json backup`);
  await until(() => existsSync(dir.join("started")));
  pane.keys("C-c");
  await until(() => /Cancelled\. Nothing was left behind/.test(pane.screen()));
  await until(() => existsSync(dir.join("exit")));
  assert.equal(Deno.readTextFileSync(dir.join("exit")), "exit=130\n");
  assert.deepEqual(leftIn(dir.join("store")), []);
});

judged("the progress bar is drawn on a terminal and wiped off at the end", ["tmux", "script"], async () => {
  using dir = scratch();
  for (const name of ["home", "work"]) Deno.mkdirSync(dir.join(name));
  const user = { home: dir.join("home"), cwd: dir.join("work") };
  sh("mkdir big && head -c 40000000 /dev/urandom > big/noise", { cwd: user.cwd });
  const piped = await run(user, "backup", ["big", "--recipient", recipient]);
  assert.ok(!piped.err.includes("\r"), "a bar without a terminal");
  using _pane = terminal(
    user,
    `script -qec 'deno task --config ${ROOT}/deno.json backup big --name again --recipient ${recipient}' seen`,
  );
  const file = dir.join("work", "seen");
  await until(() => existsSync(file) && Deno.readTextFileSync(file).includes("Script done"));
  const seen = Deno.readTextFileSync(file).replaceAll("\r\x1b[K", "<wipe>");
  assert.match(seen, /<wipe>Reading {2}(?:\[[#.]{20}\] {2}\d+% {2})?[\d.]+ (?:B|[KM]iB)/);
  assert.match(seen, /<wipe>again_\S+\r\nStored 2 entries/);
});

judged("completion: the shell function runs tasks and completes their words", ["bash"], () => {
  using dir = scratch();
  Deno.mkdirSync(dir.join("folder"));
  Deno.writeTextFileSync(
    dir.join("try.sh"),
    `source <(deno task -q --config ${ROOT}/deno.json completion bash)
try() { COMP_WORDS=(holdfast "$@"); COMP_CWORD=$#; COMP_LINE="\${COMP_WORDS[*]}"; COMP_POINT=\${#COMP_LINE}; _holdfast; echo "$* -> \${COMPREPLY[*]}"; }
try res
try prune --keep-w
try verify --level f
try backup fo
holdfast keygen --out key >/dev/null 2>&1; ls key
`,
  );
  const { out, err } = bare({ home: dir.path, cwd: dir.path }, "bash try.sh");
  assert.equal(
    out,
    "res -> restore\nprune --keep-w -> --keep-weekly --keep-within\nverify --level f -> full\nbackup fo -> folder/\nkey\n",
    err,
  );
});
