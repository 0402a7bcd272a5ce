import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { directory } from "../../src/store/mod.ts";
import { bytesOf, keysOf } from "../contract/store.ts";
import { noise, scratch } from "../support.ts";
import { numberOf } from "./object.ts";

const ROUNDS = Deno.env.get("HOLDFAST_SOAK") === "1" ? 200 : 10;
const CHILD = new URL("./child.ts", import.meta.url).pathname;

Deno.test(`directory() put killed at ${ROUNDS} random moments leaves whole objects or none`, async () => {
  using dir = scratch();
  const store = directory(dir.path);
  const moments = noise(ROUNDS, 42);
  let interrupted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await killed(dir.path, round * 1000, moments[round]! / 2);
    for (const key of await keysOf(store)) {
      const number = numberOf(await bytesOf(store, key));
      assert.notEqual(number, undefined, `round ${round}: "${key}" is not whole`);
      if (key !== "replaced") assert.equal(key, `new${number}`);
    }
    const debris = readdirSync(dir.path).filter((name) => name.startsWith("."));
    if (debris.length > 0) interrupted++;
    for (const name of readdirSync(dir.path)) Deno.removeSync(dir.join(name));
  }
  assert.ok(
    interrupted >= ROUNDS / 4,
    `only ${interrupted} of ${ROUNDS} kills came while an object was written`,
  );
});

/** Starts a writer and kills it `ms` milliseconds after it began. */
async function killed(path: string, seed: number, ms: number): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", CHILD, "write", path, String(seed)],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  await new Promise((resolve) => setTimeout(resolve, ms));
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
}
