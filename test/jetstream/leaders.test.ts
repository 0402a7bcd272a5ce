/** A cluster of three whose leader steps down, or stops answering, in the middle of a snapshot and of a restore. Part of the soak. */
import { strict as assert } from "node:assert";
import { readAll } from "../../src/bytes.ts";
import * as collect from "../../src/collect/mod.ts";
import type { Entry } from "../../src/stage.ts";
import { judged, noise, testContext } from "../support.ts";
import { type Cluster, patiently, startCluster } from "./cluster.ts";
import { ask, contents, givenBack } from "./support.ts";

const inPlace = testContext({ want: { inPlace: true } });

/** What a piece of work that is disturbed comes to: it succeeds, or says why not. */
async function outcome<T>(work: () => Promise<T>): Promise<T | Error> {
  return await work().catch((error: Error) => error);
}

/** A backup during which, once, something happens. */
async function backup(servers: readonly string[], happens: () => void): Promise<Entry[]> {
  let happened = false;
  const files = await collect.jetstream({ servers, idleMs: 3000 }).run(undefined, {
    ...testContext(),
    progress: ({ bytes }) => {
      if (happened || bytes < 2_000_000) return;
      happened = true;
      happens();
    },
  });
  const entries: Entry[] = [];
  for await (const entry of files.entries()) {
    const body = typeof entry.body === "function" ? await readAll(entry.body(), 2 ** 30) : entry.body;
    entries.push({ ...entry, body });
  }
  assert.ok(happened);
  return entries;
}

async function restored(cluster: Cluster, entries: readonly Entry[], before: unknown): Promise<void> {
  await patiently(async () => assert.deepEqual(await contents(cluster.nc, "BIG"), before));
  assert.equal(entries.length, 3);
}

if (Deno.env.get("HOLDFAST_SOAK")) {
  judged(
    "jetstream: a leader that steps down in the middle of a snapshot, or of a restore: equal content, or words and nothing changed",
    ["nats-server"],
    async () => {
      await using cluster = await startCluster();
      const { nc, servers } = cluster;
      await ask(nc, "STREAM.CREATE.BIG", {
        name: "BIG",
        subjects: ["BIG"],
        storage: "file",
        num_replicas: 3,
      });
      for (let i = 0; i < 40; i++) await nc.request("BIG", noise(1_000_000, i + 1), { timeout: 20_000 });
      const before = await contents(nc, "BIG");
      const stepDown = (): void => nc.publish("$JS.API.STREAM.LEADER.STEPDOWN.BIG");

      const first = await cluster.leaderOf("BIG");
      const disturbed = await outcome(() => backup(servers, stepDown));
      console.log(
        `step-down in a snapshot: ${disturbed instanceof Error ? disturbed.message : "it went on"}`,
      );
      if (disturbed instanceof Error) {
        assert.match(disturbed.message, /Cannot back up 1 of 1 streams: "BIG": .*Nothing was stored/);
      }
      await patiently(async () => assert.notEqual(await cluster.leaderOf("BIG"), first));
      // What came whole, then or after, is what the stream holds.
      const entries = await patiently(async () =>
        disturbed instanceof Error ? await backup(servers, () => {}) : disturbed
      );
      await ask(nc, "STREAM.DELETE.BIG");

      const restore = async (happens: () => void): Promise<void> => {
        const { undo } = collect.jetstream({ servers, replicas: 3 });
        const files = givenBack(entries);
        const timer = setInterval(happens, 5);
        await Promise.resolve(undo(files, inPlace)).finally(() => clearInterval(timer));
      };
      const again = await outcome(() => restore(stepDown));
      console.log(`step-down in a restore: ${again instanceof Error ? again.message : "it went on"}`);
      if (again instanceof Error) {
        assert.match(again.message, /Cannot restore the stream "BIG": /);
        await patiently(async () => assert.deepEqual((await ask(nc, "STREAM.NAMES")).streams, null));
        await patiently(() => restore(() => {}));
      }
      await restored(cluster, entries, before);

      // A leader that is there and silent: the connection leads elsewhere, and that stream ends at the idle time-out.
      const leader = await cluster.leaderOf("BIG");
      const others = servers.filter((_, i) => `n${i}` !== leader);
      const silent = await outcome(() => backup(others, () => cluster.signal(leader, "SIGSTOP")));
      cluster.signal(leader, "SIGCONT");
      console.log(`a leader that stops: ${silent instanceof Error ? silent.message : "it went on"}`);
      assert.match((silent as Error).message, /"BIG": (the server has been silent for|the connection to)/);
    },
  );
}
