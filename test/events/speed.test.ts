/** 200,000 events (HOLDFAST_SOAK=1: a million) from ten overlapping peers: the union, in bounded memory, fast. */
import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { testContext } from "../support.ts";
import { readEvents } from "../../src/collect/events.ts";
import { numbered } from "./support.ts";

const soak = Deno.env.get("HOLDFAST_SOAK") === "1";
// Each event is held by four of the ten peers.
const LOG = soak ? 250_000 : 50_000;

Deno.test(`events: ${LOG * 4} events from ten peers, merged, deduplicated and sorted`, async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-prompt",
      fileURLToPath(new URL("./speed.ts", import.meta.url)),
      String(LOG),
      "5000",
    ],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    const reader = child.stdout.getReader();
    const port = new TextDecoder().decode((await reader.read()).value).trim();
    await reader.cancel();
    const peers = Array.from({ length: 10 }, (_, i) => `http://127.0.0.1:${port}/peer/${i}`);
    const started = performance.now();
    const read = await readEvents({ peers, pages: numbered }, testContext());
    let bytes = 0;
    let last = "";
    for await (const block of read.lines()) {
      bytes += block.length;
      const line = new TextDecoder().decode(block.subarray(0, block.indexOf(10)));
      const time = /"ts":(\d+)/.exec(line)![1]!;
      assert.ok(time > last);
      last = time;
    }
    const seconds = (performance.now() - started) / 1000;
    read.close();
    const { events, duplicates, conflicts } = read.facts();
    assert.deepEqual({ events, duplicates, conflicts }, { events: LOG, duplicates: LOG * 3, conflicts: 0 });
    const peak = Number(/VmHWM:\s+(\d+)/.exec(await Deno.readTextFile("/proc/self/status"))?.[1] ?? 0) / 1024;
    const rate = Math.round(LOG * 4 / seconds);
    console.error(`${rate} events a second, ${bytes} bytes out, peak ${Math.round(peak)} MiB`);
    assert.ok(rate > 20_000, `${rate} events a second`);
    if (soak) assert.ok(peak < 400, `${peak} MiB`);
  } finally {
    child.kill("SIGTERM");
    await child.status;
  }
});
