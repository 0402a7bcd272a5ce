/** The tasks tell what the configuration names: one end each, also when they are stopped or crash. */
import { strict as assert } from "node:assert";
import { bareEnv, ended, lines, run, start } from "../cli/support.ts";
import { identity, recipient, treeScratch } from "../engine/support.ts";
import { scratch } from "../support.ts";
import { type Got, receiver } from "./support.ts";

const kinds = (got: readonly Got[]): string[] =>
  got.map(({ body }) => JSON.parse(body)).map(({ task, kind }) => `${task} ${kind}`);

function config(url: string, more: Readonly<Record<string, string>> = {}): string {
  const keys: Record<string, string> = {
    collect: '{ files = ["src"] }',
    encrypt: `{ age = { recipients = ["${recipient}"], identityFile = "key" } }`,
    upload: '{ to = "store" }',
    notify: `[{ webhook = { url = "${url}/hook" } }, { prometheusFile = { folder = "metrics" } }]`,
    ...more,
  };
  return `[plan.app]\n${Object.entries(keys).map(([key, value]) => `${key} = ${value}`).join("\n")}\n`;
}

Deno.test("backup, drill and verify tell their start and their end, health what is news", async () => {
  await using hub = receiver();
  using dir = treeScratch();
  using home = scratch();
  const user = { home: home.path, cwd: dir.path };
  Deno.writeTextFileSync(dir.join("key"), `${identity}\n`);
  Deno.writeTextFileSync(dir.join("backup.toml"), config(hub.url));
  for (
    const [task, args, code] of [
      ["backup", [], 0],
      ["drill", [], 0],
      ["verify", [], 0],
      ["health", [], 0],
      ["health", [], 0],
      ["health", ["--max-age", "1s"], 5],
      ["health", ["--max-age", "1s"], 5],
      ["health", [], 0],
      ["backup", ["--dry-run"], 0],
    ] as const
  ) {
    const made = await run(user, task, ["--quiet", ...args]);
    assert.equal(made.code, code, made.err);
  }
  assert.deepEqual(kinds(hub.got), [
    "backup start",
    "backup success",
    "drill start",
    "drill success",
    "verify start",
    "verify success",
    // From a timer: only what is news.
    "health success",
    "health failure",
    "health success",
  ]);
  const metrics = [...Deno.readDirSync(dir.join("metrics"))].map(({ name }) => name).sort();
  assert.deepEqual(
    metrics,
    ["backup", "drill", "health", "verify"].map((task) => `holdfast_app_${task}.prom`),
  );
});

Deno.test("health tells again what has not reached everybody, what is still wrong a day later, and everything where it is asked to", async () => {
  await using hub = receiver();
  using dir = treeScratch();
  using home = scratch();
  const user = { home: home.path, cwd: dir.path };
  Deno.mkdirSync(dir.join("store"));
  const check = async (notify: string, code: number): Promise<string[]> => {
    Deno.writeTextFileSync(dir.join("backup.toml"), config(hub.url, { notify: `[${notify}]` }));
    const before = hub.got.length;
    const made = await run(user, "health", ["--quiet"]);
    assert.equal(made.code, code, made.err);
    return kinds(hub.got).slice(before);
  };
  const webhook = `{ webhook = { url = "${hub.url}/hook", on = ["failure"] } }`;
  const away = '{ webhook = { url = "http://127.0.0.1:1/", timeoutMs = 100 } }';
  assert.deepEqual(await check(`${webhook}, ${away}`, 5), ["health failure"]);
  assert.deepEqual(await check(webhook, 5), ["health failure"]);
  assert.deepEqual(await check(webhook, 5), []);
  const always = `{ webhook = { url = "${hub.url}/hook", repeat = true } }`;
  assert.deepEqual(await check(`${webhook}, ${always}`, 5), ["health start", "health failure"]);
  const state = `${home.path}/.local/state/holdfast`;
  const [file] = [...Deno.readDirSync(state)].filter(({ name }) => name.startsWith("told"));
  const { said, at } = JSON.parse(Deno.readTextFileSync(`${state}/${file!.name}`));
  Deno.writeTextFileSync(`${state}/${file!.name}`, JSON.stringify({ said, at: at - 25 * 3_600_000 }));
  assert.deepEqual(await check(webhook, 5), ["health failure"]);
  assert.deepEqual(await check(webhook, 5), []);
});

Deno.test("a failing hook, a failing source and a notifier that is away: one end, and the right exit code", async () => {
  await using hub = receiver();
  using dir = treeScratch();
  using home = scratch();
  const user = { home: home.path, cwd: dir.path };
  const secret = "s3cr3t-value";
  Deno.writeTextFileSync(
    dir.join("backup.toml"),
    config(hub.url, {
      collect:
        `{ command = ["sh", "-c", "echo cannot log in with $PW >&2; exit 7"], path = "x", env = { PW = "${secret}" } }`,
    }),
  );
  const failed = await run(user, "backup", ["--quiet"]);
  assert.equal(failed.code, 1, failed.err);
  assert.deepEqual(kinds(hub.got), ["backup start", "backup failure"]);
  assert.ok(!JSON.stringify(hub.got.map(({ body }) => body)).includes(secret));
  Deno.writeTextFileSync(dir.join("backup.toml"), config(hub.url, { hooks: '{ before = ["false"] }' }));
  assert.equal((await run(user, "backup", ["--quiet"])).code, 1);
  assert.deepEqual(kinds(hub.got).slice(2), ["backup start", "backup failure"]);
  Deno.writeTextFileSync(dir.join("backup.toml"), config("http://127.0.0.1:1"));
  const away = await run(user, "backup", ["--quiet", "--json"]);
  assert.equal(away.code, 3, away.err);
  assert.match(
    away.err,
    /Warning \(notify\): Cannot tell of the success by webhook \(http:\/\/127\.0\.0\.1:1\): .* The run itself is not/,
  );
  assert.deepEqual(lines(away.out)[0].warnings, {});
});

Deno.test("SIGTERM and SIGINT end a run with one failure, and nothing is left behind", async () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    await using hub = receiver(() => (resolve(), new Response()));
    using dir = treeScratch();
    using home = scratch();
    const wait = '{ command = ["sh", "-c", "echo begun; exec sleep 60"], path = "x" }';
    Deno.writeTextFileSync(dir.join("backup.toml"), config(hub.url, { collect: wait }));
    const child = start({ home: home.path, cwd: dir.path }, "backup", ["--quiet"]);
    await begun;
    child.kill(signal);
    const { code, err } = await ended(child);
    assert.equal(code, 130, err);
    assert.deepEqual(kinds(hub.got), ["backup start", "backup failure"], signal);
    const left = [...Deno.readDirSync(dir.path)].some(({ name }) => name === "store")
      ? [...Deno.readDirSync(dir.join("store"))].map(({ name }) => name)
      : [];
    assert.deepEqual(left, []);
  }
});

Deno.test("a crash where nobody listens is a failure as well, and told once", async () => {
  await using hub = receiver();
  using dir = treeScratch();
  using home = scratch();
  const root = new URL("../../", import.meta.url).href;
  Deno.writeTextFileSync(
    dir.join("plan.ts"),
    `import { archive, collect, encrypt, monitor, notify, pipeline, upload } from "${root}mod.ts";
const crash = {
  name: "crash",
  verb: "collect" as const,
  run: () => {
    setTimeout(() => { throw new Error("out of the blue"); }, 0);
    return new Promise<never>(() => { setTimeout(() => {}, 60_000); });
  },
  undo: () => Promise.resolve(),
};
export const app = monitor(
  pipeline(crash).pipe(archive.tar()).pipe(encrypt.plaintext()).pipe(upload({ name: "app", to: "${
      dir.join("store")
    }" as never })),
  { notify: [notify.webhook({ url: "${hub.url}/hook" })] },
);
`.replace(
      '"' + dir.join("store") + '" as never',
      `(await import("${root}mod.ts")).store.directory("${dir.join("store")}")`,
    ),
  );
  const { code, err } = await run({ home: home.path, cwd: dir.path }, "backup", [
    "--config",
    "plan.ts",
    "--quiet",
  ]);
  assert.equal(code, 1, err);
  assert.match(err, /out of the blue/);
  assert.deepEqual(kinds(hub.got), ["backup start", "backup failure"]);
  assert.match(hub.got[1]!.body, /out of the blue/);
});

Deno.test("config --permissions names what notifiers need, and the printed line tells of its run", async () => {
  await using hub = receiver();
  using dir = treeScratch();
  using home = scratch();
  const user = { home: home.path, cwd: dir.path };
  Deno.writeTextFileSync(dir.join("hc.url"), `${hub.url}/ping/secret\n`);
  const email =
    `server = "smtps://127.0.0.1:1", from = "a@example.com", to = ["b@example.com"], on = ["success"]`;
  Deno.writeTextFileSync(
    dir.join("backup.toml"),
    config(hub.url, {
      notify:
        `[{ healthchecks = { urlFile = "hc.url" } }, { prometheusFile = { folder = "metrics" } }, { email = { ${email} } }]`,
    }),
  );
  const { code, out, err } = await run(user, "config", ["--permissions"]);
  assert.equal(code, 0, err);
  assert.ok(
    out.includes(`--allow-net=127.0.0.1:1,${hub.url.slice("http://".length)}`) && !out.includes("secret"),
    out,
  );
  const made = await new Deno.Command("sh", {
    args: ["-c", out.trim().replace(/^deno /, `'${Deno.execPath()}' `)],
    cwd: dir.path,
    clearEnv: true,
    env: bareEnv(user),
    stdin: "null",
  }).output();
  const said = new TextDecoder().decode(made.stderr);
  assert.equal(made.code, 3, said); // nobody listens for mail there
  assert.match(said, /by email \(smtps:\/\/127\.0\.0\.1:1\): .*ECONNREFUSED/);
  assert.deepEqual(hub.got.map(({ path }) => path), ["/ping/secret/start", "/ping/secret"]);
  assert.ok(Deno.statSync(dir.join("metrics", "holdfast_app_backup.prom")).isFile);
});

Deno.test("notify in a configuration: mistakes are named, secrets refused", async () => {
  using dir = treeScratch();
  using home = scratch();
  const user = { home: home.path, cwd: dir.path };
  for (
    const [text, message] of [
      [
        '[{ ntfy = { url = "https://ntfy.sh/a", token = "tk_1" } }]',
        /app\.notify\[0\]\.ntfy\.token: a secret must not stand in a configuration\. .*tokenFile = "FILE"/,
      ],
      ["[{ ntfy = {} }]", /app\.notify\[0\]: ntfy needs one of url and urlFile/],
      ["[{ mail = {} }]", /app\.notify\[0\].*Did you mean "email"|is no notify tool|unknown key/],
      [
        '[{ webhook = { url = "https://x/", template = "{{plan}}" } }]',
        /app\.notify\[0\]: Cannot notify by webhook: the template is not JSON/,
      ],
      [
        '[{ email = { server = "smtps://x", from = "a@b", to = ["c@d"], on = ["never"] } }]',
        /"on" knows no "never"/,
      ],
      ['"ntfy"', /app\.notify: must be a list, such as/],
    ] as const
  ) {
    Deno.writeTextFileSync(dir.join("backup.toml"), config("http://127.0.0.1:1", { notify: text }));
    const { code, err } = await run(user, "config", []);
    assert.equal(code, 2, text);
    assert.match(err, message);
  }
});
