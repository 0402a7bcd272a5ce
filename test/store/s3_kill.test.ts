/** The server dies in the middle of a backup, as an operator would run it; and what dead runs leave is swept. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { identity, recipient } from "../engine/support.ts";
import { hasTool, judged, noise, scratch, sh } from "../support.ts";
import {
  clientOf,
  KEYS,
  type Kind,
  type Server,
  startServer,
  storeOn,
  toolPath,
  uniqueName,
} from "./s3_server.ts";

const MIB = 1024 * 1024;
const servers = new Map<Kind, Server>();
for (const kind of ["minio", "versitygw"] as const) {
  if (!existsSync(toolPath(kind)) && !hasTool(toolPath(kind))) continue;
  const server = await startServer(kind);
  servers.set(kind, server);
  Deno.test.afterAll(server.close);
}

const root = new URL("../..", import.meta.url).pathname;

function task(name: string, home: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", join(root, "tasks", `${name}.ts`), ...args],
    cwd: home,
    clearEnv: true,
    env: {
      PATH: Deno.env.get("PATH") ?? "",
      HOME: home,
      DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`,
      NO_COLOR: "1",
      AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function ended(child: Deno.ChildProcess): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await child.output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** A home with something to back up, and an identity. */
function home(dir: { readonly join: (...parts: string[]) => string }): string {
  Deno.mkdirSync(dir.join("src"));
  Deno.writeFileSync(dir.join("src", "noise.bin"), noise(32 * MIB));
  Deno.writeTextFileSync(dir.join("key.txt"), identity);
  return dir.join();
}

async function partsThere(server: Server, count: number): Promise<void> {
  for (let i = 0; i < 600 && server.unfinished().length < count; i++) {
    await new Promise((wait) => setTimeout(wait, 25));
  }
  assert.ok(server.unfinished().length >= count, "no upload came under way");
}

for (const kind of ["minio", "versitygw"] as const) {
  judged(`backup to s3 on ${kind} survives the server's death and return`, [toolPath(kind)], async () => {
    const server = servers.get(kind)!;
    using dir = scratch();
    const cwd = home(dir);
    const url = `s3://backups/${uniqueName()}?endpoint=${server.endpoint}`;
    // Slow enough to be killed half-way.
    const backup = task(
      "backup",
      cwd,
      "src",
      "--name",
      "app",
      "--to",
      `${url}&uploadBytesPerSecond=${16 * MIB}`,
      "--recipient",
      recipient,
    );
    await partsThere(server, 2);
    await server.kill();
    await new Promise((wait) => setTimeout(wait, 1500));
    await server.start();
    const { code, out, err } = await ended(backup);
    assert.equal(code, 0, err);
    assert.match(out, /^app_\S+\.tar\.zst\.age/m);
    assert.deepEqual(server.unfinished(), []);
    const verify = await ended(
      task("verify", cwd, "--from", url, "--level", "full", "--identity", "key.txt"),
    );
    assert.equal(verify.code, 0, verify.err);
    const restore = await ended(
      task("restore", cwd, "--from", url, "--into", "out", "--identity", "key.txt"),
    );
    assert.equal(restore.code, 0, restore.err);
    sh(`diff -r '${dir.join("src")}' '${dir.join("out")}/src'`);
  });
}

judged("backup to s3 whose server stays dead fails with one sentence, and nothing is visible", [
  toolPath("minio"),
], async () => {
  const server = servers.get("minio")!;
  using dir = scratch();
  const cwd = home(dir);
  const url = `s3://backups/${uniqueName()}?endpoint=${server.endpoint}`;
  const backup = task(
    "backup",
    cwd,
    ...[
      "src",
      "--name",
      "app",
      "--to",
      `${url}&retries=2&uploadBytesPerSecond=${16 * MIB}`,
      "--recipient",
      recipient,
    ],
  );
  await partsThere(server, 2);
  await server.kill();
  const { code, out, err } = await ended(backup);
  await server.start();
  assert.equal(code, 1, err);
  assert.equal(out, "");
  assert.match(
    err,
    /Error: .*Cannot write "app_\S+" in s3:\S+: nothing listens at 127\.0\.0\.1:\d+\. Start the server/,
  );
  const list = await ended(task("list", cwd, "--from", url, "--json"));
  assert.doesNotMatch(list.out, /"complete"/);
  const again = await ended(
    task("backup", cwd, "src", "--name", "app", "--to", url, "--recipient", recipient),
  );
  assert.equal(again.code, 0, again.err);
});

judged("s3() sweeps what dead runs have begun, and nothing else", [toolPath("versitygw")], async () => {
  const server = servers.get("versitygw")!;
  const prefix = uniqueName();
  const client = clientOf(server);
  const begin = async (key: string): Promise<void> => {
    const target = { Bucket: "backups", Key: `${prefix}/${key}` };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(target));
    await client.send(new UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body: noise(100) }));
  };
  await storeOn(server, { prefix }).put("prose_2026:odd.gpg.intent", noise(1));
  for (const key of ["app_2026-11-01T03-00-00Z.tar.zst.age", "prose_2026:odd.gpg", "holiday.mp4"]) {
    await begin(key);
  }
  const multipart = join(server.data, "backups", ".sgwtmp", "multipart");
  for (const name of readdirSync(multipart)) {
    sh(`find '${join(multipart, name)}' -exec touch -d '8 days ago' {} +`);
  }
  await begin("app_2026-11-02T03-00-00Z.tar.zst.age");
  await storeOn(server, { prefix }).put("new", noise(1));
  const { Uploads = [] } = await client.send(
    new ListMultipartUploadsCommand({ Bucket: "backups", Prefix: `${prefix}/` }),
  );
  assert.deepEqual(Uploads.map(({ Key }) => Key).sort(), [
    `${prefix}/app_2026-11-02T03-00-00Z.tar.zst.age`,
    `${prefix}/holiday.mp4`,
  ]);
});
