/** Slow targets, long lines, full disks, and servers that die in the middle of a restore. */
import { strict as assert } from "node:assert";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { giveBack } from "../../src/blocks.ts";
import * as collect from "../../src/collect/mod.ts";
import type { Entry } from "../../src/stage.ts";
import { judged, noise, scratch, type Seen, testContext } from "../support.ts";
import { longLine } from "./slow.ts";
import { ask, collected, contents, givenBack, makeStream, startServer, type TestServer } from "./support.ts";

const MB = 1_000_000;

/** A stream of `megabytes` that nothing makes smaller. */
async function makeBig({ nc }: TestServer, megabytes: number): Promise<void> {
  await ask(nc, "STREAM.CREATE.BIG", { name: "BIG", subjects: ["BIG"], storage: "file" });
  for (let i = 0; i < megabytes; i++) await nc.request("BIG", noise(MB, i + 1), { timeout: 20_000 });
}

const inPlace = testContext({ want: { inPlace: true } });

judged(
  "jetstream: over a line of 20 ms a restore is far faster than a piece at a time",
  ["nats-server"],
  async () => {
    await using a = await startServer();
    await using b = await startServer();
    await makeBig(a, 24);
    const { entries } = await collected(collect.jetstream({ servers: a.url }));
    await using line = longLine(b.url, 20);
    const start = performance.now();
    await collect.jetstream({ servers: line.url }).undo(givenBack(entries), inPlace);
    const seconds = (performance.now() - start) / 1000;
    // A piece of 128 KiB each 40 ms is 3.3 MB/s, and 24 MB take 7.3 s; the rest is for a machine that is busy.
    assert.ok(24 / seconds > 5, `${(24 / seconds).toFixed(1)} MB/s`);
    assert.deepEqual((await ask(b.nc, "STREAM.INFO.BIG")).state.messages, 24);
    // And a backup over it is exact as well.
    const { entries: again } = await collected(collect.jetstream({ servers: line.url }));
    assert.equal(JSON.parse(new TextDecoder().decode(again[1]!.body as Uint8Array)).state.messages, 24);
  },
);

judged("jetstream: a target of 5 MB/s holds up neither the server nor memory", ["nats-server"], async () => {
  await using server = await startServer();
  const megabytes = Deno.env.get("HOLDFAST_SOAK") ? 400 : 24;
  await makeBig(server, megabytes);
  const files = await collect.jetstream({ servers: server.url }).run(undefined, testContext());
  const before = residentBytes();
  let peak = 0;
  let read = 0;
  const start = performance.now();
  for await (const { body } of files.entries()) {
    if (typeof body !== "function") continue;
    for await (const chunk of body()) {
      read += chunk.length;
      const due = start + read / (5 * MB) * 1000;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
      peak = Math.max(peak, residentBytes());
      giveBack(chunk); // as every stage does
    }
  }
  assert.ok(read > megabytes * MB);
  // Other tests share this process, and garbage waits for its collector: the bound is for the soak, where it is alone.
  if (Deno.env.get("HOLDFAST_SOAK")) {
    console.log(`${megabytes} MB at 5 MB/s: ${((peak - before) / MB).toFixed(0)} MB more than before`);
    assert.ok(peak - before < 250 * MB, `${peak - before} bytes`);
  }
});

function residentBytes(): number {
  return Number(readFileSync("/proc/self/statm", "utf8").split(" ")[1]) * 4096;
}

/** Backs up A and BIG, and gives what a server that holds an older A makes of the restore. */
async function broken(
  jetstream: string,
  spoolDir: string | undefined,
  during: (server: TestServer, entry: string) => Promise<void> | void,
): Promise<{ error: Error; b: TestServer; before: unknown }> {
  await using a = await startServer();
  await makeStream(a.nc, "A", 50);
  await makeBig(a, 24);
  const { entries } = await collected(collect.jetstream({ servers: a.url }));
  const b = await startServer({ jetstream });
  await makeStream(b.nc, "A", 9);
  const before = await contents(b.nc, "A");
  const context = testContext({ want: { inPlace: true, conflict: "overwrite" } });
  const log = { ...context.log, info: (text: string): void => void during(b, text) };
  const error = await Promise.resolve(
    collect.jetstream({ servers: b.url, spoolDir }).undo(givenBack(entries as Entry[]), { ...context, log }),
  ).then(() => new Error("it was restored"), (error) => error);
  return { error, b, before };
}

judged(
  "jetstream: no room on the server's disk is said, and everything is as it was",
  ["nats-server"],
  async () => {
    const { error, b, before } = await broken("", undefined, () => {});
    assert.equal(error.message, "it was restored");
    await b[Symbol.asyncDispose]();
    const full = await broken("max_file_store: 4MB", undefined, () => {});
    await using server = full.b;
    assert.match(
      full.error.message,
      /Cannot restore the stream "BIG": .*Give the account, or the disk, more room/,
    );
    assert.deepEqual(await contents(server.nc, "A"), full.before);
    assert.deepEqual((await ask(server.nc, "STREAM.NAMES")).streams, ["A"]);
    assert.ok(before);
  },
);

judged("jetstream: a server that dies in the middle of a restore: where the old streams lie is said", [
  "nats-server",
], async () => {
  using state = scratch();
  const { error, b } = await broken("", state.path, (server, text) => {
    if (text.includes('Restored the stream "A"')) void server.stop();
  });
  await using _server = b;
  assert.match(
    error.message,
    /Cannot restore \(Cannot restore the stream "BIG": .*taking it back failed for "A"/s,
  );
  const [, folder = ""] = /The old streams lie in "([^"]+)": the next restore/.exec(error.message) ?? [];
  assert.ok(folder.startsWith(state.path));
  assert.deepEqual(readdirSync(folder).sort(), [".lock", "A"]);
});

judged(
  "jetstream: kill -9 while a stream is overwritten: the next restore puts it back",
  ["nats-server"],
  async () => {
    using state = scratch();
    await using b = await startServer();
    await makeBig(b, 24);
    const before = await contents(b.nc, "BIG");
    await using line = longLine(b.url, 100);
    const deleted = b.nc.subscribe("$JS.EVENT.ADVISORY.STREAM.DELETED.BIG");
    await b.nc.flush();
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", join(import.meta.dirname!, "overwrite.ts"), line.url, state.path],
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    // Either: it is gone, or the child has failed.
    await Promise.race([deleted[Symbol.asyncIterator]().next(), child.status]);
    child.kill("SIGKILL");
    await child.status;
    assert.deepEqual((await ask(b.nc, "STREAM.NAMES")).streams, null);
    const [folder] = readdirSync(state.path);
    assert.equal(lstatSync(state.join(folder!)).mode & 0o777, 0o700);

    await using a = await startServer();
    await makeStream(a.nc, "A", 3);
    const { entries } = await collected(collect.jetstream({ servers: a.url }));
    const next = async (dryRun: boolean): Promise<string[]> => {
      const seen: Seen = { warnings: [], infos: [] };
      await collect.jetstream({ servers: line.url, spoolDir: state.path }).undo(
        givenBack(entries),
        testContext({ want: { inPlace: true, dryRun }, seen }),
      );
      return seen.infos;
    };
    assert.match(
      (await next(true)).join(),
      /A restore that was killed has removed the stream "BIG"; it lies in "/,
    );
    assert.equal((await ask(b.nc, "STREAM.NAMES")).streams, null);
    assert.match(
      (await next(false)).join(),
      /Put the stream "BIG" back, which a restore that was killed had removed/,
    );
    assert.deepEqual(await contents(b.nc, "BIG"), before);
    assert.deepEqual(readdirSync(state.path), []);
  },
);
