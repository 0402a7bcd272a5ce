/** `deno task store:check` on real stores: sound ones, one that lies, one that may not delete. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import {
  CreateBucketCommand,
  ListObjectVersionsCommand,
  PutObjectLockConfigurationCommand,
} from "@aws-sdk/client-s3";
import { checkStore } from "../../src/store/check.ts";
import { directory, memory } from "../../src/store/mod.ts";
import type { Store } from "../../src/stage.ts";
import { keysOf } from "../contract/store.ts";
import { recipient } from "../engine/support.ts";
import { hasTool, judged, scratch } from "../support.ts";
import { clientOf, KEYS, type Server, startServer, storeOn, toolPath } from "./s3_server.ts";

const minio = toolPath("minio");
let server: Server | undefined;
if (existsSync(minio) || hasTool(minio)) {
  server = await startServer("minio");
  Deno.test.afterAll(server.close);
}

async function task(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "tasks/store_check.ts", ...args],
    cwd: new URL("../..", import.meta.url),
    env: {
      NO_COLOR: "1",
      AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
      AWS_EC2_METADATA_DISABLED: "true",
    },
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

Deno.test("checkStore() finds nothing wrong with a folder, and leaves nothing there", async () => {
  using dir = scratch();
  const { results, left } = await checkStore(directory(dir.path), { many: 20 });
  assert.deepEqual(results.filter(({ error }) => error), []);
  assert.ok(results.length > 30);
  assert.deepEqual(left, []);
  assert.deepEqual(readdirSync(dir.path), []);
});

Deno.test("checkStore() says which promise a store breaks, and still cleans up", async () => {
  const inner = memory();
  const overwriting: Store = {
    ...inner,
    put: (key, body, options) => inner.put(key, body, { ...options, ifAbsent: false }),
  };
  const { results } = await checkStore(overwriting, { many: 20 });
  const broken = results.flatMap(({ sentence, error }) => error ? [sentence] : []);
  assert.deepEqual(broken, [
    "put with ifAbsent creates, then fails, and leaves the object as it is",
    "of concurrent puts with ifAbsent exactly one wins",
  ]);
  assert.deepEqual(await keysOf(inner), []);
});

Deno.test("checkStore() touches nothing but its own folder, and stops when it is told to", async () => {
  const store = memory();
  await store.put("app", new Uint8Array(3));
  const controller = new AbortController();
  let seen = 0;
  const checking = checkStore(store, {
    many: 20,
    signal: controller.signal,
    report: () => {
      if (++seen === 5) controller.abort(new Error("Enough"));
    },
  });
  await assert.rejects(checking, /Enough/);
  assert.deepEqual(await keysOf(store), ["app"]);
});

judged("store:check tries a versioned bucket and leaves no version behind", [minio], async () => {
  const client = clientOf(server!);
  await client.send(new CreateBucketCommand({ Bucket: "versioned", ObjectLockEnabledForBucket: true }));
  const { code, out, err } = await task(`s3://versioned/a/b?endpoint=${server!.endpoint}`);
  assert.equal(code, 0, out + err);
  assert.match(out, /^ok {6}put replaces$/m);
  assert.match(out, /^Versioning: on /m);
  assert.match(out, /^Object Lock: on$/m);
  assert.match(out, /^Noncurrent versions: 0, 0 B; delete markers: 0$/m);
  assert.match(err, /keeps 36 of 36 promises/);
  const { Versions = [], DeleteMarkers = [] } = await client.send(
    new ListObjectVersionsCommand({ Bucket: "versioned" }),
  );
  assert.deepEqual([...Versions, ...DeleteMarkers].map(({ Key }) => Key), []);
});

judged("store:check of a plan that locks leaves nothing that is locked", [minio], async () => {
  const client = clientOf(server!);
  await client.send(new CreateBucketCommand({ Bucket: "locking", ObjectLockEnabledForBucket: true }));
  for (const lock of [{ lock: { mode: "compliance", days: 1 } }, { legalHold: true }] as const) {
    const locking = storeOn(server!, { bucket: "locking", ...lock });
    assert.deepEqual((await checkStore(locking, { many: 20 })).left, []);
  }
  const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: "locking" }));
  assert.deepEqual(Versions.map(({ Key }) => Key), []);
  await client.send(new CreateBucketCommand({ Bucket: "not-locking" }));
  const without = await task(`s3://not-locking?endpoint=${server!.endpoint}&lock=governance:1`);
  assert.equal(without.code, 1);
  assert.match(
    without.err,
    /^Error: Cannot lock objects in s3:.*: Object Lock is set when a bucket is made/m,
  );
});

judged(
  "store:check writes little where a bucket locks everything, and says it in few lines",
  [minio],
  async () => {
    const client = clientOf(server!);
    await client.send(new CreateBucketCommand({ Bucket: "keeping", ObjectLockEnabledForBucket: true }));
    await client.send(
      new PutObjectLockConfigurationCommand({
        Bucket: "keeping",
        ObjectLockConfiguration: {
          ObjectLockEnabled: "Enabled",
          Rule: { DefaultRetention: { Mode: "GOVERNANCE", Days: 1 } },
        },
      }),
    );
    const { code, err } = await task(`s3://keeping?endpoint=${server!.endpoint}`);
    assert.equal(code, 1);
    assert.equal(err.match(/^Left behind: /gm)?.length, 4, err);
    assert.match(err, /^Left behind: \d+ more\. All are named holdfast-check-/m);
    const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: "keeping" }));
    assert.ok(Versions.length < 300, `${Versions.length} versions stay`);
  },
);

judged("store:check ends at once, with one sentence, when the bucket is not there", [minio], async () => {
  const { code, out, err } = await task(`s3://absent-bucket?endpoint=${server!.endpoint}`, "--json");
  assert.equal(code, 1);
  assert.equal(out, "");
  assert.match(
    err,
    /^Error: Cannot .* the bucket "absent-bucket" does not exist on 127\.0\.0\.1:\d+\. Create it, or correct/m,
  );
});

Deno.test("store:check --iam prints a policy and a lifecycle rule, and asks nothing", async () => {
  const { code, out } = await task("s3://backups/app?region=eu-central-1&lock=governance:3", "--iam");
  assert.equal(code, 0);
  const { policy, lifecycle } = JSON.parse(out);
  assert.deepEqual(
    policy,
    storeOn({ endpoint: "http://x" }, { prefix: "app", lock: { mode: "governance", days: 3 } }).policy({
      check: true,
    }),
  );
  assert.equal(lifecycle.Rules[0].Filter.Prefix, "app/");
  const folder = await task("./backups", "--iam");
  assert.equal(folder.code, 2);
  assert.match(folder.err, /is not a bucket/);
});

Deno.test("config --iam prints the policy of each bucket of a plan", async () => {
  using dir = scratch();
  Deno.writeTextFileSync(
    dir.join("backup.toml"),
    `[plan.app]
collect = { files = ["./src"] }
encrypt = { age = { recipients = ["${recipient}"] } }
upload = { to = ["./store", "s3://one-bucket/app?region=eu-west-1", "s3://two-bucket?region=eu-west-1&tag=a:b"] }
`,
  );
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "tasks/config.ts", "--config", dir.join("backup.toml"), "--iam"],
    cwd: new URL("../..", import.meta.url),
    env: { NO_COLOR: "1" },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  const text = new TextDecoder().decode(stdout);
  const documents = JSON.parse(`[${text.replaceAll("}\n{", "},{")}]`);
  assert.deepEqual(documents.map(({ store }: { store: string }) => store), [
    "s3://one-bucket/app?region=eu-west-1",
    "s3://two-bucket?region=eu-west-1",
  ]);
  assert.match(text, /"arn:aws:s3:::one-bucket\/app\/\*"/);
  assert.equal(text.match(/s3:PutObjectTagging/g)?.length, 1);
});
