/** S3 over a line that misbehaves: what passes is tried again, what does not is one clear sentence, and nothing half-done is visible. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { archive, collect, encrypt, pipeline, prune, sign, store as stores, upload } from "../../mod.ts";
import { StoreError } from "../../src/errors.ts";
import type { S3Options, S3Store } from "../../src/store/s3.ts";
import { faultProxy, type ProxyFault, random, simulate } from "../../src/testing/mod.ts";
import { bytesOf, keysOf } from "../contract/store.ts";
import { hasTool, inChunks, judged, noise, scratch } from "../support.ts";
import { type Server, startServer, storeOn, toolPath, uniqueName } from "./s3_server.ts";

const MIB = 1024 * 1024;
const SOAK = Deno.env.get("HOLDFAST_SOAK") !== undefined;
const minio = toolPath("minio");
let server: Server | undefined;
if (existsSync(minio) || hasTool(minio)) {
  server = await startServer("minio");
  Deno.test.afterAll(server.close);
}

/** A store behind a proxy with these faults, and the same store without. */
async function behind(
  plan: readonly ProxyFault[],
  run: (store: S3Store, direct: S3Store, happened: readonly number[]) => Promise<void>,
  options: Partial<S3Options> = {},
): Promise<void> {
  const proxy = await faultProxy(server!.endpoint, plan);
  const prefix = uniqueName();
  try {
    const store = storeOn({ endpoint: proxy.url }, { prefix, partBytes: 5 * MIB, ...options });
    await run(store, storeOn(server!, { prefix }), proxy.happened);
  } finally {
    await proxy.close();
  }
}

const refused = (status: number, code: string): ProxyFault => ({
  how: "answer",
  status,
  headers: { "content-type": "application/xml" },
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>Made to fail</Message></Error>`,
});

judged("s3() waits as long as a 429 asks for, and goes on", [minio], async () => {
  const plan = [{ ...refused(429, "SlowDown"), method: "PUT", nth: 1, headers: { "retry-after": "1" } }];
  await behind(plan, async (store, direct, happened) => {
    const start = performance.now();
    await store.put("app", noise(100), { ifAbsent: true });
    assert.ok(performance.now() - start >= 990);
    assert.deepEqual(happened, [1]);
    assert.deepEqual(await bytesOf(direct, "app"), noise(100));
  });
});

judged("s3() that is always told to wait says so, in one sentence", [minio], async () => {
  await behind([refused(429, "TooManyRequests")], async (store, direct) => {
    const calls: (() => Promise<unknown>)[] = [
      () => store.put("app", noise(10)),
      () => store.head("app"),
      () => keysOf(store),
      () => store.delete("app"),
    ];
    for (const call of calls) {
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof StoreError && error.retryable, String(error));
        assert.match(error.message, /^Cannot (write|look up|list|delete) .*429/);
        assert.ok(!error.message.includes("\n"));
        return true;
      });
    }
    assert.deepEqual(await keysOf(direct), []);
  }, { retries: 1 });
});

/** Each happens once, to one request; a second attempt helps. */
const ONCE: readonly Omit<ProxyFault, "method" | "nth">[] = [
  { ...refused(503, "SlowDown") },
  { ...refused(500, "InternalError") },
  { how: "reset" },
  { how: "lost" },
  { how: "tear", at: 50 },
  { how: "cut", at: 20 },
  { how: "twice" },
  { how: "stall" },
  { how: "slow", ms: 1 },
];

judged("s3() gets through every fault that passes, with the right bytes", [minio], async () => {
  const [small, large] = [noise(1000, 2), noise(11 * MIB, 3)];
  const moments = [["PUT", 1], ["PUT", 3], ["POST", 1], ["POST", 2], ["GET", 1], ["DELETE", 1]] as const;
  const quick = ["answer", "lost", "tear", "twice"];
  for (const fault of SOAK ? ONCE : ONCE.filter(({ how, status }) => quick.includes(how) && status !== 500)) {
    const some = fault.how === "stall" ? moments.slice(1, 3) : moments;
    const plan = some.map(([method, nth]): ProxyFault => ({ ...fault, method, nth }));
    await behind(plan, async (store, direct) => {
      await store.put("small", small, { ifAbsent: true });
      await store.put("large", inChunks(large, MIB), { ifAbsent: true });
      assert.deepEqual(await bytesOf(store, "small"), small);
      assert.deepEqual(await keysOf(store), ["large", "small"]);
      assert.deepEqual(await bytesOf(direct, "large"), large);
      await store.delete("large");
      assert.deepEqual(await keysOf(direct), ["small"]);
    }, { stallMs: 1000 });
  }
});

judged("s3() whose credentials expire in the middle says so once, and shows nothing", [minio], async () => {
  const expired = { ...refused(400, "ExpiredToken"), from: 4 };
  await behind([expired], async (store, direct) => {
    await assert.rejects(store.put("app", inChunks(noise(40 * MIB), MIB), { ifAbsent: true }), (error) => {
      assert.ok(error instanceof StoreError, String(error));
      assert.match(error.message, /^Cannot write "app" in s3:\S+: .*expired/);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
    assert.deepEqual(await keysOf(direct), []);
  });
});

judged("s3() that is told another tag than a part has does not complete the object", [minio], async () => {
  const wrong: ProxyFault = {
    how: "headers",
    method: "PUT",
    nth: 2,
    headers: { etag: '"0123456789abcdef"' },
  };
  const before = server!.unfinished().length; // expired credentials could abort nothing
  await behind([wrong], async (store, direct) => {
    await assert.rejects(store.put("app", inChunks(noise(16 * MIB), MIB), { ifAbsent: true }), (error) => {
      assert.ok(error instanceof StoreError, String(error));
      assert.match(error.message, /^Cannot write "app"/);
      return true;
    });
    assert.deepEqual(await keysOf(direct), []);
    assert.ok(server!.unfinished().length <= before);
  });
});

judged("s3() lists in one pass of pages", [minio], async () => {
  const count = SOAK ? 20_001 : 1_001;
  const proxy = await faultProxy(server!.endpoint, []);
  try {
    const prefix = uniqueName();
    const direct = storeOn(server!, { prefix });
    await Promise.all(Array.from({ length: 8 }, async (_, lane) => {
      for (let i = lane; i < count; i += 8) await direct.put(`app ü/${i}`, noise(1));
    }));
    const keys = await keysOf(storeOn({ endpoint: proxy.url }, { prefix }));
    assert.equal(new Set(keys).size, count);
    assert.equal(keys.length, count);
    assert.equal(proxy.requests.length, Math.ceil(count / 1000));
    assert.ok(proxy.requests.every((request) => request.includes("list-type=2")));
  } finally {
    await proxy.close();
  }
});

const LIVES = SOAK ? 60 : 3;

judged(`${LIVES} lives of a plan on a bucket behind a bad line`, [minio], async () => {
  using dir = scratch();
  Deno.writeTextFileSync(dir.join("file"), "content\n");
  const plan = pipeline(collect.files(dir.path))
    .pipe(archive.tar())
    .pipe(encrypt.plaintext())
    .pipe(sign.sha256())
    .pipe(upload({ name: "app", to: stores.memory() }))
    .pipe(prune({ keepLast: 2 }));
  const chance = random(11);
  const proxies: { close: () => Promise<void> }[] = [];
  try {
    const report = await simulate(plan, {
      runs: LIVES,
      seed: 500,
      store: async () => {
        const faults = Array.from({ length: 6 }, (): ProxyFault => ({
          ...chance.pick(ONCE.filter(({ how }) => how !== "stall")),
          method: chance.pick(["GET", "PUT", "DELETE", "HEAD"]),
          nth: chance.between(1, 40),
        }));
        const proxy = await faultProxy(server!.endpoint, faults);
        proxies.push(proxy);
        return storeOn({ endpoint: proxy.url }, { prefix: uniqueName() });
      },
    });
    assert.deepEqual(report.violations, []);
    assert.ok(report.outcomes["complete"]! > 0);
  } finally {
    for (const proxy of proxies) await proxy.close();
  }
});
