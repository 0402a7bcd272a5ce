/**
 * `deno run -A test/bench/jetstream.ts [RUNS] [DIVISOR]`: Holdfast and the `nats` command in turn over a stream of 1 GB, over 2,000 small
 * streams, and over both in one run; a Markdown table on standard output. The `nats` command writes plain files; Holdfast goes through
 * tar, zstd and age, hashes, writes index and receipt, and syncs to the disk. The third does with stock tools what leads to the same:
 * the `nats` command, then tar, zstd and age over its files. Everything lies in `.bench/nats` of the checkout.
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

const NAMES = ["Holdfast", "nats", "nats, tar, zstd, age"] as const;
type Name = typeof NAMES[number];

/** Rounds of all three, each beginning with the next one. */
async function compare(what: string, url: string, nats: string): Promise<string> {
  const recipient = execFileSync("age-keygen", ["-y", join(ROOT, "identity.txt")], { encoding: "utf8" })
    .trim();
  writeFileSync(
    join(ROOT, "backup.toml"),
    `[plan.b]\ncollect = { jetstream = "${url}" }\nencrypt = { age = { recipients = ["${recipient}"] } }\n` +
      `upload = { to = "${ROOT}/out" }\n`,
  );
  const seal = `tar -C "${ROOT}/out" -cf - . | zstd -q -3 -T0 | age -r ${recipient} > "${ROOT}/out.age"`;
  const lines: Readonly<Record<Name, string>> = {
    Holdfast: `${taskLine(CHECKOUT, "backup")} --config "${ROOT}/backup.toml" --quiet`,
    nats: `nats --server ${url} ${nats}`,
    "nats, tar, zstd, age": `nats --server ${url} ${nats} && ${seal} && sync -f "${ROOT}/out.age"`,
  };
  const env = { XDG_STATE_HOME: join(ROOT, "state"), XDG_CONFIG_HOME: join(ROOT, "config"), INIT_CWD: ROOT };
  const took = Object.fromEntries(NAMES.map((name) => [name, []])) as unknown as Record<Name, Measured[]>;
  for (let round = 0; round < RUNS; round++) {
    for (let turn = 0; turn < NAMES.length; turn++) {
      const name = NAMES[(round + turn) % NAMES.length]!;
      for (const folder of ["out", "out.age", "state"]) {
        rmSync(join(ROOT, folder), { recursive: true, force: true });
      }
      execFileSync("sync");
      const one = await measure(lines[name], { cwd: CHECKOUT, env, figures: join(ROOT, "figures") });
      took[name].push(one);
      console.error(`${what} ${round + 1}: ${name} ${(one.wallMs / 1000).toFixed(2)} s`);
    }
  }
  const median = (name: Name, of: (one: Measured) => number): number =>
    took[name].map(of).sort((a, b) => a - b)[Math.floor(RUNS / 2)]!;
  const wall = (name: Name): number => median(name, ({ wallMs }) => wallMs) / 1000;
  const cells = NAMES.map((name) => {
    const cpu = (median(name, ({ cpuMs }) => cpuMs) / 1000).toFixed(1);
    const peak = (median(name, ({ peakBytes }) => peakBytes) / 2 ** 20).toFixed(0);
    const ratio = name === "Holdfast" ? "" : `, Holdfast ${(wall("Holdfast") / wall(name)).toFixed(2)} x`;
    return `${wall(name).toFixed(2)} s, ${cpu} s cpu, ${peak} MiB${ratio}`;
  });
  return `| ${[what, ...cells].join(" | ")} |`;
}

rmSync(ROOT, { recursive: true, force: true });
mkdirSync(ROOT, { recursive: true });
try {
  execFileSync("age-keygen", ["-o", join(ROOT, "identity.txt")], { stdio: "ignore" });
  await using big = await startServer();
  await using small = await startServer();
  await fillBig(big.nc);
  await fillSmall(small.nc);
  console.log(`| what | ${NAMES.join(" | ")} |\n| --- | --- | --- | --- |`);
  console.log(await compare("1 GB stream", big.url, `stream backup BIG "${ROOT}/out" --no-progress`));
  const account = `account backup "${ROOT}/out" --force`;
  console.log(await compare("2,000 small streams", small.url, account));
  await fillSmall(big.nc);
  console.log(await compare("both in one run", big.url, account));
} finally {
  rmSync(ROOT, { recursive: true, force: true });
}
