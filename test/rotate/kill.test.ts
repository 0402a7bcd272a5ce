/** kill -9 at random moments of a re-encryption: each backup can be read at least once, and the next run goes on to the end. */
import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { backup, list, restore, store, verify } from "../../mod.ts";
import { makeTree } from "../engine/support.ts";
import { noise, scratch } from "../support.ts";
import { fresh, hour, old, planOf } from "./support.ts";

const BACKUPS = 3;
const KILLS = Deno.env.get("HOLDFAST_SOAK") === "1" ? 60 : 4;

Deno.test(`kill -9 at ${KILLS} random moments of a re-encryption`, async () => {
  const delays = noise(KILLS, 7);
  let met = 0;
  for (let kill = 0; kill < KILLS;) {
    using dir = scratch();
    makeTree(dir.join("src"));
    Deno.writeFileSync(dir.join("src/big"), noise(3 << 20));
    const target = store.directory(dir.join("store"));
    for (let n = 0; n < BACKUPS; n++) {
      Deno.writeTextFileSync(dir.join("src/n"), `${n}`);
      await backup(planOf(dir.join("src"), target, old.recipient, old.identity, false), { now: hour(n) });
    }
    let round = 0;
    for (let ended = false; !ended; kill++) {
      // Later and later, so that a round comes to its end.
      ended = await killed(target.folder!, delays[kill % KILLS]! * 2 + 300 * round++);
      if (!ended) met++;
      const found = new Set<string>();
      for (const identity of [old.identity, fresh.identity]) {
        const plan = planOf(".", target, fresh.recipient, identity, false);
        for (const { id, state } of await list(plan)) {
          if (state !== "complete") continue;
          const into = dir.join(`out${found.size}-${crypto.randomUUID()}`);
          if (!await restore(plan, { id, into, only: ["*/n"] }).then(() => true, () => false)) continue;
          const text = Deno.readTextFileSync(`${into}/src/n`);
          found.add(text);
        }
      }
      assert.deepEqual([...found].sort(), ["0", "1", "2"], `after kill ${kill}`);
    }
    const plan = planOf(".", target, fresh.recipient, fresh.identity, false);
    const whole = (await list(plan)).filter(({ state }) => state === "complete");
    assert.equal(whole.length, BACKUPS);
    for (const { id } of whole) await verify(plan, { id, level: "full" });
    assert.ok(whole.every(({ id }) => !id.includes("00Z")), "what the old key reads is still there");
  }
  assert.ok(met >= KILLS / 2, `only ${met} kills met a run under way`);
});

/** Kills a run `ms` after it has begun; whether it had come to its end before. */
async function killed(target: string, ms: number): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      fileURLToPath(new URL("child.ts", import.meta.url)),
      target,
      fresh.recipient,
      old.identity,
    ],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let text = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (timer !== undefined || !text.includes("ready")) continue;
    timer = setTimeout(() => {
      try {
        child.kill("SIGKILL");
      } catch {
        // it has ended
      }
    }, ms);
  }
  await child.status;
  clearTimeout(timer);
  assert.ok(!text.includes("failed"), text);
  return text.includes("done");
}
