/** A drill restores into a private server, and sees what a restore alone would not. */
import { strict as assert } from "node:assert";
import { mkdirSync, writeFileSync } from "node:fs";
import { archive, encrypt, pipeline, upload } from "../../mod.ts";
import * as collect from "../../src/collect/mod.ts";
import { drillStreams } from "../../src/collect/jetstream/drill.ts";
import { drill } from "../../src/drill.ts";
import { backup } from "../../src/run.ts";
import { memory } from "../../src/store/mod.ts";
import { judged, scratch, type Seen, testContext } from "../support.ts";
import { ask, collected, makeStream, startServer } from "./support.ts";

judged("drill: streams come back in a private server, and the receipt says so", ["nats-server"], async () => {
  await using server = await startServer();
  await makeStream(server.nc, "A", 200);
  await ask(server.nc, "CONSUMER.DURABLE.CREATE.A.c", {
    stream_name: "A",
    config: { durable_name: "c", ack_policy: "explicit" },
  });
  await makeStream(server.nc, "KV_b", 10);
  const plan = pipeline(collect.jetstream({ servers: server.url }))
    .pipe(archive.tar())
    .pipe(encrypt.plaintext())
    .pipe(upload({ name: "streams", to: memory() }));
  await backup(plan);
  await server.stop();
  const { rtoMs, rpoMs, entries } = await drill(plan);
  assert.ok(rtoMs > 0 && rpoMs >= 0 && entries === 6);
});

judged(
  "drill: fewer messages are a failure, unless the stream's limits explain them",
  ["nats-server"],
  async () => {
    await using server = await startServer();
    using dir = scratch();
    await makeStream(server.nc, "S", 50);
    await makeStream(server.nc, "OLD", 50, { max_age: 1_500_000_000 });
    const { entries } = await collected(collect.jetstream({ servers: server.url }));
    const write = (stream: string, state: Record<string, unknown>): void => {
      mkdirSync(dir.join(stream), { recursive: true });
      const [, config, data] = entries.filter(({ path }) => path.split("/")[0] === stream);
      const value = JSON.parse(new TextDecoder().decode(config!.body as Uint8Array));
      writeFileSync(
        dir.join(stream, "backup.json"),
        JSON.stringify({ ...value, state: { ...value.state, ...state } }),
      );
      writeFileSync(dir.join(stream, "stream.tar.s2"), data!.body as Uint8Array);
    };
    write("S", {});
    assert.deepEqual(await drillStreams(dir.path, testContext()), { streams: 1, sampled: 25, expired: "0" });
    const wrong: readonly [Record<string, unknown>, RegExp][] = [
      [{ messages: 51 }, /has 1 messages fewer than at the cut/],
      [{ first_seq: 0 }, /starts at sequence 1, not 0/],
      [{ last_seq: 60 }, /ends at sequence 50/],
      [{ consumer_count: 1 }, /has 0 consumers, not 1/],
    ];
    for (const [state, message] of wrong) {
      write("S", state);
      await assert.rejects(drillStreams(dir.path, testContext()), message);
    }
    write("S", {});
    write("OLD", {});
    await new Promise((resolve) => setTimeout(resolve, 1600));
    const seen: Seen = { warnings: [], infos: [] };
    const { expired } = await drillStreams(dir.path, testContext({ seen }));
    assert.ok(
      Number(expired) > 0 &&
        seen.infos.some((info) => /"OLD" has \d+ messages fewer .*their time was up/.test(info)),
    );
    await assert.rejects(
      drillStreams(dir.path, testContext(), { natsServer: "/no/such/program" }),
      /Cannot start "\/no\/such\/program".*Install nats-server/,
    );
  },
);
