/** Restores a stream of other content over the one that is there: a process of its own, for a test that kills it. */
import * as collect from "../../src/collect/mod.ts";
import { noise, testContext } from "../support.ts";
import { ask, collected, givenBack, startServer } from "./support.ts";

const [line = "", spoolDir = ""] = Deno.args;
await using a = await startServer();
await ask(a.nc, "STREAM.CREATE.BIG", { name: "BIG", subjects: ["BIG"], storage: "file" });
for (let i = 0; i < 24; i++) await a.nc.request("BIG", noise(1_000_000, i + 100), { timeout: 20_000 });
const { entries } = await collected(collect.jetstream({ servers: a.url }));
await a.stop();
await collect.jetstream({ servers: line, spoolDir }).undo(
  givenBack(entries),
  testContext({ want: { inPlace: true, conflict: "overwrite" } }),
);
