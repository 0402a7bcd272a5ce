/** What only a bucket has: parts, retries, settings of the bucket, a server that dies. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { crc32 } from "node:zlib";
import {
  CreateBucketCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
} from "@aws-sdk/client-s3";
import { readAll, toBytes } from "../../src/bytes.ts";
import { ExistsError } from "../../src/errors.ts";
import type { Bytes, U8 } from "../../src/stage.ts";
import { backup, prune } from "../../mod.ts";
import { planOf, treeScratch } from "../engine/support.ts";
import { hasTool, inChunks, judged, noise, sh } from "../support.ts";
import {
  clientOf,
  relay,
  relayAgain,
  type Server,
  startServer,
  storeOn,
  toolPath,
  uniqueName,
} from "./s3_server.ts";

const MIB = 1024 * 1024;
const minio = toolPath("minio");
const here = existsSync(minio) || hasTool(minio);
let server: Server | undefined;
if (here) {
  server = await startServer("minio", { env: { MINIO_KMS_SECRET_KEY: `holdfast:${noise(32).toBase64()}` } });
  Deno.test.afterAll(server.close);
}

function onServer(name: string, run: (server: Server) => Promise<void>): void {
  judged(name, [minio], () => run(server!));
}

/** A long stream that is never in memory whole, and its digest. */
function long(bytes: number, seed = 1): { body: Bytes; digest: () => string } {
  const hash = createHash("sha256");
  const block = noise(MIB, seed);
  const body = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    for (let at = 0, i = 0; at < bytes; at += MIB, i++) {
      const chunk = block.slice(0, Math.min(MIB, bytes - at));
      if (chunk.length >= 4) new DataView(chunk.buffer).setUint32(0, i);
      hash.update(chunk);
      yield await Promise.resolve(chunk);
    }
  });
  let digest: string | undefined;
  return { body, digest: () => digest ??= hash.digest("hex") };
}

async function digestOf(bytes: Bytes): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of bytes) hash.update(chunk);
  return hash.digest("hex");
}

onServer("s3() uploads in parts, at the edges of a part and far behind", async (server) => {
  const store = storeOn(server, { prefix: uniqueName(), partBytes: 5 * MIB });
  for (const size of [5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 33 * MIB + 7]) {
    const { body, digest } = long(size);
    await store.put("app", body, { ifAbsent: true });
    assert.equal((await store.head("app"))?.bytes, size);
    assert.equal(await digestOf(await store.get("app")), digest());
    // The retry of a write whose answer got lost meets its own bytes.
    await store.put("app", long(size).body, { ifAbsent: true });
    await assert.rejects(store.put("app", long(size, 2).body, { ifAbsent: true }), ExistsError);
    assert.equal(await digestOf(await store.get("app")), digest());
    await store.delete("app");
  }
  assert.deepEqual(server.unfinished(), []);
});

onServer("s3() leaves a checksum beside what it uploads: of the whole, or of each part", async (server) => {
  const prefix = uniqueName();
  const store = storeOn(server, { prefix, partBytes: 5 * MIB });
  const client = clientOf(server);
  const sums = async (key: string): Promise<(string | undefined)[]> => {
    const Key = `${prefix}/${key}`;
    const command = new HeadObjectCommand({ Bucket: "backups", Key, ChecksumMode: "ENABLED" });
    const { ChecksumSHA256, ChecksumCRC32 } = await client.send(command);
    return [ChecksumSHA256, ChecksumCRC32];
  };
  const block = noise(5 * MIB, 3);
  await store.put("one", block);
  assert.deepEqual(await sums("one"), [createHash("sha256").update(block).digest("base64"), undefined]);
  await store.put("parts", inChunks(new Uint8Array([...block, 7]), MIB));
  const each = Buffer.alloc(8);
  each.writeUInt32BE(crc32(block), 0);
  each.writeUInt32BE(crc32(new Uint8Array([7])), 4);
  const all = Buffer.alloc(4);
  all.writeUInt32BE(crc32(each));
  assert.deepEqual(await sums("parts"), [undefined, `${all.toString("base64")}-2`]);
});

onServer("s3() sends large parts from a temporary file that has no name", async (server) => {
  const store = storeOn(server, { prefix: uniqueName(), partBytes: 20 * MIB });
  const { body, digest } = long(65 * MIB);
  await store.put("app", body, { ifAbsent: true });
  assert.equal(await digestOf(await store.get("app")), digest());
  assert.deepEqual(server.unfinished(), []);
  assert.equal(new TextDecoder().decode(sh("ls /tmp | grep holdfast-part || true")), "");
});

onServer("s3() aborts an upload in parts whose source fails or that is cancelled", async (server) => {
  for (const partBytes of [5 * MIB, 20 * MIB]) {
    const store = storeOn(server, { prefix: uniqueName(), partBytes });
    const failure = new Error("Made to fail");
    const failing = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      for await (const chunk of long(48 * MIB).body) yield chunk;
      throw failure;
    });
    await assert.rejects(store.put("app", failing), (error) => error === failure);
    const controller = new AbortController();
    let seen = 0;
    const cancelling = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      for await (const chunk of long(64 * MIB).body) {
        if ((seen += chunk.length) === 45 * MIB) controller.abort(failure);
        yield chunk;
      }
    });
    await assert.rejects(
      store.put("app", cancelling, { signal: controller.signal }),
      (error) => error === failure,
    );
    assert.equal(await store.head("app"), undefined);
    assert.deepEqual(server.unfinished(), []);
  }
});

onServer(
  "s3() goes on after the line was cut in the middle of an upload and of a download",
  async (server) => {
    let line = relay(server.port);
    const port = Number(new URL(line.endpoint).port);
    const store = storeOn(line, { prefix: uniqueName(), partBytes: 5 * MIB });
    await store.put("first", noise(10));
    const size = 40 * MIB;
    let cuts = 0;
    const cutting = async (at: number): Promise<void> => {
      if (at !== 12 * MIB && at !== 25 * MIB) return;
      cuts++;
      await line.cut();
      line = await relayAgain(server.port, port);
    };
    const { body, digest } = long(size);
    let at = 0;
    const watched = toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
      for await (const chunk of body) {
        await cutting(at += chunk.length);
        yield chunk;
      }
    });
    await store.put("app", watched, { ifAbsent: true });
    const hash = createHash("sha256");
    let got = 0;
    for await (const chunk of await store.get("app")) {
      hash.update(chunk);
      await cutting(got += chunk.length);
    }
    assert.equal(cuts, 4);
    assert.equal(hash.digest("hex"), digest());
    assert.deepEqual(server.unfinished(), []);
    await line.cut();
  },
);

onServer("s3() keeps to its rates", async (server) => {
  const rate = 8 * MIB;
  const store = storeOn(server, {
    prefix: uniqueName(),
    partBytes: 5 * MIB,
    uploadBytesPerSecond: rate,
    downloadBytesPerSecond: rate,
  });
  let start = performance.now();
  await store.put("app", long(20 * MIB).body);
  const up = performance.now() - start;
  start = performance.now();
  await digestOf(await store.get("app"));
  const down = performance.now() - start;
  // The last part's time is not waited for.
  for (const ms of [up, down]) assert.ok(ms > 1800 && ms < 6000, `${up} ms up, ${down} ms down`);
});

onServer("s3() sets encryption, class, tags, and takes the bucket's word for them", async (server) => {
  const prefix = uniqueName();
  const client = clientOf(server);
  for (const [encryption, expected] of [["s3", "AES256"], ["kms", "aws:kms"]] as const) {
    const store = storeOn(server, {
      prefix,
      partBytes: 5 * MIB,
      encryption: encryption === "kms" ? { kind: "kms", keyId: "holdfast" } : { kind: "s3" },
      storageClass: "REDUCED_REDUNDANCY",
      tags: { purpose: "backup + more", owner: "a=b" },
    });
    for (const [key, size] of [["small", 100], ["large", 11 * MIB]] as const) {
      await store.put(key, inChunks(noise(size), 100_000));
      const target = { Bucket: "backups", Key: `${prefix}/${key}` };
      const head = await client.send(new HeadObjectCommand(target));
      assert.equal(head.ServerSideEncryption, expected);
      assert.equal(head.StorageClass, "REDUCED_REDUNDANCY");
      const { TagSet = [] } = await client.send(new GetObjectTaggingCommand(target));
      assert.deepEqual(TagSet.map(({ Key, Value }) => `${Key}: ${Value}`).sort(), [
        "owner: a=b",
        "purpose: backup + more",
      ]);
      assert.deepEqual(await readAll(await store.get(key), 2 ** 30), noise(size));
    }
  }
  const wrong = storeOn(server, { prefix, encryption: { kind: "kms", keyId: "absent" } });
  await assert.rejects(wrong.put("x", noise(1)), /cannot use the encryption key \(kms:KeyNotFound/);
});

onServer(
  "s3() counts what a versioned bucket keeps, and prune reports what is locked as retained",
  async (server) => {
    const client = clientOf(server);
    const bucket = `locked-${uniqueName()}`;
    await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }));
    const free = storeOn(server, { bucket, prefix: "free" });
    await free.put("app", noise(100, 1));
    await free.put("app", noise(200, 2));
    await free.delete("app");
    const survey = await free.survey();
    assert.equal(survey.versioning, "on");
    assert.equal(survey.objectLock, "on");
    assert.equal(survey.lifecycle, "off");
    assert.deepEqual(survey.noncurrent, { objects: 2, bytes: 300 });
    assert.equal(survey.deleteMarkers, 1);

    for (
      const lock of [{ lock: { mode: "governance", days: 2 } }, { lock: { mode: "compliance", days: 1 } }, {
        legalHold: true,
      }] as const
    ) {
      using dir = treeScratch();
      const store = storeOn(server, { bucket, prefix: uniqueName(), ...lock });
      for (const hour of [1, 2, 3]) {
        await backup(planOf(dir.join("src"), store), {
          now: new Date(Date.UTC(2026, 10, 20, hour)),
        });
      }
      const plan = planOf(dir.join("src"), store).pipe(prune({ keepLast: 1 }));
      const { verdicts, warnings } = await backup(plan, { now: new Date(Date.UTC(2026, 10, 20, 4)) });
      assert.equal(warnings["prune"], undefined);
      assert.equal(verdicts.length, 4);
      const retained = verdicts.filter(({ reasons }) =>
        reasons.some((reason) => reason.startsWith("retained by the store"))
      );
      assert.equal(retained.length, 3, JSON.stringify(verdicts));
      assert.ok(verdicts.every(({ keep }) => keep));
      const expected = "legalHold" in lock
        ? /under legal hold/
        : new RegExp(`locked \\(${lock.lock.mode}\\) until 20`);
      assert.match(retained[0]!.reasons.join(), expected);
    }
  },
);

onServer("s3() says that a bucket without Object Lock cannot lock", async (server) => {
  const store = storeOn(server, { prefix: uniqueName(), lock: { mode: "governance", days: 1 } });
  await assert.rejects(
    store.put("app", noise(10)),
    /Object Lock is set when a bucket is made: use another bucket/,
  );
  assert.equal(await store.retained("app"), undefined);
  const suspended = storeOn(server, { bucket: `plain-${uniqueName()}` });
  await clientOf(server).send(new CreateBucketCommand({ Bucket: new URL(suspended.url).host }));
  assert.equal((await suspended.survey()).versioning, "off");
  await clientOf(server).send(
    new PutBucketVersioningCommand({
      Bucket: new URL(suspended.url).host,
      VersioningConfiguration: { Status: "Enabled" },
    }),
  );
  assert.equal((await suspended.survey()).versioning, "on");
});

onServer("s3() with `look` finds a taken key by itself", async (server) => {
  const store = storeOn(server, { prefix: uniqueName(), conditional: "look", partBytes: 5 * MIB });
  for (const size of [100, 11 * MIB]) {
    await store.put("app", long(size).body, { ifAbsent: true });
    await store.put("app", long(size).body, { ifAbsent: true });
    await assert.rejects(store.put("app", long(size, 2).body, { ifAbsent: true }), ExistsError);
    assert.equal(await digestOf(await store.get("app")), await digestOf(long(size).body));
    await store.delete("app");
  }
  assert.deepEqual(server.unfinished(), []);
});
