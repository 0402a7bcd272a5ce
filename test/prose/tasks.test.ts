/** `deno task prose:backup` and `prose:restore`, from a configuration, as an operator runs them. */
import { strict as assert } from "node:assert";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, runPrinted, start, type User } from "../cli/support.ts";
import { judged, sh } from "../support.ts";
import { apiTar, type Pod, pod, sealing, until } from "./support.ts";

/** A configuration of the pod, with keys in files. */
async function configured(it: Pod, more = ""): Promise<User> {
  const { certificate, secretKey } = await sealing();
  writeFileSync(it.dir.join("cert.asc"), certificate);
  writeFileSync(it.dir.join("key.asc"), secretKey, { mode: 0o600 });
  const ctl = it.dir.join("ctl");
  const { stop, start, running } = { stop: [ctl, "stop"], start: [ctl, "start"], running: [ctl, "running"] };
  const paths = Object.entries(it.paths).map(([part, path]) => `"${part}" = ${JSON.stringify(path)}`).join(
    ", ",
  );
  const words = Object.entries({ stop, start, running }).map(([key, argv]) =>
    `${key} = ${JSON.stringify(argv)}`
  );
  writeFileSync(
    it.dir.join("backup.toml"),
    `[plan.prose]
collect = { prose = { ${words.join(", ")}, journalDir = "journal", paths = { ${paths} } } }
encrypt = { openpgp = { recipientFiles = "cert.asc", secretKeyFile = "key.asc" } }
sign = [{ openpgp = { certificateFile = "cert.asc", secretKeyFile = "key.asc" } }]
upload = { to = "store" }
prune = { keepLast = 3 }
${more}`,
  );
  return { home: it.dir.path, cwd: it.dir.path };
}

judged("prose:backup and prose:restore do what the plan says; wrong input is told before anything stops", [
  "prosody",
], async () => {
  await using it = await pod();
  const user = await configured(it);
  writeFileSync(it.dir.join("api.tar"), apiTar(it.dir));
  const pid = it.pid();
  const refused = async (task: string, args: readonly string[], code: number, err: RegExp): Promise<void> => {
    const ran = await run(user, task, args);
    assert.match(ran.err, err);
    assert.deepEqual([ran.code, ran.out], [code, ""], ran.err);
    assert.equal(it.pid(), pid, "nothing was stopped");
  };
  await refused("prose_backup", ["--pod-api-data", "none.tar"], 1, /none\.tar/);
  await refused("prose_backup", ["--pod-api-data", "backup.toml"], 5, /Cannot (read|use)/);
  await refused("prose_restore", ["../x"], 1, /no name of a backup/);
  await refused("prose_restore", ["prose_2025-12-02T10:46:50Z.tar.zst"], 1, /Cannot (find|list)/);
  await refused("prose_restore", ["--pod-api", "x"], 2, /give a URL/);
  await refused(
    "prose_restore",
    ["--pod-api", "http://127.0.0.1:1", "--pod-api-data", "f"],
    2,
    /choose where/,
  );
  let id = "";
  // backup
  {
    const { code, out, err } = await run(user, "prose_backup", ["--pod-api-data", "api.tar"]);
    assert.equal(code, 0, err);
    assert.match(out, /^prose_\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.tar\.zst\.gpg\n$/);
    id = out.trim();
    assert.notEqual(it.pid(), pid);
    const list = await run(user, "list", []);
    assert.ok(list.out.includes(id), list.out);
    const verified = await run(user, "verify", [id, "--level", "full"]);
    assert.equal(verified.code, 0, verified.err);
  }
  // restore
  {
    writeFileSync(join(it.paths["prose-config"], "stale"), "x");
    await refusedAfter(user, ["latest"], 2, /data of the Pod API/);
    await refusedAfter(user, [id, "--into", "little", "--limit-entries", "3"], 5, /Raise --limit-entries/);
    assert.ok(existsSync(join(it.paths["prose-config"], "stale")));
    const api = ["--pod-api", "http://127.0.0.1:1", "--pod-api-token-file"];
    const running = it.pid();
    await refusedAfter(user, [id, "--pod-api-data", "api.tar"], 1, /"[^"]*api\.tar" exists\. Name another/);
    await refusedAfter(user, [id, "--pod-api-data", "none/x.tar"], 1, /there is no folder/);
    await refusedAfter(user, [id, ...api, "none"], 1, /Cannot read "none"/);
    await refusedAfter(user, [id, "--into", "x", "--pod-api-data", "x.tar"], 2, /with --into/);
    assert.equal(it.pid(), running, "nothing was stopped");
    const { code, out, err } = await run(user, "prose_restore", [id, "--pod-api-data", "back.tar"]);
    assert.equal(code, 0, err);
    assert.equal(out, `${id}\n`);
    assert.ok(it.runs() && !existsSync(join(it.paths["prose-config"], "stale")));
    sh("mkdir got; tar -x -f back.tar -C got; diff -r got api", { cwd: it.dir.path });
    const into = await run(user, "prose_restore", [`store/${id}`, "--into", "given"]);
    assert.equal(into.code, 0, into.err);
    assert.equal(readFileSync(it.dir.join("given/metadata.json"), "utf8"), '{"version":1}');
    const dry = await run(user, "prose_restore", ["--dry-run"]);
    assert.deepEqual([dry.code, /overwrite {2}prosody-data/.test(dry.out)], [0, true], dry.err);
  }
  // without downtime, and with the printed permissions alone
  {
    const before = it.pid();
    const { code, err, out } = await run(user, "prose_backup", ["--no-downtime", "--json"]);
    assert.deepEqual([code, JSON.parse(out).warnings], [3, { inconsistent: 1 }], err);
    assert.equal(it.pid(), before);
    const printed = await runPrinted(user, "prose");
    assert.equal(printed.code, 0, printed.err);
    assert.notEqual(it.pid(), before);
  }
});

async function refusedAfter(user: User, args: readonly string[], code: number, err: RegExp): Promise<void> {
  const ran = await run(user, "prose_restore", args);
  assert.match(ran.err, err);
  assert.equal(ran.code, code, ran.err);
}

judged("prose:serve listens, serves, and waits on SIGTERM for what is under way", ["prosody"], async () => {
  await using it = await pod();
  const user = await configured(it);
  writeFileSync(it.dir.join("token"), "0123456789abcdef-token\n");
  const wrong: readonly [readonly string[], RegExp][] = [
    [["--token-file", "none"], /none/],
    [["--token-file", "backup.toml"], /at least 16 characters/],
    [["--token-file", "token", "--listen", "nowhere"], /HOST:PORT/],
    [["--token-file", "token", "--pod-api", "nowhere"], /give a URL/],
    [[], /--token-file/],
  ];
  for (const [args, expected] of wrong) {
    const ran = await run(user, "prose_serve", args);
    assert.match(ran.err, expected);
    assert.equal(ran.code, 2, ran.err);
  }
  const child = start(user, "prose_serve", ["--token-file", "token", "--listen", "127.0.0.1:0"]);
  const out = child.stdout.getReader();
  const url = new TextDecoder().decode((await out.read()).value).trim();
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
  const headers = { authorization: "Bearer 0123456789abcdef-token", "content-type": "application/x-tar" };
  const before = it.pid();
  const asked = fetch(`${url}/lifecycle/backup`, { method: "POST", headers, body: apiTar(it.dir) });
  await until("the backup has begun", () => it.pid() !== before || existsSync(it.dir.join("store")));
  child.kill("SIGTERM");
  const answer = await asked;
  assert.deepEqual([answer.status, typeof (await answer.json())["backup_id"]], [201, "string"]);
  const err = await new Response(child.stderr).text();
  assert.deepEqual([(await child.status).code, it.runs()], [0, true], err);
  await out.cancel();
});

Deno.test("a Prose plan's mistakes are named with file, line and key", async () => {
  const { parseConfig } = await import("../../src/config.ts");
  const { jobFromConfig } = await import("../../src/plan.ts");
  const example = Deno.readTextFileSync(new URL("../../examples/prose.toml", import.meta.url));
  const { collect } = parseConfig(example, "/etc/prose.toml").plans.get("prose")!;
  assert.ok(collect.tool === "prose");
  const unit = Deno.readTextFileSync(new URL("../../examples/prose.service", import.meta.url));
  const state = /XDG_STATE_HOME=(\S+)/.exec(unit)?.[1];
  assert.equal(
    collect.options.journalDir,
    `${state}/holdfast/stopped`,
    "where the service notes what it has stopped",
  );
  const mistakes: readonly [string, RegExp][] = [
    ['collect = { prose = { unit = "p.service" } }', /neither encrypted nor signed/],
    ['collect = { prose = { } }\nrequire = "none"', /Say how Prosody is stopped/],
    ['collect = { prose = { unit = "p.service", service = "none" } }\nrequire = "none"', /in one way/],
    ['collect = { prose = { stop = ["x"] } }\nrequire = "none"', /Both "stop" and "start"/],
    ['collect = { prose = { service = "no" } }', /must be "none"/],
    ['collect = { prose = { unti = "x" } }', /Did you mean "unit"/],
    ['collect = { prose = { unit = "p.service", paths = { x = "/x" } } }\nrequire = "none"', /no part of it/],
    ['collect = { prose = { unit = "p.service" } }\nrequire = "none"\nname = "other"', /called "prose"/],
    ['collect = { prose = { unit = "p.service" } }\nrequire = "none"\ncompress = "gzip"', /with zstd/],
  ];
  for (const [text, expected] of mistakes) {
    const toml = `[plan.prose]\n${text}\nencrypt = "plaintext"\nupload = { to = "./b" }\n`;
    assert.throws(() => jobFromConfig(parseConfig(toml, "/etc/backup.toml"), "prose"), (error: Error) => {
      assert.match(error.message, expected);
      assert.match(error.message, /"\/etc\/backup\.toml": line \d+, plan\.prose\.collect/);
      return true;
    }, text);
  }
});
