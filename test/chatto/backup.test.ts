/** chatto:backup and chatto:restore as an operator runs them. */
import { strict as assert } from "node:assert";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { EXIT } from "../../src/cli/exit.ts";
import { ask, contents, publish, startServer } from "../jetstream/support.ts";
import { ended, start } from "../cli/support.ts";
import { judged, scratch, sh } from "../support.ts";
import { startChatto, TOKEN } from "./support.ts";

const ENCRYPTED = ["--encrypt", "--include-keys", "--passphrase-file", "pw"] as const;
const DATA = ["EVT", "NOTIFICATIONS", "KV_RUNTIME_STATE"];

judged(
  "chatto:backup writes Chatto's layout, by its rules, in its order",
  ["nats-server", "tar", "jq"],
  async () => {
    await using chatto = await startChatto();
    const { code, out, err } = await chatto.task("chatto_backup", []);
    assert.equal(code, EXIT.complete, err);
    assert.match(out, /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\.tar\.gz\n$/);
    const archive = `${chatto.dir}/backups/${out.trim()}`;
    assert.equal(statSync(archive).mode & 0o777, 0o600);
    sh(`cd '${chatto.dir}/backups' && sha256sum -c *.sha256`);
    const names = new TextDecoder().decode(sh(`tar -tf '${archive}'`)).trim().split("\n");
    assert.deepEqual(new Set(names.map((name) => name.split("/")[0])), new Set(["backup"]));
    const streams = names.filter((name) => name.endsWith("stream.tar.s2")).map((name) => name.split("/")[2]);
    assert.deepEqual(streams, ["EVT", "KV_RUNTIME_STATE", "NOTIFICATIONS"]);
    const manifest = JSON.parse(
      new TextDecoder().decode(sh(`tar -xOf '${archive}' backup/manifest.json | jq -c .`)),
    );
    assert.equal(manifest.version, 1);
    assert.deepEqual(
      manifest.streams.slice(0, 3).map((
        stream: { name: string; type: string; messages: number },
      ) => [stream.name, stream.type, stream.messages]),
      [["EVT", "stream", 300], ["KV_RUNTIME_STATE", "kv", 30], ["NOTIFICATIONS", "stream", 20]],
    );
    assert.deepEqual([manifest.stats.total_streams, manifest.stats.skipped, manifest.stats.failed], [
      3,
      6,
      0,
    ]);
    for (
      const why of [
        "ephemeral",
        "pass --include-keys",
        "regeneratable",
        "token leakage",
        '"FOREIGN_MEMORY": memory storage',
      ]
    ) {
      assert.ok(err.includes(why), why);
    }
    assert.match(err, /keys are not in it/);
  },
);

judged("chatto:restore puts it back exactly, into an external server, and finds conflicts first", [
  "nats-server",
], async () => {
  await using chatto = await startChatto();
  await using other = await startChatto({ fill: false });
  const made = await chatto.task("chatto_backup", ["-o", `${chatto.dir}/b.tar.gz`]);
  assert.equal(made.code, EXIT.complete, made.err);
  const restore = (...args: string[]): ReturnType<typeof other.task> =>
    other.task("chatto_restore", [`${chatto.dir}/b.tar.gz`, ...args]);
  const first = await restore();
  assert.equal(first.code, EXIT.complete, first.err);
  for (const name of DATA) {
    assert.deepEqual(await contents(other.server.nc, name), await contents(chatto.server.nc, name), name);
  }
  await publish(other.server.nc, "EVT", 300, 5);
  const again = await restore();
  assert.equal(again.code, EXIT.failed);
  assert.match(again.err, /3 of 3 streams exist .*--conflict skip or --conflict overwrite/);
  assert.equal((await contents(other.server.nc, "EVT")).messages.length, 305);
  assert.equal((await restore("--conflict", "skip")).code, EXIT.complete);
  assert.equal((await contents(other.server.nc, "EVT")).messages.length, 305);
  const over = await restore("--conflict", "overwrite", "--only", "EV*");
  assert.equal(over.code, EXIT.complete, over.err);
  assert.equal((await contents(other.server.nc, "EVT")).messages.length, 300);
  const dry = await restore("--conflict", "overwrite", "--dry-run", "--only", "EVT");
  assert.equal(dry.out, "overwrite  EVT\n");
});

judged(
  "chatto:restore into an embedded server's folder, which must not be in use",
  ["nats-server"],
  async () => {
    await using chatto = await startChatto();
    using dir = scratch();
    const program = new TextDecoder().decode(sh("command -v nats-server")).trim();
    const made = await chatto.task("chatto_backup", ["-o", "b.tar.gz"]);
    assert.equal(made.code, EXIT.complete, made.err);
    mkdirSync(dir.join("srv"));
    const toml = (port: number): void =>
      writeFileSync(
        dir.join("srv/chatto.toml"),
        `[nats.embedded]\nenabled = true\nport = ${port}\nauth_token = "${TOKEN}"\ndata_dir = "data"\n`,
      );
    const restore = (...more: string[]): ReturnType<typeof chatto.task> =>
      chatto.task("chatto_restore", [
        "b.tar.gz",
        "-c",
        dir.join("srv/chatto.toml"),
        "--nats-server",
        program,
        ...more,
      ]);
    toml(Number(new URL(chatto.server.url.replace("nats:", "http:")).port));
    const busy = await restore();
    assert.equal(busy.code, EXIT.busy);
    assert.match(busy.err, /answers at 127\.0\.0\.1:\d+\. Stop Chatto first/);
    toml(0);
    mkdirSync(dir.join("srv/data"));
    {
      using _held = Deno.openSync(dir.join("srv/data/x"), { create: true, write: true });
      const held = await restore();
      assert.equal(held.code, EXIT.busy);
      assert.match(held.err, /process \d+ has files open/);
    }
    const done = await restore();
    assert.equal(done.code, EXIT.complete, done.err);
    await using after = await startServer({ dir: dir.join("srv") });
    for (const name of DATA) {
      assert.deepEqual(
        await contents(after.nc, name),
        await contents(chatto.server.nc, name),
        name,
      );
    }
  },
);

judged("chatto:backup -o leaves the old file until the new one is whole, and says what is wrong", [
  "nats-server",
], async () => {
  await using chatto = await startChatto();
  writeFileSync(`${chatto.dir}/keep.age`, "old", { mode: 0o644 });
  writeFileSync(`${chatto.dir}/keep.age.receipt.json`, "old");
  const toml = readFileSync(`${chatto.dir}/chatto.toml`, "utf8");
  writeFileSync(`${chatto.dir}/chatto.toml`, toml.replace(TOKEN, "wrong"));
  const failed = await chatto.task("chatto_backup", ["-o", "keep.age", ...ENCRYPTED]);
  assert.equal(failed.code, EXIT.failed);
  assert.match(failed.err, /Check the credentials/);
  assert.equal(readFileSync(`${chatto.dir}/keep.age`, "utf8"), "old");
  writeFileSync(`${chatto.dir}/chatto.toml`, toml);
  const { code, err } = await chatto.task("chatto_backup", ["-o", "keep.age", ...ENCRYPTED]);
  assert.equal(code, EXIT.complete, err);
  assert.match(readFileSync(`${chatto.dir}/keep.age`, "latin1"), /^age-encryption\.org\/v1\n-> scrypt /);
  assert.equal(statSync(`${chatto.dir}/keep.age`).mode & 0o777, 0o600);
  assert.equal(JSON.parse(readFileSync(`${chatto.dir}/keep.age.receipt.json`, "utf8")).id, "keep.age");
  assert.deepEqual(readdirSync(chatto.dir).filter((name) => name.startsWith(".")), []);
  const wrong = await chatto.task("chatto_restore", ["keep.age", "--passphrase", "nope"]);
  assert.equal(wrong.code, EXIT.key);
  assert.match(wrong.err, /the passphrase does not fit/);
  assert.match(wrong.err, /every user of this machine can see/);
});

judged("chatto:backup: embedded without a port, assets in S3, no data, plaintext to a remote store", [
  "nats-server",
], async () => {
  await using chatto = await startChatto({ toml: '[core.assets]\nstorage_backend = "s3"\n' });
  const s3 = await chatto.task("chatto_backup", []);
  assert.equal(s3.code, EXIT.warnings);
  assert.match(
    s3.err,
    /avatars, which lie in S3 .*, and core\.assets\.s3\.endpoint is empty\. Back that bucket up/,
  );
  writeFileSync(`${chatto.dir}/closed.toml`, "[nats.embedded]\nenabled = true\n");
  for (
    const [task, ...args] of [["chatto_backup"], [
      "chatto_keys_export",
      "-o",
      "k",
      "--passphrase-file",
      "pw",
    ]] as const
  ) {
    const closed = await chatto.task(task, ["-c", "closed.toml", ...args]);
    assert.equal(closed.code, EXIT.usage, closed.err);
    assert.match(closed.err, /Set nats\.embedded\.port in chatto\.toml/);
  }
  const remote = await chatto.task("chatto_backup", ["--to", "s3://bucket/x"]);
  assert.equal(remote.code, EXIT.usage);
  assert.match(remote.err, /pass --encrypt, or --plaintext if you mean it/);
  const clear = await chatto.task("chatto_backup", ["--include-config"]);
  assert.match(clear.err, /Cannot store chatto\.toml in the clear/);
  const pointless = await chatto.task("chatto_backup", ["--passphrase-file", "pw"]);
  assert.match(pointless.err, /without --encrypt: the archive would not be encrypted/);
  await using empty = await startChatto({ fill: false });
  assert.match((await empty.task("chatto_backup", [])).err, /it has no data yet/);
});

judged(
  "chatto: chatto.toml comes along when asked for; another secret key is told",
  ["nats-server"],
  async () => {
    await using chatto = await startChatto({ toml: '[core]\nsecret_key = "one"\n' });
    await using other = await startChatto({ fill: false, toml: '[core]\nsecret_key = "two"\n' });
    const made = await chatto.task("chatto_backup", ["-o", "b.age", "--include-config", ...ENCRYPTED]);
    assert.equal(made.code, EXIT.complete, made.err);
    assert.ok(!readFileSync(`${chatto.dir}/b.age.receipt.json`, "utf8").includes('"one"'));
    const args = [`${chatto.dir}/b.age`, "--passphrase-file", "pw"];
    const { code, err } = await other.task("chatto_restore", args);
    assert.equal(code, EXIT.warnings, err);
    assert.match(err, /core\.secret_key in chatto\.toml is not the one/);
  },
);

judged(
  "chatto: a split backup exports keys after the data, and both go together",
  ["nats-server"],
  async () => {
    await using chatto = await startChatto();
    const args = ["--encrypt", "--split-keys", "--passphrase-file", "pw", "--keep-last", "1"];
    const first = (await chatto.task("chatto_backup", args)).out.trim();
    const keysOf = (id: string): string => `${chatto.dir}/backups/${id.replace(".tar.gz.age", "-keys.age")}`;
    assert.ok(existsSync(keysOf(first)));
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const second = await chatto.task("chatto_backup", args);
    assert.equal(second.code, EXIT.complete, second.err);
    assert.ok(existsSync(keysOf(second.out.trim())));
    assert.ok(!existsSync(`${chatto.dir}/backups/${first}`) && !existsSync(keysOf(first)));
    // They are listed, verified, restored and pruned by name like any other.
    const listed = await chatto.task("list", ["--from", "backups", "--json"]);
    assert.deepEqual(listed.out.trim().split("\n").map((line) => JSON.parse(line).id), [second.out.trim()]);
    const full = ["--from", "backups", "--level", "full", "--passphrase-file", "pw"];
    const verified = await chatto.task("verify", [second.out.trim(), ...full]);
    assert.equal(verified.code, EXIT.complete, verified.err);
    const into = ["--from", "backups", "--into", "out", "--passphrase-file", "pw"];
    const restored = await chatto.task("restore", ["latest", ...into]);
    assert.equal(restored.code, EXIT.complete, restored.err);
    assert.ok(existsSync(`${chatto.dir}/out/backup/manifest.json`));
    const pruned = await chatto.task("prune", ["--from", "backups", "--keep-last", "1"]);
    assert.equal(pruned.code, EXIT.complete, pruned.err);
    assert.match(pruned.out, /keep {2}\d{4}-.*Z\.tar\.gz\.age/);
  },
);

judged("chatto: a passphrase from a pipe is one line; an empty pipe is an error that names the option", [
  "nats-server",
], async () => {
  await using chatto = await startChatto();
  const args = ["-o", "b.age", "--encrypt", "--include-keys"];
  const silent = start(chatto.user, "chatto_backup", ["-o", "c.age", ...args.slice(2)], true); // meanwhile
  const piped = await chatto.task("chatto_backup", args, "correct horse\nmore\n");
  assert.equal(piped.code, EXIT.complete, piped.err);
  await using other = await startChatto({ fill: false });
  const back = await other.task(
    "chatto_restore",
    [`${chatto.dir}/b.age`, "--passphrase-stdin"],
    "correct horse\r\n",
  );
  assert.equal(back.code, EXIT.complete, back.err);
  const empty = await chatto.task("chatto_backup", args, "");
  assert.equal(empty.code, EXIT.key);
  assert.match(empty.err, /standard input is empty\. .*--passphrase-stdin/);
  const both = await chatto.task("chatto_backup", [...args, "--passphrase-stdin", "--passphrase-file", "pw"]);
  assert.equal(both.code, EXIT.usage);
  assert.deepEqual((await ask(other.server.nc, "STREAM.NAMES")).streams.length, 4);
  const { code, err } = await ended(silent);
  await silent.stdin.close().catch(() => {}); // it was silent until its reader had gone
  assert.equal(code, EXIT.key);
  assert.match(err, /silent for 5 s\. .*--passphrase-stdin/);
});
