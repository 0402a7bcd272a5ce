/** A child process that reads the ten peers of speed.ts and says in JSON what it read, how fast, and in how much memory. */
import { readEvents } from "../../src/collect/events.ts";
import { testContext } from "../support.ts";
import { numbered } from "./support.ts";

const peers = Array.from({ length: 10 }, (_, i) => `http://127.0.0.1:${Deno.args[0]}/peer/${i}`);
const started = performance.now();
const read = await readEvents({ peers, pages: numbered }, testContext());
let last = "";
let sorted = true;
for await (const block of read.lines()) {
  const line = new TextDecoder().decode(block.subarray(0, block.indexOf(10)));
  const time = /"ts":(\d+)/.exec(line)?.[1] ?? "";
  sorted &&= time > last;
  last = time;
}
const seconds = (performance.now() - started) / 1000;
read.close();
const { events, duplicates, conflicts } = read.facts();
const peak = Number(/VmHWM:\s+(\d+)/.exec(await Deno.readTextFile("/proc/self/status"))?.[1] ?? 0) / 1024;
console.log(JSON.stringify({
  events,
  duplicates,
  conflicts,
  sorted,
  peak,
  rate: Math.round((events + duplicates) / seconds),
}));
Deno.exit();
