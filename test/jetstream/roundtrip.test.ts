/** Streams, buckets, object stores and consumers out of one real server and into another. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { jetstream } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import * as collect from "../../src/collect/mod.ts";
import { parseExact } from "../../src/nats/exact.ts";
import { judged, noise, type Seen, testContext } from "../support.ts";
import {
  ask,
  collected,
  contents,
  givenBack,
  makeStream,
  publish,
  startServer,
  type TestServer,
} from "./support.ts";

const inPlace = testContext({ want: { inPlace: true } });

judged(
  "jetstream: what is published while it is read is as the cut says, in another server",
  ["nats-server"],
  async () => {
    await using a = await startServer();
    await using b = await startServer();
    const names = ["S0", "S1", "S2", "S3", "S4"];
    for (const name of names) {
      await makeStream(a.nc, name, 500);
    }
    const kv = await new Kvm(a.nc).create("config", { history: 5 });
    for (let i = 0; i < 20; i++) await kv.put(`k${i % 5}`, `v${i}`);
    await kv.delete("k1");
    await (await new Kvm(a.nc).create("more")).put("x", "y");
    const big = noise(700_000);
    const store = await new Objm(a.nc).create("files");
    await store.putBlob({ name: "big.bin" }, big);
    await consume(a, "S0", 123);

    let publishing = true;
    const busy = (async () => {
      for (let i = 500; publishing; i += 50) {
        for (const name of names) await publish(a.nc, name, i, 50);
        await kv.put(`new${i}`, `v${i}`);
        await store.putBlob({ name: `new${i}` }, noise(200_000, i));
      }
    })();
    const { entries, files } = await collected(collect.jetstream({ servers: a.url }));
    publishing = false;
    await busy;
    await collect.jetstream({ servers: b.url }).undo(givenBack(entries), inPlace);

    for (const name of [...names, "KV_config", "KV_more", "OBJ_files"]) {
      const was = await contents(a.nc, name);
      const is = await contents(b.nc, name);
      assert.deepEqual(is.messages, was.messages.slice(0, is.messages.length), name);
      assert.deepEqual(strip(is.consumers), strip(was.consumers), name);
      // The server may take in what arrives meanwhile: at least the cut, from its first number on, and nothing else.
      const cut = cutsOf(files).get(name)!;
      const sequences = is.messages.map((message) => (message as { seq: number }).seq);
      assert.ok(sequences.length >= Number(cut.messages), `${name} has what the receipt says`);
      assert.ok(sequences.includes(Number(cut.lastSeq)), `${name} goes up to what the receipt says`);
      assert.deepEqual(
        [String(sequences[0]), String(is.consumers.length)],
        [cut.firstSeq, cut.consumers],
        name,
      );
    }
    const kv2 = await new Kvm(b.nc).open("config");
    assert.equal((await kv2.get("k0"))?.string(), "v15");
    assert.equal((await kv2.get("k0"))?.revision, (await kv.get("k0"))?.revision);
    for (const key of ["k0", "k2", "k3", "k4"]) {
      const [was, is] = [await kv.get(key), await kv2.get(key)];
      assert.deepEqual([is?.revision, is?.created, is?.string()], [
        was?.revision,
        was?.created,
        was?.string(),
      ]);
    }
    assert.equal((await kv2.get("k1"))?.operation, "DEL");
    const objects = await new Objm(b.nc).open("files");
    const digest = (bytes: Uint8Array | null): string =>
      createHash("sha256").update(bytes!).digest("base64url");
    assert.equal(digest(await objects.getBlob("big.bin")), digest(big));
    for (const { name, digest: stated } of await objects.list()) {
      const blob = digest(await objects.getBlob(name));
      assert.equal(stated.replace(/=*$/, ""), `SHA-256=${blob}`, name);
      assert.equal(blob, digest(await store.getBlob(name)), name);
    }
  },
);

/** Consumers without what goes on while messages arrive. */
function strip(consumers: unknown[]): unknown[] {
  return (consumers as { num_pending: number }[]).map((consumer) => ({
    ...consumer,
    num_pending: undefined,
  }));
}

interface CutFact {
  readonly name: string;
  readonly messages: string;
  readonly firstSeq: string;
  readonly lastSeq: string;
  readonly consumers: string;
}

function cutsOf(
  files: { facts: () => { sources: readonly { facts: Record<string, unknown> }[] } },
): Map<string, CutFact> {
  return new Map((files.facts().sources[0]!.facts.streams as CutFact[]).map((cut) => [cut.name, cut]));
}

async function consume(server: TestServer, stream: string, count: number): Promise<void> {
  await ask(server.nc, `CONSUMER.DURABLE.CREATE.${stream}.worker`, {
    stream_name: stream,
    config: { durable_name: "worker", ack_policy: "explicit", ack_wait: 3_600_000_000_000 },
  });
  const consumer = await jetstream(server.nc).consumers.get(stream, "worker");
  for await (const message of await consumer.fetch({ max_messages: count })) await message.ackAck();
}

judged(
  "jetstream: numbers beyond 2^53 and times in nanoseconds come through unchanged",
  ["nats-server"],
  async () => {
    await using a = await startServer();
    await using b = await startServer();
    const first = "9007199254740995";
    await ask(
      a.nc,
      "STREAM.CREATE.FAR",
      `{"name":"FAR","subjects":["FAR.>"],"storage":"file","first_seq":${first},"max_age":9007199254740993}`,
    );
    await publish(a.nc, "FAR", 0, 3);
    const { entries, files } = await collected(collect.jetstream({ servers: a.url }));
    const text = new TextDecoder().decode(entries[1]!.body as Uint8Array);
    assert.match(text, new RegExp(`"first_seq": ${first},`));
    assert.match(text, /"max_age": 9007199254740993,/);
    assert.equal(cutsOf(files).get("FAR")!.lastSeq, "9007199254740997");
    await collect.jetstream({ servers: b.url }).undo(givenBack(entries), inPlace);
    const answer = new TextDecoder().decode((await b.nc.request("$JS.API.STREAM.INFO.FAR")).data);
    assert.match(answer, new RegExp(`"first_seq":${first},.*"last_seq":9007199254740997`));
    assert.match(answer, /"max_age":9007199254740993,/);
  },
);

Deno.test("exact: what looks like a number's wrapper is still an object", () => {
  const value = parseExact('{"a":{"rawJSON":"5"},"b":18446744073709551615}');
  assert.equal(JSON.stringify(value), '{"a":{"rawJSON":"5"},"b":18446744073709551615}');
  assert.throws(() => parseExact("[1]"), /not a JSON object/);
});

judged(
  "jetstream: many small streams, and an account that has more than one page of them",
  ["nats-server"],
  async () => {
    await using a = await startServer();
    await using b = await startServer();
    const count = 300;
    const made: Promise<unknown>[] = [];
    for (let i = 0; i < count; i++) {
      made.push(
        ask(a.nc, `STREAM.CREATE.s${i}`, { name: `s${i}`, subjects: [`s${i}`] }),
      );
    }
    await Promise.all(made);
    const { entries } = await collected(collect.jetstream({ servers: a.url, concurrency: 16 }));
    assert.equal(entries.filter(({ kind }) => kind === "directory").length, count);
    await collect.jetstream({ servers: b.url }).undo(givenBack(entries), inPlace);
    assert.equal((await ask(b.nc, "INFO")).streams, count);
  },
);

judged(
  "jetstream: streams in memory are left out and named; a stated order is kept",
  ["nats-server"],
  async () => {
    await using a = await startServer();
    for (const name of ["A", "B", "EVT", "N"]) await makeStream(a.nc, name, 1);
    await makeStream(a.nc, "M", 1, { storage: "memory" });
    const seen: Seen = { warnings: [], infos: [] };
    const stage = collect.jetstream({
      servers: a.url,
      order: { first: ["EVT"], last: ["N"] },
      exclude: ["B"],
    });
    const { files } = await collected(stage, testContext({ seen }));
    assert.deepEqual([...cutsOf(files).keys()], ["EVT", "A", "N"]);
    assert.deepEqual(files.facts().sources[0]!.facts.skipped, [{ name: "M", why: "memory storage" }]);
    assert.ok(seen.infos.some((info) => info.includes('"M": memory storage')));
    const cuts = [...cutsOf(files).values()] as unknown as { cutAt: string }[];
    assert.deepEqual(cuts.map(({ cutAt }) => cutAt), cuts.map(({ cutAt }) => cutAt).sort());
  },
);

judged(
  "jetstream: a backup of the old server goes into the new one",
  ["nats-server", "nats-server-2.9"],
  async () => {
    await using a = await startServer({ program: "nats-server-2.9" });
    await using b = await startServer();
    await makeStream(a.nc, "OLD", 3000);
    await consume(a, "OLD", 10);
    const { entries } = await collected(collect.jetstream({ servers: a.url }));
    await collect.jetstream({ servers: b.url }).undo(givenBack(entries), inPlace);
    assert.deepEqual((await contents(b.nc, "OLD")).messages, (await contents(a.nc, "OLD")).messages);
  },
);
