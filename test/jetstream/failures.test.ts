/** What fails says so, and leaves the server as it was. */
import { strict as assert } from "node:assert";
import { readAll } from "../../src/bytes.ts";
import * as collect from "../../src/collect/mod.ts";
import { frameCheck } from "../../src/collect/jetstream/frames.ts";
import type { Entry } from "../../src/stage.ts";
import { run } from "../cli/support.ts";
import { judged, noise, scratch, type Seen, testContext } from "../support.ts";
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
import { END, ID, stored } from "./s2.ts";

Deno.test("jetstream: wrong options fail when the stage is made", () => {
  const bad = [
    [{ servers: "nats://u:p@host" }, /holds a user or a secret/],
    [{ servers: "" }, /without a URL/],
    [{ auth: { token: "x" } }, /must be a function/],
    [{ streams: [] }, /"streams" is empty/],
    [{ streams: [""] }, /must be a list/],
    [{ concurrency: 0 }, /use 1 to 64/],
    [{ idleMs: 1 }, /at least 100/],
    [{ replicas: 2 }, /1, 3 or 5/],
  ] as const;
  for (const [options, message] of bad) assert.throws(() => collect.jetstream(options as never), message);
});

const read = (options: collect.JetStreamOptions, seen?: Seen): Promise<unknown> =>
  collected(collect.jetstream(options), testContext(seen ? { seen } : {}));

judged("jetstream: no server, wrong credentials, no JetStream, no streams", ["nats-server"], async () => {
  await assert.rejects(
    read({ servers: "nats://127.0.0.1:1" }),
    /Cannot connect to NATS at nats:\/\/127\.0\.0\.1:1: .*Check the address/,
  );
  {
    await using a = await startServer({
      extra: 'authorization { token: "right" }\n',
      auth: { token: "right" },
    });
    const wrong = read({ servers: a.url, auth: () => ({ token: "secret-wrong" }) });
    await assert.rejects(
      wrong,
      (error: Error) =>
        /Check the credentials/.test(error.message) && !error.message.includes("secret-wrong"),
    );
    await assert.rejects(
      read({ servers: a.url, auth: () => ({ token: "right" }) }),
      /has no stream to store/,
    );
  }
  await using plain = await startServer({ jetstream: false });
  await assert.rejects(read({ servers: plain.url }), /Cannot list the streams .*JetStream is not enabled/);
});

/** A server whose JetStream is this function: what a real one does only when it is broken. */
async function brokenServer(
  snapshot: (server: TestServer, inbox: string) => void,
  list: Record<string, unknown> = {},
): Promise<TestServer> {
  const server = await startServer({ jetstream: false });
  const stream = (name: string): unknown => ({ config: { name, storage: "file" }, state: {} });
  server.nc.subscribe("$JS.API.>", {
    callback: (_error, message) => {
      if (message.subject.endsWith("STREAM.LIST")) {
        message.respond(JSON.stringify({ total: 2, streams: [stream("BAD"), stream("GOOD")], ...list }));
      } else if (message.subject.includes("SNAPSHOT")) {
        const state = {
          messages: 1,
          bytes: message.subject.endsWith("SHORT") ? 10_000 : 1,
          first_seq: 1,
          last_seq: 1,
        };
        message.respond(JSON.stringify({ config: { name: "x" }, state }));
        const { deliver_subject } = message.json<{ deliver_subject: string }>();
        if (message.subject.endsWith("GOOD")) good(server, deliver_subject);
        else snapshot(server, deliver_subject);
      } else message.respond(JSON.stringify({ state: { bytes: 10_000 } }));
    },
  });
  await server.nc.flush();
  return server;
}

const WHOLE = new Uint8Array([...ID, ...END]);

function good({ nc }: TestServer, inbox: string): void {
  nc.publish(inbox, WHOLE);
  nc.publish(inbox);
}

const cases: readonly [string, (server: TestServer, inbox: string) => void, RegExp][] = [
  [
    "falls silent",
    (server, inbox) => server.nc.publish(inbox, WHOLE),
    /"BAD": the server has been silent for/,
  ],
  ["ends in the middle", (server, inbox) => {
    server.nc.publish(inbox, WHOLE.subarray(0, 100));
    server.nc.publish(inbox);
  }, /"BAD": it is cut/],
  ["ends between two frames", (server, inbox) => {
    server.nc.publish(inbox, new Uint8Array([...ID, ...stored(noise(512))]));
    server.nc.publish(inbox);
  }, /"BAD": it is cut/],
  ["sends nothing", (server, inbox) => server.nc.publish(inbox), /"BAD": it is cut/],
  ["sends something else", (server, inbox) => server.nc.publish(inbox, noise(64)), /"BAD": it is damaged/],
];

for (const [what, snapshot, message] of cases) {
  judged(`jetstream: a server that ${what} fails that stream, the others are read, nothing is stored`, [
    "nats-server",
  ], async () => {
    await using server = await brokenServer(snapshot);
    const entries: Entry[] = [];
    const files = await collect.jetstream({ servers: server.url, idleMs: 1000 }).run(
      undefined,
      testContext(),
    );
    await assert.rejects(
      async () => {
        for await (const entry of files.entries()) entries.push(entry);
      },
      (error: Error) =>
        message.test(error.message) && /1 of 2 streams.*Nothing was stored.*partial/.test(error.message),
    );
    assert.deepEqual(entries.map(({ path }) => path), ["GOOD", "GOOD/backup.json", "GOOD/stream.tar.s2"]);
    const seen: Seen = { warnings: [], infos: [] };
    await read({ servers: server.url, idleMs: 1000, partial: true }, seen);
    assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["stream"]);
  });
}

judged(
  "jetstream: a status that is not success is a failure with the server's words; without words the frames decide",
  ["nats-server"],
  async () => {
    const { headers } = await import("@nats-io/transport-node");
    const ending = (data: Uint8Array, code: number, why: string): Promise<TestServer> =>
      brokenServer(({ nc }, inbox) => {
        nc.publish(inbox, data);
        nc.publish(inbox, new Uint8Array(), { headers: headers(code, why) });
      });
    await using server = await ending(WHOLE, 408, "No Flow Response");
    await assert.rejects(
      read({ servers: server.url, idleMs: 2000 }),
      /"BAD": the server gave up: 408 No Flow Response/,
    );
    await using cut = await ending(WHOLE.subarray(0, 100), 500, " ");
    await assert.rejects(read({ servers: cut.url, idleMs: 2000 }), /"BAD": it is cut/);
    await using whole = await ending(WHOLE, 500, " ");
    await read({ servers: whole.url, idleMs: 2000 });
  },
);

judged(
  "jetstream: a snapshot that fails while it is stored already: the others are read, nothing is stored",
  ["nats-server"],
  async () => {
    await using server = await brokenServer(({ nc }, inbox) => {
      nc.publish(inbox, ID);
      for (let i = 0; i < 18; i++) nc.publish(inbox, stored(noise(512 * 1024)));
    });
    const entries: Entry[] = [];
    const files = await collect.jetstream({ servers: server.url, idleMs: 1000 }).run(
      undefined,
      testContext(),
    );
    await assert.rejects(
      async () => {
        for await (const entry of files.entries()) {
          entries.push(entry);
          if (typeof entry.body === "function") { for await (const _ of entry.body()); }
        }
      },
      /1 of 2 streams: "BAD": the server has been silent for.*Nothing was stored.*partial/,
    );
    assert.deepEqual(entries.map(({ path }) => path), ["BAD", "BAD/backup.json", "BAD/stream.tar.s2"]);

    // Who asked for what can be had gets it: then each is waited for.
    const seen: Seen = { warnings: [], infos: [] };
    const { entries: partial } = await collected(
      collect.jetstream({ servers: server.url, idleMs: 1000, partial: true }),
      testContext({ seen }),
    );
    assert.deepEqual(partial.map(({ path }) => path), ["GOOD", "GOOD/backup.json", "GOOD/stream.tar.s2"]);
    assert.deepEqual(seen.warnings.map(({ kind }) => kind), ["stream"]);
  },
);

judged(
  "jetstream: streams that the server lists as missing or offline count as failures",
  ["nats-server"],
  async () => {
    await using server = await brokenServer(good, { missing: ["GONE"], offline: { OFF: "too new" } });
    await assert.rejects(
      read({ servers: server.url }),
      /2 of 4 streams: "GONE": no server that has it answers; "OFF": it is offline: too new/,
    );
    await read({ servers: server.url, exclude: ["GONE", "OFF"] });
  },
);

judged("backup --partial: exit code 1 and nothing stored without it, 3 and marked with it", [
  "nats-server",
], async () => {
  await using server = await brokenServer(cases[1]![1]);
  using home = scratch();
  const user = { home: home.path, cwd: home.path };
  Deno.writeTextFileSync(
    home.join("backup.toml"),
    `[plan.x]\ncollect = { jetstream = "${server.url}" }\nencrypt = "plaintext"\nupload = { to = "./store" }\n`,
  );
  const failed = await run(user, "backup", ["--json"]);
  assert.equal(failed.code, 1, failed.err);
  assert.match(failed.err, /1 of 2 streams: "BAD": it is cut.*Nothing was stored.*--partial/s);
  assert.deepEqual([...Deno.readDirSync(home.join("store"))].filter(({ name }) => name.includes(".tar")), []);
  const partial = await run(user, "backup", ["--partial"]);
  assert.equal(partial.code, 3, partial.err);
  assert.match(partial.err, /Not in this backup: the stream "BAD"/);
  const receipt = [...Deno.readDirSync(home.join("store"))].find(({ name }) =>
    name.endsWith(".receipt.json")
  )!;
  const { sources, warnings } = JSON.parse(Deno.readTextFileSync(home.join("store", receipt.name)));
  assert.deepEqual([sources[0].facts.failed, warnings], [["BAD"], { stream: 1 }]);
});

judged("jetstream: fewer bytes than the server announced is a failure", ["nats-server"], async () => {
  await using server = await brokenServer(good, {
    total: 1,
    streams: [{ config: { name: "SHORT", storage: "file" } }],
  });
  await assert.rejects(read({ servers: server.url }), /it holds 2048 bytes, the server announced 10000/);
});

judged("jetstream: a server that dies, and a run that is cancelled", ["nats-server"], async () => {
  for (const how of ["dies", "cancelled"]) {
    await using server = await startServer();
    await ask(server.nc, "STREAM.CREATE.BIG", { name: "BIG", subjects: ["BIG"], storage: "file" });
    for (let i = 0; i < 40; i++) await server.nc.request("BIG", noise(1_000_000, i + 1));
    const stop = new AbortController();
    const context = testContext({ signal: stop.signal });
    const files = await collect.jetstream({ servers: server.url }).run(undefined, {
      ...context,
      progress: () =>
        how === "dies" ? void server.stop() : stop.abort(new DOMException("Cancelled", "AbortError")),
    });
    await assert.rejects(async () => {
      for await (const _ of files.entries()) { /* fails before the first */ }
    }, how === "dies" ? /"BAD"|"BIG": the connection to nats:\S+ was (lost|closed)/ : /Cancelled/);
  }
});

judged("jetstream: a stream that is deleted half-way, and a server that is stopped and says nothing", [
  "nats-server",
], async () => {
  for (const how of ["deleted", "stopped"]) {
    await using server = await startServer();
    await ask(server.nc, "STREAM.CREATE.BIG", { name: "BIG", subjects: ["BIG"], storage: "file" });
    for (let i = 0; i < 40; i++) await server.nc.request("BIG", noise(1_000_000, i + 1), { timeout: 20_000 });
    await makeStream(server.nc, "C", 5);
    let begun = false;
    const files = await collect.jetstream({ servers: server.url, idleMs: 1500, concurrency: 1 }).run(
      undefined,
      {
        ...testContext(),
        progress: () => {
          if (begun) return;
          begun = true;
          if (how === "stopped") Deno.kill(server.pid, "SIGSTOP");
          else server.nc.publish("$JS.API.STREAM.DELETE.BIG");
        },
      },
    );
    const error = await (async () => {
      for await (const entry of files.entries()) {
        if (typeof entry.body === "function") await readAll(entry.body(), 2 ** 30);
      }
    })().then(() => undefined, (error: Error) => error);
    if (how === "stopped") Deno.kill(server.pid, "SIGCONT");
    if (how === "deleted") {
      assert.match(
        error!.message,
        /1 of 2 streams: "BIG": it was deleted while it was read\. Nothing was stored/,
      );
    } else {
      const silent =
        /2 of 2 streams: "BIG": the server has been silent for \d.*"C": (the server has been silent for|connection)/;
      assert.match(error!.message, silent);
    }
  }
});

Deno.test("frames: what the server could not read is told from the snapshot's last entry", () => {
  const tar = new Uint8Array(4 * 512);
  tar.set(new TextEncoder().encode("errors.txt\0"));
  tar.set(new TextEncoder().encode("ustar"), 257);
  tar.set(new TextEncoder().encode("Could not read message block [7]"), 512);
  const check = frameCheck();
  check.add(new Uint8Array([...ID, ...stored(tar)]));
  assert.throws(() => check.end(), /the server could not read all of it: Could not read message block \[7\]/);
});

judged(
  "jetstream: one bit flipped in each stream is refused before the server is asked",
  ["nats-server"],
  async () => {
    await using a = await startServer();
    await makeStream(a.nc, "S", 2000);
    const { entries } = await collected(collect.jetstream({ servers: a.url }));
    const data = entries[2]!;
    const bytes = data.body as Uint8Array<ArrayBuffer>;
    // The stream's mark and the first data chunk: further on a byte may be padding, which says nothing.
    for (const at of [3, 20, 40]) {
      const flipped = bytes.slice();
      flipped[at]! ^= 4;
      const back = givenBack([entries[0]!, entries[1]!, { ...data, body: flipped }]);
      const undo = collect.jetstream({ servers: "nats://127.0.0.1:1" }).undo(
        back,
        testContext({ want: { inPlace: true } }),
      );
      await assert.rejects(undo, /Cannot restore "S\/stream.tar.s2": it is (damaged|cut)/);
    }
  },
);

judged("jetstream: conflicts are found before anything is touched; skip and overwrite do what they say", [
  "nats-server",
], async () => {
  await using a = await startServer();
  await using b = await startServer();
  for (const name of ["A", "B", "KV_x"]) await makeStream(a.nc, name, 50);
  await makeStream(b.nc, "B", 7);
  const { entries } = await collected(collect.jetstream({ servers: a.url }));
  const undo = (want: Parameters<typeof testContext>[0] & object): Promise<void> =>
    Promise.resolve(
      collect.jetstream({ servers: b.url }).undo(givenBack(entries), testContext(want)) as Promise<unknown>,
    ).then(() => {});
  await assert.rejects(
    undo({ want: { inPlace: true } }),
    /1 of 3 streams exist \("B"\)\. Nothing was changed; use --conflict/,
  );
  assert.equal((await ask(b.nc, "INFO")).streams, 1);
  const acts: string[] = [];
  const report = (path: string, action: string): void => void acts.push(`${action} ${path}`);
  await undo({ want: { inPlace: true, dryRun: true, conflict: "skip", report } });
  assert.deepEqual(acts, ["create A", "skip B", "create KV_x"]);
  assert.equal((await ask(b.nc, "INFO")).streams, 1);
  await undo({ want: { inPlace: true, only: ["KV_*"] } });
  assert.equal((await ask(b.nc, "INFO")).streams, 2);
  await undo({ want: { inPlace: true, conflict: "skip" } });
  assert.equal((await contents(b.nc, "B")).messages.length, 7);
  await undo({ want: { inPlace: true, conflict: "overwrite" } });
  assert.deepEqual(await contents(b.nc, "B"), await contents(a.nc, "B"));
});

judged("jetstream: when one stream cannot be restored, all are as they were", ["nats-server"], async () => {
  await using a = await startServer();
  await using b = await startServer();
  for (const name of ["A", "B", "C"]) await makeStream(a.nc, name, 50);
  await makeStream(b.nc, "A", 9);
  await ask(b.nc, "CONSUMER.DURABLE.CREATE.A.c", {
    stream_name: "A",
    config: { durable_name: "c", ack_policy: "explicit" },
  });
  await ask(b.nc, "STREAM.CREATE.OTHER", { name: "OTHER", subjects: ["C.>"] });
  await publish(b.nc, "C", 0, 1);
  const before = await contents(b.nc, "A");
  const { entries } = await collected(collect.jetstream({ servers: a.url }));
  const undo = collect.jetstream({ servers: b.url }).undo(
    givenBack(entries),
    testContext({ want: { inPlace: true, conflict: "overwrite" } }),
  );
  await assert.rejects(
    async () => await undo,
    /Cannot restore the stream "C".*overlap.*Another stream has its subjects/,
  );
  assert.deepEqual(await contents(b.nc, "A"), before);
  assert.deepEqual((await ask(b.nc, "STREAM.NAMES")).streams, ["A", "OTHER"]);
});

judged("jetstream: a server that is too old is told so before anything is touched", [
  "nats-server",
  "nats-server-2.9",
], async () => {
  await using a = await startServer();
  await using old = await startServer({ program: "nats-server-2.9" });
  await makeStream(a.nc, "NEW", 3, { allow_atomic: true });
  const { entries } = await collected(collect.jetstream({ servers: a.url }));
  const undo = collect.jetstream({ servers: old.url }).undo(
    givenBack(entries),
    testContext({ want: { inPlace: true } }),
  );
  await assert.rejects(
    async () => await undo,
    /needs a server with JetStream API level 2, .* has 0 \(nats-server 2\.9\.10\)/,
  );
});
