/** Streams copied message by message: what `jq` reads, and what a server takes again. */
import { strict as assert } from "node:assert";
import { writeFileSync } from "node:fs";
import { headers as newHeaders, Match } from "@nats-io/transport-node";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import { text, utf8 } from "../../src/bytes.ts";
import * as collect from "../../src/collect/mod.ts";
import { messageFilter, messageOfLine } from "../../src/collect/jetstream/message.ts";
import { ExistsError, IntegrityError } from "../../src/errors.ts";
import type { Entry } from "../../src/stage.ts";
import { judged, noise, scratch, sh, testContext } from "../support.ts";
import { ask, collected, contents, givenBack, makeStream, publish, startServer } from "./support.ts";

const inPlace = testContext({ want: { inPlace: true } });

function bodyOf(entries: readonly Entry[], path: string): Uint8Array {
  return entries.find((entry) => entry.path === path)!.body as Uint8Array;
}

/** Messages without what a new stream gives anew. */
// deno-lint-ignore no-explicit-any -- as the server words it
function timeless(messages: readonly any[]): unknown[] {
  return messages.map(({ subject, data, hdrs }) => ({
    subject,
    data,
    hdrs: text(Uint8Array.fromBase64(hdrs ?? "")).split("\r\n").filter((line) =>
      line !== "" && line !== "NATS/1.0" && !/^Nats-(Expected|Msg-Id)/.test(line)
    ),
  }));
}

judged(
  "jetstream as messages: jq reads what was published, to the last bit",
  ["nats-server", "jq"],
  async () => {
    await using a = await startServer();
    using dir = scratch();
    // Sequences that no double can hold.
    await ask(a.nc, "STREAM.CREATE.ODD", { name: "ODD", subjects: ["odd.>"], first_seq: "9007199254740993" })
      .catch(
        () =>
          ask(a.nc, "STREAM.CREATE.ODD", '{"name":"ODD","subjects":["odd.>"],"first_seq":9007199254740993}'),
      );
    const payloads = ["plain", '\ufeffmark \u2028 \u{1f600}\n"', "", "\0"].map(utf8).concat(
      Uint8Array.of(0xff, 0xfe, 0),
      noise(300_000),
    );
    for (const [i, payload] of payloads.entries()) {
      const headers = newHeaders();
      headers.append("X-Twice", `a${i}`, Match.Exact);
      headers.append("X-Twice", "b: c", Match.Exact);
      headers.append("x-small", "", Match.Exact);
      await a.nc.request(`odd.n${i}`, payload, { timeout: 10_000, ...(i % 2 ? { headers } : {}) });
    }
    const { entries, files } = await collected(collect.jetstream({ servers: a.url, as: "messages" }));
    assert.deepEqual(entries.map(({ path }) => path), ["ODD", "ODD/backup.json", "ODD/messages.ndjson"]);
    writeFileSync(dir.join("m"), bodyOf(entries, "ODD/messages.ndjson"));
    assert.deepEqual(
      text(
        sh(
          `jq -r '[.subject, (.text // .base64 | length > 0), (.headers // {} | keys | join(","))] | @csv' m`,
          { cwd: dir.path },
        ),
      )
        .trim().split("\n"),
      payloads.map((payload, i) => `"odd.n${i}",${payload.length > 0},"${i % 2 ? "X-Twice,x-small" : ""}"`),
    );
    for (const [i, payload] of payloads.entries()) {
      const how = i < 4 ? "jq -rj" : "jq -r";
      const content = sh(
        `${how} 'select(.subject == "odd.n${i}") | .text // .base64' m${i < 4 ? "" : " | base64 -d"}`,
        {
          cwd: dir.path,
        },
      );
      assert.deepEqual(new Uint8Array(content), new Uint8Array(payload), String(i));
    }
    const lines = text(bodyOf(entries, "ODD/messages.ndjson")).trim().split("\n").map(messageOfLine);
    assert.deepEqual(
      lines.map(({ sequence }) => sequence),
      payloads.map((_, i) => 9007199254740993n + BigInt(i)),
    );
    assert.deepEqual(
      lines.map(({ payload }) => payload.toBase64()),
      payloads.map((payload) => payload.toBase64()),
    );
    assert.match(lines[0]!.time, /^\d{4}-.*\.\d+Z$/);
    const [cut] = files.facts().sources[0]!.facts.streams as {
      messages: string;
      lastSeq: string;
      format: string;
    }[];
    assert.deepEqual([cut!.messages, cut!.lastSeq, cut!.format], ["6", "9007199254740998", "messages"]);
  },
);

judged(
  "jetstream as messages: streams, queues, buckets and memory into another server",
  ["nats-server"],
  async () => {
    await using a = await startServer();
    await using b = await startServer();
    await makeStream(a.nc, "S", 700);
    for (const seq of [5, 6, 7, 300]) await ask(a.nc, "STREAM.MSG.DELETE.S", { seq });
    await makeStream(a.nc, "GAPS", 500);
    await ask(a.nc, "STREAM.PURGE.GAPS", { filter: "GAPS.n1" });
    for (let i = 2; i < 7; i++) await ask(a.nc, "STREAM.PURGE.GAPS", { filter: `GAPS.n${i}` });
    for (const [name, value] of [["Nats-Msg-Id", "once"], ["Nats-Expected-Last-Sequence", "701"]] as const) {
      const headers = newHeaders();
      headers.set(name, value, Match.Exact);
      await a.nc.request("S.once", name, { headers, timeout: 10_000 });
    }
    await makeStream(a.nc, "SEALED", 5);
    const { config } = await ask(a.nc, "STREAM.INFO.SEALED");
    await ask(a.nc, "STREAM.UPDATE.SEALED", { ...config, sealed: true });
    await makeStream(a.nc, "QUEUE", 50, { retention: "workqueue" });
    await makeStream(a.nc, "MEM", 40, { storage: "memory" });
    const kv = await new Kvm(a.nc).create("config", { history: 3 });
    for (let i = 0; i < 20; i++) await kv.put(`k${i % 5}`, `v${i}`);
    await kv.delete("k1");
    const blob = noise(400_000);
    await (await new Objm(a.nc).create("files")).putBlob({ name: "big.bin" }, blob);

    const { entries } = await collected(collect.jetstream({ servers: a.url, as: "messages" }));
    await collect.jetstream({ servers: b.url }).undo(givenBack(entries), inPlace);
    for (const name of ["S", "SEALED", "GAPS", "QUEUE", "MEM", "KV_config", "OBJ_files"]) {
      const was = await contents(a.nc, name);
      const is = await contents(b.nc, name);
      assert.deepEqual(timeless(is.messages), timeless(was.messages), name);
    }
    const kv2 = await new Kvm(b.nc).open("config");
    assert.equal((await kv2.get("k0"))?.string(), "v15");
    assert.equal((await kv2.get("k1"))?.operation, "DEL");
    assert.deepEqual(await (await new Objm(b.nc).open("files")).getBlob("big.bin"), blob);

    // Exact snapshots, and only what lives in memory message by message.
    const mixed = await collected(
      collect.jetstream({ servers: a.url, memory: "messages", streams: ["S", "MEM"] }),
    );
    assert.deepEqual(mixed.entries.map(({ path }) => path).filter((path) => !path.endsWith(".json")), [
      "MEM",
      "MEM/messages.ndjson",
      "S",
      "S/stream.tar.s2",
    ]);
    const drilled = await collect.jetstream({ servers: a.url }).drill!(planted(mixed.entries), testContext());
    assert.deepEqual([drilled.streams, Number(drilled.sampled) > 0], [2, true]);
  },
);

function planted(entries: readonly Entry[]): string {
  const dir = scratch();
  addEventListener("unload", () => dir[Symbol.dispose]());
  for (const { path, kind, body } of entries) {
    if (kind === "directory") Deno.mkdirSync(dir.join(path), { recursive: true });
    else writeFileSync(dir.join(path), body as Uint8Array);
  }
  return dir.path;
}

judged(
  "jetstream as messages: a choice of them, also into a stream that exists",
  ["nats-server"],
  async () => {
    await using a = await startServer();
    await makeStream(a.nc, "S", 70);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const at = new Date();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await a.nc.request("S.late", "x");
    const numbers = async (select: collect.MessageChoice): Promise<string[]> => {
      const stage = collect.jetstream({ servers: a.url, as: "messages", select });
      const { entries } = await collected(stage);
      const lines = text(bodyOf(entries, "S/messages.ndjson")).split("\n").slice(0, -1);
      return lines.map((line) => `${messageOfLine(line).sequence}`);
    };
    assert.deepEqual(await numbers({ firstSeq: 3, lastSeq: 5n }), ["3", "4", "5"]);
    assert.deepEqual(await numbers({ subjects: ["S.n3"], lastSeq: 20 }), ["4", "11", "18"]);
    assert.deepEqual(await numbers({ since: at }), ["71"]);
    assert.equal((await numbers({ until: at })).length, 70);

    const { entries } = await collected(collect.jetstream({ servers: a.url, as: "messages" }));
    await ask(a.nc, "STREAM.PURGE.S", { seq: 65 });
    await assert.rejects(
      collect.jetstream({ servers: a.url }).undo(givenBack(entries), inPlace),
      ExistsError,
    );
    const actions: string[] = [];
    const context = testContext({
      want: { inPlace: true, report: (name, action) => void actions.push(`${action} ${name}`) },
    });
    const stage = collect.jetstream({ servers: a.url, append: true, select: { lastSeq: 3 } });
    await stage.undo(givenBack(entries), context);
    assert.deepEqual(actions, ["append S"]);
    const { messages } = await contents(a.nc, "S");
    assert.deepEqual(
      (messages as { seq: number; subject: string }[]).map(({ seq, subject }) => `${seq} ${subject}`),
      [
        "65 S.n1",
        "66 S.n2",
        "67 S.n3",
        "68 S.n4",
        "69 S.n5",
        "70 S.n6",
        "71 S.late",
        "72 S.n0",
        "73 S.n1",
        "74 S.n2",
      ],
    );
  },
);

judged(
  "jetstream as messages: a damaged copy touches nothing, a refused one is taken back",
  ["nats-server"],
  async () => {
    await using a = await startServer();
    await makeStream(a.nc, "S", 30);
    await makeStream(a.nc, "T", 30);
    const { entries } = await collected(collect.jetstream({ servers: a.url, as: "messages" }));
    const was = await contents(a.nc, "S");
    const lines = text(bodyOf(entries, "T/messages.ndjson")).split("\n");
    const overwrite = testContext({ want: { inPlace: true, conflict: "overwrite" } });
    const damaged: Readonly<Record<string, readonly [string, RegExp]>> = {
      torn: [lines.join("\n").slice(0, -5), /its last line is torn/],
      "one line less": [lines.toSpliced(7, 1).join("\n"), /29 of its 30 messages/],
      "no JSON": [lines.with(9, "{").join("\n"), /Cannot read message 10 of "T"/],
      "no payload": [
        lines.with(9, '{"subject":"T.n","sequence":10}').join("\n"),
        /neither "text" nor "base64"/,
      ],
      "no subject": [lines.with(9, '{"sequence":10,"text":""}').join("\n"), /no subject or no sequence/],
      "a bad header": [
        lines.with(9, '{"subject":"T.n","sequence":1,"text":"","headers":{"A":[1]}}').join("\n"),
        /header "A"/,
      ],
    };
    for (const [what, [body, why]] of Object.entries(damaged)) {
      const bad = entries.map((entry) =>
        entry.path === "T/messages.ndjson" ? { ...entry, body: utf8(body), bytes: body.length } : entry
      );
      await assert.rejects(collect.jetstream({ servers: a.url }).undo(givenBack(bad), overwrite), (error) => {
        assert.ok(error instanceof IntegrityError, what);
        assert.match(error.message, why, what);
        return true;
      });
    }
    // A message on a subject that the stream does not have is refused by the server when S has already been replaced.
    const foreign = lines.with(9, '{"subject":"elsewhere","sequence":10,"text":"x"}').join("\n");
    const refused = entries.map((entry) =>
      entry.path === "T/messages.ndjson" ? { ...entry, body: utf8(foreign), bytes: foreign.length } : entry
    );
    await assert.rejects(
      collect.jetstream({ servers: a.url }).undo(givenBack(refused), overwrite),
      /Cannot restore the stream "T": message 10 on "elsewhere" was refused/,
    );
    assert.deepEqual(await contents(a.nc, "S"), was);
    assert.equal((await contents(a.nc, "T")).messages.length, 30);
    // What is being added to a live stream fails half-way: the stream stays.
    const adding = collect.jetstream({ servers: a.url, append: true });
    const some = refused.filter(({ path }) => path.startsWith("T"));
    await assert.rejects(adding.undo(givenBack(some), inPlace), /was refused/);
    assert.ok((await contents(a.nc, "T")).messages.length >= 30);
  },
);

judged("jetstream as messages: a subject that few messages have is not looked for among all of them", [
  "nats-server",
], async () => {
  await using server = await startServer();
  await makeStream(server.nc, "S", 5000);
  for (const text of ["one", "two", "three"]) await server.nc.request("S.rare", text);
  await publish(server.nc, "S", 5000, 500);
  const asked: string[] = [];
  server.nc.subscribe("$JS.API.STREAM.MSG.GET.S", {
    callback: (_error, { data }) => void asked.push(String(data)),
  });
  await server.nc.flush();
  const copy = async (subjects: string[]): Promise<unknown[]> => {
    asked.length = 0;
    const { entries } = await collected(
      collect.jetstream({ servers: server.url, as: "messages", select: { subjects } }),
    );
    const text = new TextDecoder().decode(entries[2]!.body as Uint8Array);
    return text.trimEnd().split("\n").map((line) => JSON.parse(line));
  };
  const rare = await copy(["S.rare"]) as { text: string; sequence: number }[];
  assert.deepEqual(rare.map(({ text, sequence }) => [text, sequence]), [["one", 5001], ["two", 5002], [
    "three",
    5003,
  ]]);
  await server.nc.flush();
  assert.ok(asked.length <= 4, `asked ${asked.length} times`);
  assert.equal((await copy(["S.n1"])).length, 786);
});

judged("jetstream as messages: a stream that takes no messages is refused before anything is touched", [
  "nats-server",
], async () => {
  await using a = await startServer();
  await using b = await startServer();
  await makeStream(a.nc, "A", 3);
  await ask(a.nc, "STREAM.CREATE.M", { name: "M", mirror: { name: "A" } });
  await ask(a.nc, "STREAM.CREATE.N", { name: "N", sources: [{ name: "A" }] });
  await ask(a.nc, "STREAM.CREATE.Q", { name: "Q", subjects: ["q.>"], no_ack: true });
  const { entries } = await collected(collect.jetstream({ servers: a.url, as: "messages" }));
  for (
    const [name, why] of [["M", /mirrors another/], ["N", /draws from other/], [
      "Q",
      /not acknowledge/,
    ]] as const
  ) {
    const some = entries.filter(({ path }) => [name, "A"].includes(path.split("/")[0]!));
    await assert.rejects(collect.jetstream({ servers: b.url }).undo(givenBack(some), inPlace), why);
    assert.equal((await ask(b.nc, "STREAM.NAMES")).total, 0);
  }
});

Deno.test("messageFilter() knows NATS' wildcards, and refuses what is no choice", () => {
  const on = (subjects: string[], subject: string): boolean =>
    messageFilter({ subjects })({ subject, sequence: 1n, time: "", headers: [], payload: new Uint8Array() });
  assert.ok(on(["a.*.c"], "a.b.c") && on(["a.>"], "a.b.c") && on(["x", "a.b.c"], "a.b.c") && on([">"], "a"));
  assert.ok(!on(["a.*"], "a.b.c") && !on(["a.>"], "a") && !on(["a.b"], "a.b.c") && !on(["a.b"], "axb"));
  for (
    const choice of [{ subjects: [""] }, { subjects: ["a..b"] }, { subjects: ["a.>.b"] }, {
      since: new Date("x"),
    }]
  ) {
    assert.throws(() => messageFilter(choice), TypeError);
  }
  for (const choice of [{ firstSeq: -1 }, { lastSeq: 1.5 }, { firstSeq: 5, lastSeq: 4 }]) {
    assert.throws(() => messageFilter(choice), RangeError);
  }
  assert.throws(() => collect.jetstream({ as: "tar" as never }), TypeError);
  assert.throws(() => collect.jetstream({ memory: "all" as never }), TypeError);
});
