/** The snapshot format of nats-server 2.15 (NATSARC1), and what goes between the versions. */
import { strict as assert } from "node:assert";
import * as collect from "../../src/collect/mod.ts";
import type { Entry } from "../../src/stage.ts";
import { judged, noise, testContext } from "../support.ts";
import { ask, collected, contents, givenBack, makeStream, startServer } from "./support.ts";

const inPlace = testContext({ want: { inPlace: true } });

judged(
  "jetstream: nats-server 2.15 there and back; a backup of 2.14 goes into it; one that is cut is refused",
  ["nats-server", "nats-server-2.15"],
  async () => {
    const newer = { program: "nats-server-2.15" };
    await using a = await startServer(newer);
    await using b = await startServer(newer);
    await using old = await startServer();
    for (const { nc } of [a, old]) {
      await makeStream(nc, nc === a.nc ? "NEW" : "OLD", 3000);
      const name = nc === a.nc ? "NEW" : "OLD";
      await ask(nc, `CONSUMER.DURABLE.CREATE.${name}.c`, {
        stream_name: name,
        config: { durable_name: "c", ack_policy: "explicit" },
      });
    }
    await ask(a.nc, "STREAM.CREATE.BIG", { name: "BIG", subjects: ["BIG"], storage: "file" });
    for (let i = 0; i < 9; i++) await a.nc.request("BIG", noise(1_000_000, i + 1), { timeout: 20_000 });
    const { entries, files } = await collected(collect.jetstream({ servers: a.url }));
    const { streams } = files.facts().sources[0]!.facts as { streams: { format: string }[] };
    assert.deepEqual(streams.map(({ format }) => format), ["natsarc1", "natsarc1"]);
    const undo = async (servers: string, what: readonly Entry[]): Promise<void> =>
      void await collect.jetstream({ servers }).undo(givenBack(what), inPlace);
    await undo(b.url, entries);
    for (const name of ["BIG", "NEW"]) {
      assert.deepEqual(await contents(b.nc, name), await contents(a.nc, name));
    }

    const { entries: older } = await collected(collect.jetstream({ servers: old.url }));
    await undo(b.url, older);
    assert.deepEqual(await contents(b.nc, "OLD"), await contents(old.nc, "OLD"));

    // The older server does not know the format: its words, and nothing stays.
    await assert.rejects(undo(old.url, entries), /Cannot restore the stream "BIG"/);
    assert.deepEqual((await ask(old.nc, "STREAM.NAMES")).streams, ["OLD"]);

    // Cut between two frames: every frame is sound, and only the end says that something is missing.
    const data = entries[2]!.body as Uint8Array<ArrayBuffer>;
    let at = 0;
    let before = 0;
    while (at < data.length) {
      before = at;
      at += 4 + (data[at + 1]! | data[at + 2]! << 8 | data[at + 3]! << 16);
    }
    const cut = { ...entries[2]!, body: data.slice(0, before), bytes: before };
    await assert.rejects(
      undo("nats://127.0.0.1:1", [entries[0]!, entries[1]!, cut]),
      /Cannot restore "BIG\/stream.tar.s2": it is cut/,
    );
  },
);
