/** A cluster of three: streams of three replicas there and back, a leader that dies, and what then is missing. Part of the soak. */
import { strict as assert } from "node:assert";
import * as collect from "../../src/collect/mod.ts";
import { judged, noise, type Seen, testContext } from "../support.ts";
import { patiently, startCluster } from "./cluster.ts";
import { ask, collected, contents, givenBack, makeStream, startServer } from "./support.ts";

if (Deno.env.get("HOLDFAST_SOAK")) {
  judged(
    "jetstream: a cluster: three replicas there and back, a leader that dies in the middle, a stream whose server is gone",
    ["nats-server"],
    async () => {
      await using cluster = await startCluster();
      const { nc, servers } = cluster;
      for (const name of ["A", "B", "C", "D"]) await makeStream(nc, name, 60, { num_replicas: 3 });
      await ask(nc, "CONSUMER.DURABLE.CREATE.A.c", {
        stream_name: "A",
        config: { durable_name: "c", ack_policy: "explicit" },
      });
      await makeStream(nc, "OWN", 1, { num_replicas: 3 });
      await ask(nc, "CONSUMER.DURABLE.CREATE.OWN.c", {
        stream_name: "OWN",
        config: { durable_name: "c", ack_policy: "explicit", num_replicas: 3 },
      });
      const all = ["A", "B", "C", "D"];
      const before = await Promise.all(all.map((name) => contents(nc, name)));
      const stage = collect.jetstream({ servers, exclude: ["OWN"] });
      const { entries } = await collected(stage);
      const { entries: own } = await collected(collect.jetstream({ servers, streams: ["OWN"] }));

      // Into a server that stands alone: as many replicas as it can give, and words when it cannot.
      await using alone = await startServer();
      const into = async (options: collect.JetStreamOptions, what = entries): Promise<void> => {
        const { undo } = collect.jetstream(options);
        await undo(givenBack(what), testContext({ want: { inPlace: true } }));
      };
      await assert.rejects(
        into({ servers: alone.url }),
        /Cannot restore the stream "A".*Set replicas to what/,
      );
      await assert.rejects(
        into({ servers: alone.url, replicas: 1 }, own),
        /"OWN".*a number of replicas of its own/,
      );
      assert.equal((await ask(alone.nc, "INFO")).streams, 0);
      await into({ servers: alone.url, replicas: 1 });
      assert.deepEqual(await Promise.all(all.map((name) => contents(alone.nc, name))), before);

      // And from there into the cluster again, with three.
      const { entries: single } = await collected(collect.jetstream({ servers: alone.url }));
      for (const name of [...all, "OWN"]) await ask(nc, `STREAM.DELETE.${name}`);
      await into({ servers, replicas: 3 }, single);
      assert.deepEqual(await Promise.all(all.map((name) => contents(nc, name))), before);
      assert.equal((await ask(nc, "STREAM.INFO.A")).config.num_replicas, 3);

      await ask(nc, "STREAM.CREATE.BIG", {
        name: "BIG",
        subjects: ["BIG"],
        storage: "file",
        num_replicas: 3,
      });
      for (let i = 0; i < 40; i++) await nc.request("BIG", noise(1_000_000, i + 1), { timeout: 20_000 });
      const leader = await cluster.leaderOf("BIG");
      const others = servers.filter((_, i) => `n${i}` !== leader);
      await ask(nc, "STREAM.CREATE.ONE", { name: "ONE", storage: "file", placement: { tags: [leader] } });

      // Its leader dies in the middle: that stream fails, and all others are read, whoever led them.
      const seen: Seen = { warnings: [], infos: [] };
      const context = testContext({ seen });
      const files = await collect.jetstream({
        servers: others,
        exclude: ["ONE"],
        order: { first: ["BIG"] },
        idleMs: 3000,
      }).run(undefined, {
        ...context,
        progress: ({ bytes }) => {
          if (bytes > 2_000_000) cluster.kill(leader);
        },
      });
      await assert.rejects(
        async () => {
          for await (const _ of files.entries()) { /* that it fails is what counts */ }
        },
        /Cannot back up 1 of 5 streams: "BIG": (the server has been silent for|the connection to).*Nothing was stored/,
      );

      // With its only server gone a stream is listed as missing: that is a failure, and with `partial` a warning.
      const run = (options: collect.JetStreamOptions): ReturnType<typeof collected> =>
        collected(collect.jetstream({ servers: others, ...options }), testContext({ seen }));
      await patiently(async () => void await ask(nc, "STREAM.INFO.BIG"));
      await assert.rejects(run({}), /Cannot back up 1 of 6 streams: "ONE": no server that has it answers/);
      const { entries: partial } = await run({ partial: true });
      assert.equal(partial.filter(({ kind }) => kind === "directory").length, 5);
      assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["stream"]);
    },
  );
}
