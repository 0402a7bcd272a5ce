/** Streams that come back under another name. */
import { strict as assert } from "node:assert";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import * as collect from "../../src/collect/mod.ts";
import { judged, noise, testContext } from "../support.ts";
import { ask, collected, contents, givenBack, makeStream, startServer } from "./support.ts";

Deno.test("jetstream: a name that no stream can have, and two streams of one name, fail when the stage is made", () => {
  for (const rename of [{ A: "B C" }, { A: "" }, { A: "X", B: "X" }, { KV_a: "b" }, { a: "OBJ_b" }]) {
    assert.throws(() => collect.jetstream({ rename }), { name: "TypeError", message: /Cannot restore/ });
  }
});

judged(
  "jetstream: a stream, a bucket and an object store under other names, beside the old ones",
  ["nats-server"],
  async () => {
    await using a = await startServer();
    await using b = await startServer();
    await makeStream(a.nc, "EVENTS", 200);
    await makeStream(a.nc, "AUDIT", 1);
    const kv = await new Kvm(a.nc).create("config", { history: 3 });
    for (let i = 0; i < 12; i++) await kv.put(`k${i % 3}`, `v${i}`);
    await kv.delete("k1");
    const objects = await new Objm(a.nc).create("files");
    const bytes = noise(400_000);
    await objects.putBlob({ name: "x" }, bytes);
    const { entries } = await collected(collect.jetstream({ servers: a.url }));

    const back = async (servers: string, rename: Record<string, string>, only: string[]): Promise<void> =>
      void await collect.jetstream({ servers, rename }).undo(
        givenBack(entries),
        testContext({ want: { inPlace: true, only } }),
      );
    await back(a.url, { KV_config: "KV_config2", OBJ_files: "OBJ_files2" }, ["KV_*", "OBJ_*"]);
    const kv2 = await new Kvm(a.nc).open("config2");
    assert.equal((await kv2.get("k0"))?.string(), "v9");
    assert.equal((await kv2.get("k1"))?.operation, "DEL");
    assert.equal((await kv2.status()).history, 3);
    const objects2 = await new Objm(a.nc).open("files2");
    assert.deepEqual(await objects2.getBlob("x"), bytes);
    assert.equal((await kv.get("k0"))?.string(), "v9");

    // A plain stream keeps its subjects, so it needs a server where the old one is not.
    await assert.rejects(
      back(a.url, { EVENTS: "OLD" }, ["EVENTS"]),
      /"OLD".*overlap.*Another stream has its/,
    );
    await back(b.url, { EVENTS: "OLD" }, ["EVENTS"]);
    const plain = async (nc: typeof a.nc, name: string): Promise<unknown[]> =>
      (await contents(nc, name)).messages.map((one) => {
        const { subject, data, seq } = one as { subject: string; data: string; seq: number };
        return { subject, data, seq };
      });
    assert.deepEqual(await plain(b.nc, "OLD"), await plain(a.nc, "EVENTS"));
    assert.deepEqual((await ask(b.nc, "STREAM.NAMES")).streams, ["OLD"]);

    // What exists under the new name is a conflict like any other.
    await assert.rejects(back(b.url, { EVENTS: "OLD" }, ["EVENTS"]), /1 of 1 streams exist \("OLD"\)/);
    await assert.rejects(back(b.url, { EVENTS: "KV_x" }, []), /stays a bucket/);
    await assert.rejects(back(b.url, { EVENTS: "AUDIT" }, []), /the backup holds that stream too/);
  },
);
