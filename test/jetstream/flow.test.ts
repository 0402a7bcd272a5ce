/** Snapshots that are stored while they come: their announced length, the padding in them, and the window they come through. */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { concat, readAll } from "../../src/bytes.ts";
import * as collect from "../../src/collect/mod.ts";
import { entriesOf } from "../../src/collect/jetstream/entries.ts";
import { frameCheck } from "../../src/collect/jetstream/frames.ts";
import { gather } from "../../src/collect/jetstream/gather.ts";
import type { Flow } from "../../src/collect/jetstream/begin.ts";
import { openWindow } from "../../src/collect/jetstream/window.ts";
import { parseExact } from "../../src/nats/exact.ts";
import type { Entry, U8 } from "../../src/stage.ts";
import { judged, noise, scratch, testContext } from "../support.ts";
import { END, ID, stored } from "./s2.ts";
import { ask, collected, contents, givenBack, startServer } from "./support.ts";

const MIB = 1024 * 1024;
const BLOCK = stored(noise(512 * 1024));

/** A snapshot of exactly so many bytes: noise, with a frame that every reader skips to make up the length. */
function snapshotOf(bytes: number): U8 {
  const blocks = [ID];
  let left = bytes - ID.length - END.length;
  for (; left > 600_000; left -= 512 * 1024 + 8) blocks.push(BLOCK);
  const skipped = new Uint8Array(left);
  skipped.set([0x80, left - 4 & 0xff, left - 4 >> 8 & 0xff, left - 4 >> 16]);
  return concat([...blocks, skipped, END]);
}

/** That snapshot while it comes: `first` bytes are there when its length is announced. */
function coming(data: U8, first: number): Flow & { goOn: () => void } {
  const window = openWindow("it", undefined);
  const frames = frameCheck();
  const ended = Promise.withResolvers<{ format: "tar"; unpackedBytes: number }>();
  let at = 0;
  let over = false;
  const feed = (to: number): void => {
    for (; at < to; at += MIB) {
      const piece = data.slice(at, at + MIB);
      frames.add(piece);
      window.write(piece, () => {});
    }
  };
  feed(first);
  return {
    name: "S",
    config: parseExact('{"name":"S"}'),
    state: parseExact('{"bytes":0}'),
    cutAt: new Date(0),
    window,
    frames,
    received: () => Math.min(at, data.length),
    over: () => over,
    failure: () => undefined,
    ended: ended.promise,
    close: window.close,
    goOn: () => {
      feed(data.length);
      over = true;
      window.end();
      ended.resolve({ format: "tar", unpackedBytes: 0 });
    },
  };
}

async function bodyOf({ body }: Entry): Promise<U8> {
  return typeof body === "function" ? await readAll(body(), 2 ** 30) : body ?? new Uint8Array();
}

Deno.test("a snapshot of unknown length: padding up to what was announced, or the rest as a file of its own", async () => {
  const announced = 8 * MIB;
  // The announced length less the data: no gap, gaps that no frame of padding fits, and data that is longer.
  for (const gap of [3 * MIB, MIB + 3, MIB, 5, 4, 3, 2, 1, 0, -1, -2 * MIB - 77]) {
    const data = snapshotOf(announced - gap);
    const flow = coming(data, MIB);
    const entries: Entry[] = [];
    for await (const entry of entriesOf(flow, "", "it")) {
      if (entry.path.endsWith(".s2")) flow.goOn();
      entries.push({ ...entry, body: await bodyOf(entry) });
    }
    const [, , file, rest] = entries as [Entry, Entry, Entry, Entry | undefined];
    for (const entry of entries) {
      assert.equal((entry.body as U8).length, entry.bytes, `${entry.path} at ${gap}`);
    }
    assert.equal(file.bytes, announced);
    assert.equal(rest !== undefined, gap < 0 || gap === 1 || gap === 2 || gap === 3, `${gap}`);
    if (gap >= 4) assert.deepEqual((file.body as U8).subarray(-END.length), END, "the end stands at the end");

    using gathered = await gather(givenBack(entries).entries(), testContext());
    assert.deepEqual(await readAll(gathered.streams[0]!.content.read(), 2 ** 30), data);
    flow.close();
    if (rest) {
      const without = gather(givenBack(entries.slice(0, 3)).entries(), testContext());
      await assert.rejects(without, /Cannot restore "S\/stream\.tar\.s2": it is cut/);
      const twice = gather(givenBack([...entries, rest]).entries(), testContext());
      await assert.rejects(twice, /the backup does not consist of streams, or holds this twice/);
    }
  }
});

Deno.test("the window: whoever is slow, each piece is acknowledged in time, and comes out as it went in", async () => {
  using folder = scratch();
  const window = openWindow("it", folder.path);
  const pieces = Array.from({ length: 40 }, (_, i) => noise(MIB, i + 1));
  let acknowledged = 0;
  const acknowledge = (): void => void acknowledged++;
  const first = window.next();
  window.write(pieces[0]!.slice(), acknowledge);
  assert.deepEqual(await first, pieces[0]);
  for (const piece of pieces.slice(1)) window.write(piece.slice(), acknowledge);
  // Sixteen have room; the others wait for it, a moment.
  assert.equal(acknowledged, 17);
  assert.deepEqual(await window.next(), pieces[1]);
  assert.equal(acknowledged, 18);
  while (acknowledged < pieces.length) await new Promise((resolve) => setTimeout(resolve, 20));
  for (const piece of pieces.slice(2)) assert.deepEqual(await window.next(), piece);
  window.end();
  assert.equal(await window.next(), undefined);
  window.close();
});

judged(
  "jetstream: a long snapshot goes into the archive while it comes; stock nats restores what lies there",
  ["nats-server", "nats"],
  async () => {
    await using a = await startServer();
    await using b = await startServer();
    await using c = await startServer();
    await ask(a.nc, "STREAM.CREATE.BIG", { name: "BIG", subjects: ["BIG"], storage: "file" });
    for (let i = 0; i < 24; i++) {
      const payload = noise(MIB - 1000, i + 1);
      payload.fill(0, 0, MIB / 4);
      await a.nc.request("BIG", payload, { timeout: 20_000 });
    }
    const { entries, files } = await collected(collect.jetstream({ servers: a.url }));
    const [, config, data] = entries as [Entry, Entry, Entry];
    const { streams } = files.facts().sources[0]!.facts as { streams: { bytes: number }[] };
    assert.ok(data.bytes > streams[0]!.bytes, `${data.bytes} are announced, ${streams[0]!.bytes} have come`);

    const { undo } = collect.jetstream({ servers: b.url });
    await undo(givenBack(entries), testContext({ want: { inPlace: true } }));
    const before = await contents(a.nc, "BIG");
    assert.deepEqual(await contents(b.nc, "BIG"), before);

    using dir = scratch();
    mkdirSync(dir.join("BIG"));
    for (const { path, body } of [config, data]) writeFileSync(dir.join(path), body as U8);
    execFileSync("nats", ["--server", c.url, "stream", "restore", dir.join("BIG"), "--no-progress"], {
      stdio: "pipe",
    });
    assert.deepEqual(await contents(c.nc, "BIG"), before);
  },
);
