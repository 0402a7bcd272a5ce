/**
 * `deno run -A test/bench/jetstream.ts [RUNS] [DIVISOR]`: Holdfast and the `nats` command in turn over a stream of 1 GB, over 2,000 small
 * streams, and over both in one run; a Markdown table on standard output. The `nats` command writes plain files; Holdfast goes through
 * tar, zstd and age, hashes, writes index and receipt, and syncs to the disk. Everything lies in `.bench/nats` of the checkout.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NatsConnection } from "@nats-io/transport-node";
import { ask, startServer } from "../jetstream/support.ts";
import { noise } from "../support.ts";
import { taskLine } from "./contenders.ts";
import { measure, type Measured } from "./measure.ts";

const CHECKOUT = join(import.meta.dirname!, "../..");
const ROOT = join(CHECKOUT, ".bench", "nats");
const RUNS = Number(Deno.args[0] ?? 3);
const DIVISOR = Number(Deno.args[1] ?? 1);
const TEXT = "the quick brown fox jumps over the lazy dog, ".repeat(30).slice(0, 1000);

/** Messages of 4 kB, a quarter of them text: about 1 GB that shrinks to three quarters. */
async function fillBig(nc: NatsConnection): Promise<void> {
  await ask(nc, "STREAM.CREATE.BIG", { name: "BIG", subjects: ["BIG.>"], storage: "file" });
  const text = new TextEncoder().encode(TEXT);
  for (let i = 0; i < 250_000 / DIVISOR; i++) {
    const payload = new Uint8Array(4000);
    payload.set(noise(3000, i + 1));
    payload.set(text, 3000);
    if (i % 500 === 499) await nc.request(`BIG.n${i % 100}`, payload, { timeout: 60_000 });
    else nc.publish(`BIG.n${i % 100}`, payload);
  }
  await nc.flush();
}

async function fillSmall(nc: NatsConnection): Promise<void> {
  const make = async (i: number): Promise<void> => {
    const name = `S${String(i).padStart(4, "0")}`;
    await ask(nc, `STREAM.CREATE.${name}`, { name, subjects: [`${name}.>`], storage: "file" });
    for (let k = 0; k < 20; k++) {
      await nc.request(`${name}.x`, noise(200 + k, i * 20 + k + 1), { timeout: 60_000 });
    }
  };
  const count = 2000 / DIVISOR;
  for (let i = 0; i < count; i += 50) {
    await Promise.all(Array.from({ length: Math.min(50, count - i) }, (_, k) => make(i + k)));
  }
}

/** Rounds of both, each beginning with the other one. */
async function compare(what: string, url: string, nats: string): Promise<string> {
  const recipient = execFileSync("age-keygen", ["-y", join(ROOT, "identity.txt")], { encoding: "utf8" })
    .trim();
  writeFileSync(
    join(ROOT, "backup.toml"),
    `[plan.b]\ncollect = { jetstream = "${url}" }\nencrypt = { age = { recipients = ["${recipient}"] } }\n` +
      `upload = { to = "${ROOT}/out" }\n`,
  );
  const lines: Readonly<Record<string, string>> = {
    Holdfast: `${taskLine(CHECKOUT, "backup")} --config "${ROOT}/backup.toml" --quiet`,
    nats: `nats --server ${url} ${nats}`,
  };
  const env = { XDG_STATE_HOME: join(ROOT, "state"), XDG_CONFIG_HOME: join(ROOT, "config"), INIT_CWD: ROOT };
  const took: Record<string, Measured[]> = { Holdfast: [], nats: [] };
  for (let round = 0; round < RUNS; round++) {
    for (const name of round % 2 === 0 ? ["Holdfast", "nats"] : ["nats", "Holdfast"]) {
      for (const folder of ["out", "state"]) rmSync(join(ROOT, folder), { recursive: true, force: true });
      execFileSync("sync");
      const one = await measure(lines[name]!, { cwd: CHECKOUT, env, figures: join(ROOT, "figures") });
      took[name]!.push(one);
      console.error(`${what} ${round + 1}: ${name} ${(one.wallMs / 1000).toFixed(2)} s`);
    }
  }
  const median = (name: string, of: (one: Measured) => number): number =>
    took[name]!.map(of).sort((a, b) => a - b)[Math.floor(RUNS / 2)]!;
  const wall = (name: string): number => median(name, ({ wallMs }) => wallMs) / 1000;
  const cpu = (name: string): string => (median(name, ({ cpuMs }) => cpuMs) / 1000).toFixed(1);
  const peak = (name: string): string => (median(name, ({ peakBytes }) => peakBytes) / 2 ** 20).toFixed(0);
  return `| ${what} | ${wall("Holdfast").toFixed(2)} s | ${wall("nats").toFixed(2)} s | ${
    (wall("Holdfast") / wall("nats")).toFixed(2)
  } x | ${cpu("Holdfast")} s | ${cpu("nats")} s | ${peak("Holdfast")} MiB | ${peak("nats")} MiB |`;
}

rmSync(ROOT, { recursive: true, force: true });
mkdirSync(ROOT, { recursive: true });
try {
  execFileSync("age-keygen", ["-o", join(ROOT, "identity.txt")], { stdio: "ignore" });
  await using big = await startServer();
  await using small = await startServer();
  await fillBig(big.nc);
  await fillSmall(small.nc);
  console.log(
    "| what | Holdfast | nats | ratio | processor: Holdfast | nats | peak: Holdfast | nats |\n| --- | --: | --: | --: | --: | --: | --: | --: |",
  );
  console.log(await compare("1 GB stream", big.url, `stream backup BIG "${ROOT}/out" --no-progress`));
  const account = `account backup "${ROOT}/out" --force`;
  console.log(await compare("2,000 small streams", small.url, account));
  await fillSmall(big.nc);
  console.log(await compare("both in one run", big.url, account));
} finally {
  rmSync(ROOT, { recursive: true, force: true });
}
