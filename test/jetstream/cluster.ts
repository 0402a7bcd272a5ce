/** Three real nats-servers on loopback that are one cluster. */
import { writeFileSync } from "node:fs";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { scratch } from "../support.ts";
import { freePort } from "../store/s3_server.ts";
import { ask } from "./support.ts";

/** A cluster under test. */
export interface Cluster extends AsyncDisposable {
  /** The servers' URLs; their names are n0, n1, n2. */
  readonly servers: readonly string[];
  readonly nc: NatsConnection;
  /** Ends one of the servers at once. */
  readonly kill: (name: string) => void;
  /** Signals one of the servers. */
  readonly signal: (name: string, signal: Deno.Signal) => void;
  /** The server that leads a stream. */
  readonly leaderOf: (stream: string) => Promise<string>;
}

/** Starts a cluster, and waits until it takes streams of three replicas. */
export async function startCluster(): Promise<Cluster> {
  const dir = scratch();
  const ports = [1, 2, 3].map(() => ({ client: freePort(), route: freePort() }));
  const routes = ports.map(({ route }) => `"nats://127.0.0.1:${route}"`).join(", ");
  const children = ports.map(({ client, route }, i) => {
    const data = dir.join(`data${i}`);
    writeFileSync(
      dir.join(`${i}.conf`),
      `server_name: n${i}\nserver_tags: [n${i}]\nlisten: "127.0.0.1:${client}"\njetstream { store_dir: "${data}" }\n` +
        `cluster { name: c, listen: "127.0.0.1:${route}", routes: [${routes}] }\n`,
    );
    const args = ["-c", dir.join(`${i}.conf`), "-l", dir.join(`${i}.log`)];
    return new Deno.Command("nats-server", { args, stdout: "null", stderr: "null" }).spawn();
  });
  const dead = new Set<number>();
  const servers = ports.map(({ client }) => `nats://127.0.0.1:${client}`);
  const nc = await connect({
    servers,
    waitOnFirstConnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
  });
  const kill = (i: number): void => {
    if (dead.has(i)) return;
    dead.add(i);
    children[i]!.kill("SIGKILL");
  };
  const close = async (): Promise<void> => {
    await nc.close();
    children.forEach((_, i) => kill(i));
    await Promise.all(children.map(({ status }) => status));
    dir[Symbol.dispose]();
  };
  try {
    await patiently(() => ask(nc, "STREAM.CREATE.PROBE", { name: "PROBE", num_replicas: 3 }));
    await ask(nc, "STREAM.DELETE.PROBE");
  } catch (error) {
    await close();
    throw error;
  }
  return {
    servers,
    nc,
    signal: (name, signal) => children[Number(name.slice(1))]!.kill(signal),
    kill: (name) => kill(Number(name.slice(1))),
    leaderOf: async (stream) =>
      await patiently(async () => {
        const { cluster } = await ask(nc, `STREAM.INFO.${stream}`);
        if (!cluster.leader) throw new Error(`"${stream}" has no leader`);
        return cluster.leader as string;
      }),
    [Symbol.asyncDispose]: close,
  };
}

/** Until it works: a cluster elects first. */
export async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 150) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}
