/** `list` of more backups than anybody looks at: one pass of pages, whatever lies in the receipts. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { archive, collect, encrypt, list, pipeline, type Plan, sign, type Store, upload } from "../../mod.ts";
import * as store from "../../src/store/mod.ts";
import { formatName } from "../../src/name.ts";
import { faultProxy } from "../../src/testing/mod.ts";
import { hasTool, judged, noise } from "../support.ts";
import { startServer, storeOn, toolPath, uniqueName } from "./s3_server.ts";

const SOAK = Deno.env.get("HOLDFAST_SOAK") !== undefined;
const COUNT = SOAK ? 100_000 : 1001;
const PARTS = ["", ".receipt.json"];
const minio = toolPath("minio");
const idAt = (hour: number): string =>
  formatName("app", new Date(Date.UTC(2015, 0, 1) + hour * 3_600_000), ".tar.gz");

function planOn(to: Store): Plan {
  return pipeline(collect.files("/nowhere"))
    .pipe(archive.tar())
    .pipe(encrypt.plaintext())
    .pipe(sign.sha256())
    .pipe(upload({ name: "app", to }));
}

judged(`list of ${COUNT} backups on a bucket is one pass of pages`, [minio], async () => {
  if (!existsSync(minio) && !hasTool(minio)) return;
  const server = await startServer("minio");
  const proxy = await faultProxy(server.endpoint, []);
  try {
    const prefix = uniqueName();
    await storeOn(server, { prefix }).put("any", noise(10));
    // The name is not in MinIO's file: an object more is a copy of it (200,000 requests would take the better part of an hour).
    const folder = join(server.data, "backups", prefix);
    const object = readFileSync(join(folder, "any", "xl.meta"));
    for (let i = 0; i < COUNT; i++) {
      for (const part of PARTS) {
        mkdirSync(join(folder, idAt(i) + part));
        Deno.writeFileSync(join(folder, idAt(i) + part, "xl.meta"), object);
      }
    }
    const start = performance.now();
    const items = await list(planOn(storeOn({ endpoint: proxy.url }, { prefix })));
    console.error(`${COUNT} backups in ${Math.round(performance.now() - start)} ms`);
    assert.equal(items.length, COUNT);
    assert.equal(new Set(items.map(({ id }) => id)).size, COUNT);
    assert.ok(items.every(({ state, bytes, entries }) => state === "complete" && bytes === 10 && !entries));
    // MinIO says of a full last page that there is more.
    assert.ok(
      proxy.requests.length <= Math.ceil((COUNT * PARTS.length + 1) / 1000),
      `${proxy.requests.length}`,
    );
    assert.equal(new Set(proxy.requests).size, proxy.requests.length);
    assert.ok(proxy.requests.every((request) => request.includes("list-type=2")));
  } finally {
    await proxy.close();
    await server.close();
  }
});

Deno.test("list reads receipts of up to 1,000 backups, of more only when details are asked for", async () => {
  const memory = store.memory();
  let reads = 0;
  const counted: Store = { ...memory, get: (...args) => (reads++, memory.get(...args)) };
  for (let i = 0; i < 1001; i++) {
    for (const part of PARTS) await memory.put(idAt(i) + part, noise(1));
  }
  const plan = planOn(counted);
  const states = async (details?: boolean): Promise<string> =>
    [...new Set((await list(plan, { details })).map(({ state }) => state))].join();
  assert.equal(await states(), "complete");
  assert.equal(reads, 0);
  assert.equal(await states(true), "damaged"); // the receipts are noise
  assert.equal(reads, 1001);
  await memory.delete(idAt(0));
  await memory.delete(`${idAt(0)}.receipt.json`);
  reads = 0;
  assert.equal(await states(false), "complete");
  assert.equal(reads, 0);
  assert.equal(await states(), "damaged");
  assert.equal(reads, 1000);
});
