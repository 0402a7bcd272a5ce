/** What goes wrong with buckets: one clear sentence each, naming the verb and the permission that is missing. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { CreateMultipartUploadCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { backup, list, prune, restore } from "../../mod.ts";
import { StoreError } from "../../src/errors.ts";
import { s3, type S3Options, type S3Store } from "../../src/store/s3.ts";
import type { Store } from "../../src/stage.ts";
import { bytesOf, keysOf } from "../contract/store.ts";
import { identity, planOf, treeScratch } from "../engine/support.ts";
import { hasTool, judged, noise, scratch, sh } from "../support.ts";
import { freePort, KEYS, type Server, startServer, storeOn, toolPath, uniqueName } from "./s3_server.ts";
import { assumeRole } from "./s3_sts.ts";

const REGION = "eu-central-1";
const MIB = 1024 * 1024;
const minio = toolPath("minio");
let server: Server | undefined;
if (existsSync(minio) || hasTool(minio)) {
  server = await startServer("minio", { env: { MINIO_SITE_REGION: REGION } });
  Deno.test.afterAll(server.close);
}

function storeHere(options: Partial<S3Options> = {}): S3Store {
  return storeOn(server!, { region: REGION, prefix: uniqueName(), ...options });
}

async function says(work: Promise<unknown>, expected: RegExp): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof StoreError, String(error));
    assert.match(error.message, expected);
    assert.ok(!error.message.includes(KEYS.secretAccessKey));
    assert.equal(error.message.split("\n").length, 1);
    return true;
  });
}

judged("s3() names a wrong endpoint, bucket, region, key", [minio], async () => {
  const table: [Partial<S3Options>, RegExp][] = [
    [
      { endpoint: `http://127.0.0.1:${freePort()}` },
      /nothing listens at 127\.0\.0\.1:\d+\. Start the server, or correct the endpoint$/,
    ],
    [
      { endpoint: "http://holdfast.invalid" },
      /the host name holdfast\.invalid cannot be resolved\. Correct the endpoint or region/,
    ],
    [
      { endpoint: server!.endpoint.replace("http:", "https:") },
      /does not speak TLS here .*Correct the endpoint: http or https/,
    ],
    [{ bucket: "absent-bucket" }, /the bucket "absent-bucket" does not exist on 127/],
    [
      { region: "us-west-2" },
      /the bucket "backups" is not in the region "us-west-2"\. Give region "eu-central-1"/,
    ],
    [
      { credentials: () => ({ ...KEYS, accessKeyId: "nobody" }) },
      /does not know the access key\. Look at AWS_ACCESS_KEY_ID/,
    ],
    [
      { credentials: () => ({ ...KEYS, secretAccessKey: "wrong" }) },
      /the secret key is not the one of this access key/,
    ],
    [
      { credentials: () => ({ ...KEYS, sessionToken: "x" }) },
      /the session token is not valid|does not know the access key/,
    ],
  ];
  for (const [options, expected] of table) {
    const store = storeHere({ retries: 1, ...options });
    await says(store.put("app", noise(10), { ifAbsent: true }), expected);
    await says(store.get("app"), expected);
    await says(keysOf(store), expected);
    await says(store.delete("app"), expected);
    if (!("secretAccessKey" in options)) await assert.rejects(store.head("app"), StoreError);
  }
});

Deno.test("s3() knows a server that is none", async () => {
  await using web = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => new Response("<html><body>Welcome</body></html>", { headers: { "content-type": "text/html" } }),
  );
  const store = s3({
    bucket: "backups",
    endpoint: `http://127.0.0.1:${web.addr.port}`,
    credentials: () => KEYS,
    retries: 0,
  });
  await says(keysOf(store), /does not answer as an S3 server does/);
  await says(store.put("app", noise(10)), /does not answer as an S3 server does/);
});

Deno.test("s3() says that there are no keys, without asking the network for long", async () => {
  const script = `import { s3 } from "./src/store/s3.ts";
    const store = s3({ bucket: "backups", endpoint: "http://127.0.0.1:9" });
    await store.head("app").catch((error) => console.log(error.message));`;
  using dir = scratch();
  await Deno.writeTextFile(
    dir.join("deny.ts"),
    script.replace("./src", new URL("../../src", import.meta.url).pathname),
  );
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-prompt",
      "--config",
      new URL("../../deno.json", import.meta.url).pathname,
      dir.join("deny.ts"),
    ],
    clearEnv: true,
    env: {
      PATH: Deno.env.get("PATH") ?? "",
      HOME: dir.path,
      DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`,
      AWS_EC2_METADATA_DISABLED: "true",
    },
  }).output();
  assert.match(
    new TextDecoder().decode(stdout),
    /^Cannot look up "app" in s3:\S+: there are no keys: .*Set AWS_ACCESS_KEY_ID/,
  );
});

judged("s3() says by how much a clock is wrong", [minio], async () => {
  const Real = Date;
  for (
    const [hours, expected] of [[1, /clock is 60 minutes ahead of the server's\. Set the clock/], [
      -1,
      /60 minutes behind/,
    ]] as const
  ) {
    const store = storeHere({ retries: 0 });
    globalThis.Date = shifted(Real, hours * 3_600_000);
    try {
      await says(store.put("app", noise(10)), expected);
    } finally {
      globalThis.Date = Real;
    }
  }
});

function shifted(Real: DateConstructor, by: number): DateConstructor {
  return class extends Real {
    constructor(...args: unknown[]) {
      super(...(args.length === 0 ? [Real.now() + by] : args) as [number]);
    }
    static override now(): number {
      return Real.now() + by;
    }
  } as unknown as DateConstructor;
}

judged("s3() names the verb and the permission that a policy lacks", [minio], async () => {
  const all = [
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
  ];
  const verbs: [string, RegExp, (store: Store) => Promise<unknown>][] = [
    [
      "s3:PutObject",
      /^Cannot write "new" .*Allow s3:PutObject on arn:aws:s3:::backups\/\.\.\.; `deno task config --iam`/,
      (store) => store.put("new", noise(10)),
    ],
    ["s3:GetObject", /^Cannot read "app" .*Allow s3:GetObject/, (store) => bytesOf(store, "app")],
    ["s3:GetObject", /^Cannot look up "app" .*Allow s3:GetObject/, (store) => store.head("app")],
    ["s3:DeleteObject", /^Cannot delete "app" .*Allow s3:DeleteObject/, (store) => store.delete("app")],
    [
      "s3:ListBucket",
      /^Cannot list .*Allow s3:ListBucket on arn:aws:s3:::backups;/,
      (store) => keysOf(store),
    ],
  ];
  const prefix = uniqueName();
  await storeHere({ prefix }).put("app", noise(10));
  for (const [missing, expected, call] of verbs) {
    const Statement = [{
      Effect: "Allow",
      Action: all.filter((action) => action !== missing),
      Resource: ["arn:aws:s3:::*"],
    }];
    const credentials = await assumeRole(server!, { Version: "2012-10-17", Statement }, REGION);
    const store = storeHere({ prefix, credentials: () => credentials });
    await says(call(store), expected);
  }
});

judged(
  "a backup to a bucket that denies deleting is whole, and says what could not be removed",
  [minio],
  async () => {
    using dir = treeScratch();
    const Action = ["s3:GetObject", "s3:PutObject", "s3:ListBucket"];
    const Statement = [{ Effect: "Allow", Action, Resource: ["arn:aws:s3:::*"] }];
    const credentials = await assumeRole(server!, { Version: "2012-10-17", Statement }, REGION);
    const store = storeHere({ prefix: uniqueName(), credentials: () => credentials });
    const plan = planOf(dir.join("src"), store, { identities: () => identity });
    const said: string[] = [];
    const { status, copies } = await backup(plan, {
      log: { info: () => {}, warn: (_, message) => void said.push(message) },
    });
    assert.deepEqual([status, copies.map(({ error }) => error)], ["warnings", [undefined]]);
    assert.match(
      said.join("\n"),
      /^"app_\S+" in s3:\S+ is whole, but .* Allow s3:DeleteObject on arn:aws:s3:::backups/,
    );
    await restore(plan, { into: dir.join("out") });
    sh(`diff -r --no-dereference '${dir.join("src")}' '${dir.join("out")}/src'`);
  },
);

judged(
  "s3() policy() is enough for backup, prune and restore, and for nothing beside the prefix",
  [minio],
  async () => {
    using dir = treeScratch();
    const prefix = `machines/${uniqueName()}`;
    const policy = storeHere({ prefix }).policy();
    const credentials = await assumeRole(server!, policy, REGION);
    const store = storeHere({ prefix, credentials: () => credentials, partBytes: 5 * MIB });
    const plan = planOf(dir.join("src"), store, { identities: () => identity }).pipe(prune({ keepLast: 1 }));
    for (const hour of [1, 2]) {
      const { warnings } = await backup(plan, { now: new Date(Date.UTC(2026, 10, 20, hour)) });
      assert.deepEqual(warnings, {});
    }
    await restore(plan, { into: dir.join("out") });
    sh(`diff -r --no-dereference '${dir.join("src")}' '${dir.join("out")}/src'`);
    await store.put("large", noise(11 * MIB));
    const foreign = storeHere({ prefix: "other", credentials: () => credentials });
    await says(foreign.put("app", noise(1)), /Allow s3:PutObject/);
    await says(bytesOf(foreign, "app"), /Allow s3:GetObject/);
    await says(keysOf(foreign), /Allow s3:ListBucket/);
    // Not one action less: without each of them something above fails.
    const [, , objects] = policy["Statement"] as { Action: string[] }[];
    assert.deepEqual(objects!.Action, [
      "s3:GetObject",
      "s3:PutObject",
      "s3:DeleteObject",
      "s3:AbortMultipartUpload",
    ]);
  },
);

judged(
  "s3() leaves a thousand foreign objects, and others' unfinished uploads, as they are",
  [minio],
  async () => {
    using dir = treeScratch();
    const prefix = uniqueName();
    const store = storeHere({ prefix, abandonedMs: 60_000 });
    const client = new S3Client({
      endpoint: server!.endpoint,
      region: REGION,
      forcePathStyle: true,
      credentials: KEYS,
    });
    const names = Array.from(
      { length: 1000 },
      (_, i) => ["photo ü %20+&.jpg", "app_", "app_notes.txt", "folder/"][i % 4]! + `${i}`,
    );
    await Promise.all(Array.from({ length: 8 }, async (_, lane) => {
      for (const name of names.filter((_, i) => i % 8 === lane)) {
        await client.send(new PutObjectCommand({ Bucket: "backups", Key: `${prefix}/${name}`, Body: "x" }));
      }
    }));
    await client.send(new PutObjectCommand({ Bucket: "backups", Key: `${prefix}/folder/`, Body: "" }));
    await client.send(new CreateMultipartUploadCommand({ Bucket: "backups", Key: `${prefix}/video.mp4` }));
    const plan = planOf(dir.join("src"), store).pipe(prune({ keepLast: 1 }));
    for (const hour of [1, 2]) await backup(plan, { now: new Date(Date.UTC(2026, 10, 20, hour)) });
    const items = await list(plan);
    assert.equal(items.length, 1);
    const keys = new Set(await keysOf(store));
    assert.deepEqual(names.filter((name) => !keys.has(name)), []);
    assert.equal(server!.unfinished().length > 0, true);
  },
);

judged(
  "s3() trusts the certificate it is given, and encrypts with a customer's key",
  [minio, "openssl"],
  async () => {
    using dir = scratch();
    sh(
      `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost ` +
        `-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE -keyout '${
          dir.join("key")
        }' -out '${dir.join("cert")}'`,
    );
    const tls = await startServer("minio", { tls: { cert: dir.join("cert"), key: dir.join("key") } });
    try {
      await says(
        keysOf(storeOn(tls)),
        /the certificate of 127\.0\.0\.1:\d+ is not trusted .*Give the authority's certificate as `ca`/,
      );
      await says(keysOf(storeOn({ endpoint: tls.endpoint.replace("https", "http") })), /./);
      const ca = Deno.readTextFileSync(dir.join("cert"));
      const key = noise(32, 5);
      const prefix = uniqueName();
      // 20 MiB parts go through node:http, which has its own idea of certificates.
      for (const partBytes of [5 * MIB, 20 * MIB]) {
        const store = storeOn(tls, {
          ca,
          prefix,
          partBytes,
          encryption: { kind: "customer", key: () => key },
        });
        await store.put("small", noise(100));
        await store.put("large", noise(41 * MIB));
        assert.deepEqual(await bytesOf(store, "large"), noise(41 * MIB));
        assert.deepEqual(await keysOf(store), ["large", "small"]);
        const other = storeOn(tls, { ca, prefix, encryption: { kind: "customer", key: () => noise(32, 6) } });
        await assert.rejects(bytesOf(other, "small"), StoreError);
        await assert.rejects(bytesOf(storeOn(tls, { ca, prefix }), "small"), StoreError);
        const short = storeOn(tls, { ca, prefix, encryption: { kind: "customer", key: () => noise(31) } });
        await assert.rejects(short.put("x", noise(1)), /it has 31 bytes, not 32/);
      }
    } finally {
      await tls.close();
    }
  },
  { sanitizeOps: false, sanitizeResources: false }, // a store keeps its connections for as long as it lives
);

Deno.test("s3() throws for options that cannot work, when the store is made", () => {
  const table: [Partial<S3Options>, typeof TypeError | typeof RangeError][] = [
    [{ bucket: "" }, TypeError],
    [{ bucket: "a/b" }, TypeError],
    [{ endpoint: "minio:9000" }, TypeError],
    [{ endpoint: "https://me:secret@host" }, TypeError],
    [{ prefix: "../x" }, TypeError],
    [{ prefix: "a//b" }, TypeError],
    [{ partBytes: 1 }, RangeError],
    [{ parallel: 0 }, RangeError],
    [{ retries: -1 }, RangeError],
    [{ uploadBytesPerSecond: 0 }, RangeError],
    [{ lock: { mode: "soft" as "governance", days: 1 } }, TypeError],
    [{ lock: { mode: "governance", days: 0.5 } }, RangeError],
    [{ conditional: "maybe" as "look" }, TypeError],
    [{ tags: { "a&b": "x" } }, TypeError],
    [{ tags: Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`t${i}`, ""])) }, RangeError],
    [{ endpoint: "http://host", encryption: { kind: "customer", key: () => noise(32) } }, TypeError],
  ];
  for (const [options, kind] of table) {
    assert.throws(() => s3({ bucket: "backups", ...options }), (error) => {
      assert.ok(error instanceof kind, JSON.stringify(options));
      assert.ok(!error.message.includes("secret"));
      return true;
    });
  }
});
