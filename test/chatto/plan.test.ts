/** Chatto and JetStream as plans of a configuration: stored anywhere, pruned, verified, drilled like any other. */
import { strict as assert } from "node:assert";
import { writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseConfig } from "../../src/config.ts";
import { bareEnv } from "../cli/support.ts";
import { jobFromConfig } from "../../src/plan.ts";
import { drill } from "../../src/drill.ts";
import { restore } from "../../src/restore.ts";
import { backup } from "../../src/run.ts";
import { verify } from "../../src/verify.ts";
import { contents } from "../jetstream/support.ts";
import { startServer as startS3 } from "../store/s3_server.ts";
import { judged } from "../support.ts";
import { s3Toml, startChatto, TOKEN } from "./support.ts";

const TOML = `
[plan.chatto]
collect = { chatto = "chatto.toml", includeKeys = true }
compress = "gzip"
encrypt = "plaintext"
upload = { to = "./store" }

[plan.streams]
collect = { jetstream = "URL", streams = ["KV_*"], exclude = ["*CACHE*"], tokenFile = "token" }
encrypt = "plaintext"
upload = { to = "./store" }
`;

judged(
  "[plan.chatto] and collect = { jetstream = ... } back up, verify and restore",
  ["nats-server"],
  async () => {
    await using chatto = await startChatto();
    await using other = await startChatto({ fill: false });
    writeFileSync(`${chatto.dir}/token`, `${TOKEN}\n`);
    writeFileSync(`${other.dir}/token`, `${TOKEN}\n`);
    const here = parseConfig(TOML.replace("URL", chatto.server.url), `${chatto.dir}/backup.toml`);
    const there = parseConfig(
      TOML.replace("URL", other.server.url).replaceAll("./store", `${chatto.dir}/store`),
      `${other.dir}/backup.toml`,
    );
    for (
      const [name, streams] of [["streams", ["KV_RUNTIME_STATE", "KV_ENCRYPTION_KEYS"]], ["chatto", [
        "EVT",
      ]]] as const
    ) {
      await backup(jobFromConfig(here, name).plan);
      assert.ok((await verify(jobFromConfig(here, name).plan, { level: "full" })).entries! > 3);
      await restore(jobFromConfig(there, name).plan, { inPlace: true, conflict: "skip" });
      for (const stream of streams) {
        assert.deepEqual(await contents(other.server.nc, stream), await contents(chatto.server.nc, stream));
      }
    }
  },
);

Deno.test("a configuration's secrets are files, and chatto.toml is not stored in the clear", () => {
  const fail = (collect: string, message: RegExp): void =>
    assert.throws(() => {
      const toml = `[plan.x]\ncollect = ${collect}\nencrypt = "plaintext"\nupload = { to = "./s" }\n`;
      jobFromConfig(parseConfig(toml, "/etc/backup.toml"), "x");
    }, message);
  fail('{ jetstream = "nats://h", token = "t" }', /write tokenFile = "FILE"/);
  fail('{ jetstream = "nats://u:p@h" }', /holds a user or a secret/);
  fail('{ chatto = "chatto.toml", includeConfig = true }', /includeConfig needs encryption/);
  fail('{ jetstream = "nats://h", chatto = "x" }', /holds both jetstream and chatto/);
});

judged(
  "config --permissions prints a line that is enough for a Chatto plan",
  ["nats-server", "minio", "bash"],
  async () => {
    const bucket = await startS3("minio");
    await using _bucket = { [Symbol.asyncDispose]: bucket.close };
    await using chatto = await startChatto({ toml: s3Toml(bucket, "assets") });
    writeFileSync(`${chatto.dir}/backup.toml`, TOML.replace("URL", chatto.server.url));
    writeFileSync(`${chatto.dir}/token`, TOKEN);
    for (const plan of ["chatto", "streams"]) {
      const { out, err } = await chatto.task("config", [
        "--permissions",
        "--config",
        "backup.toml",
        "--plan",
        plan,
      ]);
      assert.match(out, /--allow-net=127\.0\.0\.1:\d+/, err);
      const { code, stderr } = await new Deno.Command("bash", {
        args: ["-c", out.trim()],
        cwd: chatto.dir,
        clearEnv: true,
        env: { ...bareEnv(chatto.user), PATH: `${dirname(Deno.execPath())}:/usr/bin:/bin` },
      }).output();
      assert.equal(code, 0, `${out}\n${new TextDecoder().decode(stderr)}`);
    }
  },
);

judged("a Chatto backup is drilled in a private server", ["nats-server"], async () => {
  await using chatto = await startChatto();
  const config = parseConfig(TOML, `${chatto.dir}/backup.toml`);
  await backup(jobFromConfig(config, "chatto").plan);
  await chatto.server.stop();
  const infos: string[] = [];
  const log = { info: (text: string): void => void infos.push(text), warn: (): void => {} };
  const { entries } = await drill(jobFromConfig(config, "chatto").plan, { log });
  assert.equal(entries, 15);
  assert.ok(infos.includes('Restored the stream "EVT"'), infos.join("\n"));
});
