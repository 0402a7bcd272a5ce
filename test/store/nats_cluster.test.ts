/** A replicated bucket on a cluster of three: the contract, and a server that dies in the middle. Part of the soak. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { store } from "../../mod.ts";
import { bytesOf, testStore } from "../contract/store.ts";
import { judged, noise, scratch } from "../support.ts";
import { ask } from "./nats_server.ts";
import { freePort } from "./s3_server.ts";

interface Cluster {
  readonly servers: readonly string[];
  readonly children: readonly Deno.ChildProcess[];
  readonly nc: NatsConnection;
  readonly close: () => Promise<void>;
}

async function startCluster(): Promise<Cluster> {
  const dir = scratch();
  const ports = [1, 2, 3].map(() => ({ client: freePort(), route: freePort() }));
  const routes = ports.map(({ route }) => `"nats://127.0.0.1:${route}"`).join(", ");
  const children = ports.map(({ client, route }, i) => {
    writeFileSync(
      dir.join(`${i}.conf`),
      `server_name: n${i}\nlisten: "127.0.0.1:${client}"\njetstream { store_dir: "${
        dir.join(`data${i}`)
      }" }\n` +
        `cluster { name: c, listen: "127.0.0.1:${route}", routes: [${routes}] }\n`,
    );
    return new Deno.Command("nats-server", {
      args: ["-c", dir.join(`${i}.conf`), "-l", dir.join(`${i}.log`)],
    }).spawn();
  });
  const servers = ports.map(({ client }) => `nats://127.0.0.1:${client}`);
  const nc = await connect({ servers, waitOnFirstConnect: true, maxReconnectAttempts: -1 });
  const close = async (): Promise<void> => {
    await nc.close();
    for (const child of children) {
      try {
        child.kill("SIGKILL");
      } catch { /* a test has killed it */ }
      await child.status;
    }
    dir[Symbol.dispose]();
  };
  for (let attempt = 1;; attempt++) {
    try {
      await ask(nc, "STREAM.CREATE.OBJ_r3", {
        name: "OBJ_r3",
        subjects: ["$O.r3.C.>", "$O.r3.M.>"],
        storage: "file",
        discard: "new",
        allow_rollup_hdrs: true,
        allow_direct: true,
        num_replicas: 3,
      });
      return { servers, children, nc, close };
    } catch (error) { // no leader yet
      if (attempt > 100) {
        await close();
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

if (Deno.env.get("HOLDFAST_SOAK")) {
  const cluster = await startCluster();
  Deno.test.afterAll(cluster.close);
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
          const { cluster: { leader } } = await ask(cluster.nc, "STREAM.INFO.OBJ_r3");
          cluster.children[Number(leader.slice(1))]!.kill("SIGKILL");
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
