/** A replicated bucket on a cluster of three: the contract, and a server that dies in the middle. Part of the soak. */
import assert from "node:assert/strict";
import { store } from "../../mod.ts";
import { bytesOf, testStore } from "../contract/store.ts";
import { startCluster } from "../jetstream/cluster.ts";
import { judged, noise } from "../support.ts";
import { ask } from "./nats_server.ts";

if (Deno.env.get("HOLDFAST_SOAK")) {
  const cluster = await startCluster();
  Deno.test.afterAll(async () => await cluster[Symbol.asyncDispose]());
  await ask(cluster.nc, "STREAM.CREATE.OBJ_r3", {
    name: "OBJ_r3",
    subjects: ["$O.r3.C.>", "$O.r3.M.>"],
    storage: "file",
    discard: "new",
    allow_rollup_hdrs: true,
    allow_direct: true,
    num_replicas: 3,
  });
  let made = 0;
  testStore("nats() on three replicas", () => {
    const target = store.nats({ servers: cluster.servers, bucket: "r3", prefix: `p${++made}` });
    return Promise.resolve({ store: target, debris: () => Promise.resolve([]), close: target.close });
  });

  judged("nats() on three replicas goes on when the leader dies in the middle", ["nats-server"], async () => {
    const target = store.nats({ servers: cluster.servers, bucket: "r3", prefix: "killed", retries: 12 });
    const bytes = noise(8 * 1024 * 1024);
    let at = 0;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      async pull(controller): Promise<void> {
        if (at === bytes.length / 2) {
          cluster.kill(await cluster.leaderOf("OBJ_r3"));
        }
        if (at === bytes.length) return controller.close();
        controller.enqueue(bytes.slice(at, at += 512 * 1024));
      },
    }, { highWaterMark: 0 });
    try {
      await target.put("app", body, { ifAbsent: true });
      assert.deepEqual(await bytesOf(target, "app"), bytes);
    } finally {
      await target.close();
    }
  }, { sanitizeResources: false }); // one of the servers that all tests share ends here
}
