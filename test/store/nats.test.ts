/** The NATS store beside other clients of the same bucket, on buckets that are unfit, and without rights. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { homedir } from "node:os";
import { jetstream } from "@nats-io/jetstream";
import { Objm } from "@nats-io/obj";
import { headers } from "@nats-io/transport-node";
import { store } from "../../mod.ts";
import { ExistsError, IntegrityError, messageOf, NotFoundError, StoreError } from "../../src/errors.ts";
import { acquireLease } from "../../src/store/lease.ts";
import { hasTool, inChunks, judged, noise, scratch, testContext } from "../support.ts";
import { bytesOf, keysOf } from "../contract/store.ts";
import { ask, debrisOf, sharedServer, startServer, storeOn, uniqueBucket } from "./nats_server.ts";

const MIB = 1024 * 1024;
const has = hasTool("nats-server");
const server = has ? await sharedServer() : undefined!;
const CLI = `${Deno.env.get("XDG_CACHE_HOME") ?? `${homedir()}/.cache`}/holdfast-tools/bin/nats`;

/** A test on the shared server, with a store in a bucket of its own. */
function onServer(name: string, run: (target: store.NatsStore, bucket: string) => Promise<void>): void {
  judged(name, ["nats-server"], async () => {
    const bucket = uniqueBucket();
    const target = storeOn(server.url, { bucket });
    try {
      await run(target, bucket);
    } finally {
      await target.close();
    }
  });
}

function sentence(error: unknown, says: RegExp): boolean {
  assert.ok(error instanceof StoreError, String(error));
  assert.match(messageOf(error), says);
  return true;
}

onServer("NATS' own client reads what is written here", async (target, bucket) => {
  const bytes = noise(3 * MIB + 11);
  await target.put("a/b c.tar", inChunks(bytes, 99_991), { ifAbsent: true });
  await target.put("empty", new Uint8Array());
  const theirs = await new Objm(jetstream(server.nc)).open(bucket);
  assert.deepEqual(new Uint8Array((await theirs.getBlob("a/b c.tar"))!), bytes);
  assert.deepEqual((await theirs.list()).map(({ name, size }) => [name, size]).sort(), [
    ["a/b c.tar", bytes.length],
    ["empty", 0],
  ]);
  await theirs.delete("a/b c.tar");
  assert.equal(await target.head("a/b c.tar"), undefined);
  assert.deepEqual(await keysOf(target), ["empty"]);
  await target.put("a/b c.tar", noise(10), { ifAbsent: true }); // their mark of a deletion is no object
  assert.deepEqual(await bytesOf(target, "a/b c.tar"), noise(10));
});

onServer("reads what NATS' own client writes, by ranges too, and replaces it", async (target, bucket) => {
  const bytes = noise(MIB + 77);
  const theirs = await new Objm(jetstream(server.nc)).create(bucket);
  const others = [noise(MIB, 5), noise(MIB, 6)]; // at the same time: their chunks lie between one another
  await Promise.all([bytes, ...others].map((body, i) => theirs.putBlob({ name: ["x", "y", "z"][i]! }, body)));
  for (const [i, body] of others.entries()) assert.deepEqual(await bytesOf(target, ["y", "z"][i]!), body);
  for (const name of ["y", "z"]) await target.delete(name);
  assert.deepEqual(await bytesOf(target, "x"), bytes);
  const part = await target.get("x", { start: 500_000, end: 800_001 });
  assert.deepEqual(new Uint8Array(await new Response(part).arrayBuffer()), bytes.slice(500_000, 800_001));
  await target.put("x", bytes.slice(), { ifAbsent: true }); // its own bytes
  await assert.rejects(target.put("x", noise(5), { ifAbsent: true }), ExistsError);
  await target.put("x", noise(5));
  assert.deepEqual(await debrisOf(server, bucket), []);
  await theirs.linkStore("link", await new Objm(jetstream(server.nc)).create(uniqueBucket()));
  assert.deepEqual(await keysOf(target), ["x"]);
  await assert.rejects(target.get("link"), NotFoundError);
  await assert.rejects(target.put("link", noise(5), { ifAbsent: true }), ExistsError);
});

judged(
  "the nats command reads what is written here, and the other way round",
  ["nats-server", CLI],
  async () => {
    using dir = scratch();
    const bucket = uniqueBucket();
    const cli = (...args: string[]): string =>
      execFileSync(CLI, ["-s", server.url, "object", ...args], {
        encoding: "utf8",
        env: { HOME: dir.path, XDG_CONFIG_HOME: dir.path, PATH: Deno.env.get("PATH") },
        stdio: ["ignore", "pipe", "pipe"],
      });
    cli("add", bucket, "--storage=file");
    const target = store.nats({ servers: server.url, bucket });
    try {
      const [ours, theirs] = [noise(2 * MIB + 3, 1), noise(2 * MIB + 5, 2)];
      await target.put("ours.bin", inChunks(ours, 100_000), { ifAbsent: true });
      cli("get", bucket, "ours.bin", "--output", dir.join("got"), "--no-progress");
      assert.deepEqual(new Uint8Array(await Deno.readFile(dir.join("got"))), ours);
      await Deno.writeFile(dir.join("theirs.bin"), theirs);
      cli("put", bucket, dir.join("theirs.bin"), "--name", "theirs.bin", "--no-progress", "--force");
      assert.deepEqual(await bytesOf(target, "theirs.bin"), theirs);
      assert.deepEqual(await keysOf(target), ["ours.bin", "theirs.bin"]);
      await target.delete("theirs.bin");
      assert.doesNotMatch(cli("ls", bucket), /theirs/);
      assert.match(cli("ls", bucket), /ours\.bin/);
    } finally {
      await target.close();
    }
  },
);

onServer("reads by ranges what was written beside others", async (target) => {
  const bodies = Array.from({ length: 4 }, (_, i) => noise(4 * MIB + i, i + 1));
  await Promise.all(bodies.map((body, i) => target.put(`o${i}`, inChunks(body, 70_000))));
  for (const [i, body] of bodies.entries()) {
    assert.deepEqual(await bytesOf(target, `o${i}`), body);
    for (
      const [start, end] of [[0, 1], [MIB, MIB + 5], [3 * MIB - 1, 3 * MIB + 700_000], [
        4 * MIB,
        4 * MIB + i,
      ]] as const
    ) {
      const part = await new Response(await target.get(`o${i}`, { start, end })).arrayBuffer();
      assert.deepEqual(new Uint8Array(part), body.slice(start, end));
    }
  }
});

onServer("reads a bucket that was copied, where sequences are others", async (target, bucket) => {
  const bytes = noise(2 * MIB + 9);
  for (let i = 0; i < 9; i++) await target.put("older", noise(10, i + 1));
  await target.put("app", bytes.slice());
  const stream = `OBJ_${bucket}`;
  const { config, state } = await ask(server.nc, `STREAM.INFO.${stream}`);
  const messages = [];
  for (let seq = 1; seq <= state.last_seq; seq++) {
    const answer = await server.nc.request(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify({ seq }));
    if (answer.headers?.code !== 404) messages.push(answer);
  }
  for (const first_seq of [1000, 1]) { // behind what the object says, and before it
    await ask(server.nc, `STREAM.DELETE.${stream}`);
    await ask(server.nc, `STREAM.CREATE.${stream}`, { ...config, first_seq });
    for (const { headers: h, data } of messages) {
      const kept = headers();
      const index = h!.get("Holdfast-Chunk");
      if (index !== "") kept.set("Holdfast-Chunk", index);
      await server.nc.request(h!.get("Nats-Subject"), data, { headers: kept, timeout: 10_000 });
    }
    assert.deepEqual(await bytesOf(target, "app"), bytes);
    const part = await target.get("app", { start: MIB + 1, end: MIB + 9 });
    assert.deepEqual(new Uint8Array(await new Response(part).arrayBuffer()), bytes.slice(MIB + 1, MIB + 9));
  }
});

onServer("a missing chunk and a wrong digest are found", async (target, bucket) => {
  const stream = `OBJ_${bucket}`;
  await target.put("cut", noise(2 * MIB));
  await ask(server.nc, `STREAM.MSG.DELETE.${stream}`, { seq: 3 });
  await assert.rejects(bytesOf(target, "cut"), (error) => {
    assert.ok(error instanceof IntegrityError, String(error));
    assert.match(error.message, /chunk 3 of 8 is missing/);
    return true;
  });
  await target.put("changed", noise(1000));
  const [subject] = Object.keys(
    (await ask(server.nc, `STREAM.INFO.${stream}`, { subjects_filter: `$O.${bucket}.C.>` })).state.subjects,
  ).sort().slice(-1);
  const { message } = await ask(server.nc, `STREAM.MSG.GET.${stream}`, { last_by_subj: subject });
  await ask(server.nc, `STREAM.MSG.DELETE.${stream}`, { seq: message.seq });
  const index = headers();
  index.set("Holdfast-Chunk", "0");
  await server.nc.request(subject!, noise(1000, 7), { headers: index, timeout: 10_000 });
  await assert.rejects(bytesOf(target, "changed"), IntegrityError);
});

onServer("of two hosts that create the same name one wins", async (target, bucket) => {
  const other = storeOn(server.url, { bucket });
  try {
    for (let round = 0; round < 10; round++) {
      const bodies = [noise(700_000, round + 1), noise(700_000, round + 100)];
      const ends = await Promise.allSettled(
        [target, other].map((one, i) =>
          one.put(`app${round}`, inChunks(bodies[i]!, 50_000), { ifAbsent: true })
        ),
      );
      const won = ends.findIndex(({ status }) => status === "fulfilled");
      assert.equal(ends.filter(({ status }) => status === "fulfilled").length, 1);
      assert.ok((ends[1 - won] as PromiseRejectedResult).reason instanceof ExistsError);
      assert.deepEqual(await bytesOf(target, `app${round}`), bodies[won]);
    }
    assert.deepEqual(await debrisOf(server, bucket), []);
  } finally {
    await other.close();
  }
});

onServer("a lease is held by one at a time", async (target) => {
  const { signal, log } = testContext();
  const lease = await acquireLease(target, "app", { run: "one", signal, log });
  await assert.rejects(acquireLease(target, "app", { run: "two", signal, log }), /run one on host/);
  await lease.release();
  await (await acquireLease(target, "app", { run: "three", signal, log })).release();
});

onServer(
  "the first write a day later sweeps what dead writes left, and nothing else",
  async (target, bucket) => {
    const old = Date.now;
    const nuid = (time: number, mark: string): string =>
      `HF${time.toString(36).padStart(9, "0")}${mark}${"0".repeat(12)}`;
    await target.put("live", noise(1000));
    const lives = Object.keys(
      (await ask(server.nc, `STREAM.INFO.OBJ_${bucket}`, { subjects_filter: `$O.${bucket}.C.>` })).state
        .subjects,
    );
    const mark = lives[0]!.slice(-28, -12);
    const leave = [`$O.${bucket}.C.${nuid(old(), "0".repeat(16))}`, `$O.${bucket}.C.${nuid(old(), mark)}`];
    const foreign = `$O.${bucket}.C.aForeignClientsChunks1`;
    const long = `$O.${bucket}.C.${nuid(old() - 2 * 86_400_000, "1".repeat(16))}`; // begun long ago, and still under way
    for (const subject of [...leave, foreign, long]) await server.nc.request(subject, "x");
    const later = async (ms: number): Promise<string[]> => {
      const again = storeOn(server.url, { bucket });
      Date.now = () => old() + ms; // of this test file alone
      try {
        await again.put("probe", noise(1));
      } finally {
        Date.now = old;
        await again.close();
      }
      return await debrisOf(server, bucket);
    };
    assert.deepEqual((await later(23 * 3_600_000)).sort(), [...leave, foreign, long].sort());
    assert.deepEqual(await later(25 * 3_600_000), [foreign]);
    assert.deepEqual(await bytesOf(target, "live"), noise(1000));
  },
);

const UNFIT: Readonly<Record<string, readonly [Record<string, unknown>, RegExp]>> = {
  "in memory": [{ storage: "memory" }, /lies in memory/],
  "with a time to live": [{ max_age: 48 * 3_600_000_000_000 }, /older than 48 hours/],
  "that throws away the oldest": [{ discard: "old", max_bytes: 10_000_000 }, /throws away the oldest/],
  "that limits messages per subject": [{ max_msgs_per_subject: 1 }, /messages per subject/],
  "without rollups": [{ allow_rollup_hdrs: false }, /allows no rollups/],
  "that denies purging": [{ deny_purge: true, allow_rollup_hdrs: false }, /no rollups|denies purging/],
  "that is no object store": [{ subjects: ["other.>"] }, /no object store/],
};

for (const [what, [config, says]] of Object.entries(UNFIT)) {
  onServer(`a bucket ${what} is refused`, async (target, bucket) => {
    const name = `OBJ_${bucket}`;
    await ask(server.nc, `STREAM.CREATE.${name}`, {
      name,
      subjects: what === "that is no object store"
        ? [`${bucket}.>`]
        : [`$O.${bucket}.C.>`, `$O.${bucket}.M.>`],
      storage: "file",
      discard: "new",
      allow_rollup_hdrs: true,
      allow_direct: true,
      ...(what === "that is no object store" ? {} : config),
    });
    await assert.rejects(target.put("app", noise(10)), (error) => sentence(error, says));
  });
}

judged(
  "a bucket that is not there, one that is full, and how much room is left are told",
  ["nats-server"],
  async () => {
    const bucket = uniqueBucket();
    const target = store.nats({ servers: server.url, bucket });
    try {
      for (
        const work of [
          () => target.put("app", noise(1)),
          () => target.head("app"),
          () => keysOf(target),
          () => target.delete("app"),
        ]
      ) {
        await assert.rejects(work(), (error) => sentence(error, /no object store "b\d+".*nats object add/));
      }
      const name = `OBJ_${bucket}`;
      await ask(server.nc, `STREAM.CREATE.${name}`, {
        name,
        subjects: [`$O.${bucket}.C.>`, `$O.${bucket}.M.>`],
        storage: "file",
        discard: "new",
        max_bytes: 4 * MIB,
        allow_rollup_hdrs: true,
        allow_direct: true,
      });
      assert.equal(await target.space!(), 4 * MIB);
      await target.put("small", noise(MIB));
      const left = (await target.space!())!;
      assert.ok(left < 3 * MIB && left > 2.9 * MIB, String(left));
      await assert.rejects(
        target.put("large", noise(5 * MIB)),
        (error) => sentence(error, /is full: prune, or raise/),
      );
      assert.deepEqual(await keysOf(target), ["small"]);
      assert.deepEqual(await debrisOf(server, bucket), []);
    } finally {
      await target.close();
    }
  },
);

const USERS = `
accounts {
  A {
    jetstream: enabled
    users: [
      { user: all, password: "s3cret-all" }
      { user: reader, password: "s3cret-reader", permissions: { publish: { deny: ["$O.>"] } } }
      { user: least, password: "s3cret-least", permissions: {
        publish: { allow: ["$O.shared.>", "$JS.API.STREAM.INFO.OBJ_shared", "$JS.API.STREAM.PURGE.OBJ_shared",
          "$JS.API.STREAM.MSG.GET.OBJ_shared", "$JS.API.DIRECT.GET.OBJ_shared"] }, subscribe: { allow: ["_INBOX.>"] } } }
      { user: keeper, password: "s3cret-keeper", permissions: { publish: { deny: ["$JS.API.STREAM.PURGE.>"] } } }
    ]
  }
}
`;

judged(
  "who one is, and what one may not, is told in a sentence without the secret",
  ["nats-server"],
  async () => {
    await using own = await startServer({
      extra: USERS,
      jetstream: true,
      auth: { user: "all", pass: "s3cret-all" } as Record<string, string>,
    });
    const as = (user: string, password: string): store.NatsStore =>
      storeOn(own.url, { bucket: "shared", auth: () => ({ user, password }), retries: 0 });
    const stores = ["all", "reader", "keeper", "least"].map((user) => as(user, `s3cret-${user}`));
    const wrong = as("all", "s3cret-wrong");
    try {
      const [all, reader, keeper, least] = stores as [
        store.NatsStore,
        store.NatsStore,
        store.NatsStore,
        store.NatsStore,
      ];
      await all.put("app", noise(10));
      assert.deepEqual(await bytesOf(reader, "app"), noise(10));
      await assert.rejects(
        reader.put("new", noise(10)),
        (error) => sentence(error, /may not use "\$O\.shared\.C\.>"/),
      );
      await assert.rejects(
        keeper.delete("app"),
        (error) => sentence(error, /may not use "\$JS\.API\.STREAM\.PURGE/),
      );
      assert.deepEqual(await bytesOf(all, "app"), noise(10));
      // What the README lists is enough.
      await least.put("least", noise(MIB), { ifAbsent: true });
      await least.put("least", noise(10));
      assert.deepEqual(await bytesOf(least, "least"), noise(10));
      assert.deepEqual(await keysOf(least), ["app", "least"]);
      assert.equal(await least.space!(), undefined);
      await least.delete("least");
      assert.deepEqual(await debrisOf(own, "shared"), []);
      await assert.rejects(wrong.head("app"), (error) => {
        assert.doesNotMatch(Deno.inspect(error), /s3cret/);
        return sentence(error, /Check the credentials/);
      });
    } finally {
      for (const one of [...stores, wrong]) await one.close();
    }
  },
);

judged(
  "a write goes on when its server comes back, and fails cleanly when it does not",
  ["nats-server"],
  async () => {
    using dir = scratch();
    let own = await startServer({ dir: dir.path });
    const port = Number(new URL(own.url.replace("nats:", "http:")).port);
    const target = storeOn(own.url, { bucket: "b" });
    const bytes = noise(4 * MIB);
    const interrupted = (): {
      body: ReadableStream<Uint8Array<ArrayBuffer>>;
      half: Promise<void>;
      go: () => void;
    } => {
      const [half, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      let at = 0;
      const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
        async pull(controller): Promise<void> {
          if (at === 2 * MIB) {
            half.resolve();
            await go.promise;
          }
          if (at === bytes.length) return controller.close();
          controller.enqueue(bytes.slice(at, at += MIB / 4));
        },
      }, { highWaterMark: 0 });
      return { body, half: half.promise, go: go.resolve };
    };
    try {
      await target.put("before", noise(10));
      const first = interrupted();
      const putting = target.put("app", first.body, { ifAbsent: true });
      await first.half;
      await own.stop();
      own = await startServer({ dir: dir.path, port });
      first.go();
      await putting;
      assert.deepEqual(await bytesOf(target, "app"), bytes);
      const hasty = storeOn(own.url, { bucket: "b", retries: 1 });
      const second = interrupted();
      const failing = hasty.put("lost", second.body, { ifAbsent: true });
      await second.half;
      await own.stop();
      second.go();
      await assert.rejects(failing, (error) => sentence(error, /Cannot write "lost" in nats:/));
      await hasty.close();
      own = await startServer({ dir: dir.path, port });
      assert.deepEqual(await keysOf(target), ["app", "before"]);
      assert.equal((await debrisOf(own, "b")).length, 1); // until a day has passed
    } finally {
      await target.close();
      await own.stop();
    }
  },
);

/** A line to the server; once told to, it swallows the next answer and breaks. */
function forgetful(
  url: string,
): { url: string; forget: () => void; forgot: () => boolean; close: () => void } {
  const port = Number(new URL(url.replace("nats:", "http:")).port);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let armed = false;
  let forgot = false;
  async function pass(conn: Deno.TcpConn): Promise<void> {
    const other = await Deno.connect({ hostname: "127.0.0.1", port });
    const up = conn.readable.pipeTo(other.writable).catch(() => {});
    const down = other.readable.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller): void {
          if (!armed) return controller.enqueue(chunk);
          armed = false;
          forgot = true;
          throw new Error("Forgotten");
        },
      }),
    );
    await Promise.all([up, down.pipeTo(conn.writable).catch(() => {})]);
  }
  void (async () => {
    for await (const conn of listener) void pass(conn);
  })().catch(() => {});
  return {
    url: `nats://127.0.0.1:${listener.addr.port}`,
    forget: () => void (armed = true),
    forgot: () => forgot,
    close: () => listener.close(),
  };
}

judged("a chunk whose answer is lost is there once", ["nats-server"], async () => {
  const bucket = uniqueBucket();
  const line = forgetful(server.url);
  const target = storeOn(line.url, { bucket });
  const bytes = noise(2 * MIB);
  try {
    await target.put("before", noise(10));
    let at = 0;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull(controller): void {
        if (at === MIB) line.forget();
        if (at === bytes.length) return controller.close();
        controller.enqueue(bytes.slice(at, at += MIB / 2));
      },
    }, { highWaterMark: 0 });
    await target.put("app", body, { ifAbsent: true });
    assert.ok(line.forgot());
    assert.deepEqual(await bytesOf(target, "app"), bytes);
    const { state } = await ask(server.nc, `STREAM.INFO.OBJ_${bucket}`, {
      subjects_filter: `$O.${bucket}.C.>`,
    });
    assert.deepEqual(Object.values(state.subjects).sort(), [1, 8]);
  } finally {
    await target.close();
    line.close();
  }
});

judged("a process that has written ends by itself", ["nats-server"], async () => {
  const script = `
    import { store } from ${JSON.stringify(new URL("../../mod.ts", import.meta.url).href)};
    const target = store.open("nats://${server.url.slice(7)}/${uniqueBucket()}?create=true");
    await target.put("app", new Uint8Array(10));
    console.log((await target.head("app")).bytes);`;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", script],
    stderr: "inherit",
  }).output();
  assert.equal(code, 0);
  assert.equal(new TextDecoder().decode(stdout).trim(), "10");
});

Deno.test("nats() and its URL refuse what cannot work, and repeat no secret", () => {
  const open = (url: string) => (): unknown => store.open(url);
  assert.equal(
    store.open("nats://a.example:4222,b.example/bucket/hosts/web%201").url,
    "nats://a.example:4222,b.example/bucket/hosts/web%201",
  );
  for (
    const url of [
      "nats://host",
      "nats://host/",
      "nats://host/b?what=1",
      "nats://host/b.c",
      "nats://host/b?create=maybe",
      "nats://host/b?retries=-1",
      "nats://host/b?credsFile=nats.creds",
      "nats://host/b/../c",
    ]
  ) {
    assert.throws(open(url), /Cannot open the store/, url);
  }
  assert.throws(open("nats://user:s3cret@host/b"), (error) => {
    assert.doesNotMatch(Deno.inspect(error), /s3cret/);
    assert.match(messageOf(error), /Name a file/);
    return true;
  });
  assert.throws(() => store.nats({ bucket: "" }), TypeError);
  assert.throws(() => store.nats({ bucket: "b", retries: 1.5 }), RangeError);
  assert.throws(() => store.nats({ bucket: "b", auth: "x" as unknown as () => object }), TypeError);
});
