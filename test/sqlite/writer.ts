/** A process that commits until its standard input ends, then says how many and how long the slowest hundredth took. */
import { setTimeout as sleep } from "node:timers/promises";
import { DatabaseSync } from "node:sqlite";
import { append } from "./support.ts";

const [rate, ...paths] = Deno.args;
const perSecond = Number(rate);
const open = paths.map((path) => {
  const db = new DatabaseSync(path, { timeout: 10_000 });
  db.exec("PRAGMA synchronous = NORMAL");
  return db;
});
console.log("ready");
let going = true;
(async (): Promise<void> => {
  for await (const _chunk of Deno.stdin.readable);
  going = false;
})();
const times: number[] = [];
const started = performance.now();
while (going) {
  const before = performance.now();
  for (const db of open) append(db, 1);
  times.push(performance.now() - before);
  const ahead = perSecond > 0 ? times.length / perSecond * 1000 - (performance.now() - started) : 0;
  if (ahead > 1 || times.length % 50 === 0) await sleep(Math.max(0, ahead));
}
const seconds = (performance.now() - started) / 1000;
for (const db of open) db.close();
times.sort((a, b) => a - b);
console.log(JSON.stringify({
  commits: times.length,
  p99Ms: times[Math.floor(times.length * 0.99)] ?? 0,
  perSecond: times.length / seconds,
}));
