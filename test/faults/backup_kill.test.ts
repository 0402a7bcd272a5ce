/** kill -9 at 100 random moments of a backup: afterwards the store holds whole backups, and nothing that looks like one. */
import { strict as assert } from "node:assert";
import { existsSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { backup, list, restore, store, verify } from "../../mod.ts";
import { makeTree, planOf } from "../engine/support.ts";
import { killLater, noise, scratch, sh } from "../support.ts";

const KILLS = 100;
/** So many at a time, each with a store of its own: a kill is mostly waiting. */
const LANES = 2;

Deno.test(`kill -9 at ${KILLS} random moments of a backup leaves whole backups or none`, async () => {
  using dir = scratch();
  makeTree(dir.join("src"));
  writeFileSync(dir.join("src/big.bin"), noise(6 << 20));
  const lanes = Array.from(
    { length: LANES },
    (_, lane) => kills(dir.join("src"), dir.join(`store${lane}`), lane),
  );
  const counts = await Promise.all(lanes);
  const cutShort = counts.reduce((sum, counts) => sum + counts.cutShort, 0);
  assert.ok(cutShort > KILLS / 4, `only ${cutShort} kills met a run under way`);
  assert.ok(counts.every(({ done }) => done > 0));

  for (let lane = 0; lane < LANES; lane++) {
    await usable(dir.join("src"), dir.join(`store${lane}`), dir.join(`out${lane}`));
  }
});

/** The kills of one lane: after each the store holds whole backups, and nothing that looks like one. */
async function kills(
  source: string,
  target: string,
  lane: number,
): Promise<{ readonly done: number; readonly cutShort: number }> {
  const plan = planOf(source, store.directory(target));
  const delays = noise(KILLS, 42);
  let done = 0;
  let cutShort = 0;
  for (let i = lane; i < KILLS; i += LANES) {
    const promised = await killAfter(source, target, i, delays[i]! / 2, i % 20 === lane ? ".age" : "ready");
    done += promised.length;
    const items = existsSync(target) ? await list(plan) : [];
    const complete = new Set(items.filter((item) => item.state === "complete").map((item) => item.id));
    for (const id of promised) assert.ok(complete.has(id), `${id} was reported done and is not there`);
    for (const item of items) {
      assert.ok(["complete", "incomplete"].includes(item.state), `${item.id}: ${item.state}`);
    }
    cutShort += items.filter((item) => item.state === "incomplete").length > 0 ? 1 : 0;
    for (const { id } of items.filter((item) => item.state === "complete").slice(-3)) {
      await verify(plan, { id });
    }
  }
  return { done, cutShort };
}

/** Whole means restorable, and the machine is usable again: no lease held, the remains are swept when their time has come. */
async function usable(source: string, target: string, into: string): Promise<void> {
  const plan = planOf(source, store.directory(target));
  sh(`find '${target}' -name '.*' -type f -exec touch -d '2 days ago' {} +`); // a day passes
  const last = await backup(plan, { now: new Date(Date.now() + 25 * 3600_000) });
  const items = await list(plan);
  assert.deepEqual(items.filter((item) => item.state !== "complete"), []);
  for (const { id } of items.filter((_, i) => i % 20 === 0)) await verify(plan, { id, level: "full" });
  await restore(plan, { id: last.id, into });
  sh(`diff -r --no-dereference '${source}' '${into}/src'`);
  assert.equal(
    new TextDecoder().decode(sh(`find '${target}' -name '.*' -type f | wc -l`)).trim(),
    "0",
    "temporary files stay",
  );
}

/** Starts backups, kills the process `ms` after it has said `word`; gives the ids it had reported as done. */
async function killAfter(
  source: string,
  target: string,
  round: number,
  ms: number,
  word: string,
): Promise<string[]> {
  const from = Date.UTC(2020, 0, 1) + round * 3600_000;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      fileURLToPath(new URL("backup_child.ts", import.meta.url)),
      source,
      target,
      String(from),
    ],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let text = "";
  let killed = false;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (!killed && text.includes(word)) {
      killed = true;
      killLater(child, ms);
    }
  }
  await child.status;
  return text.split("\n").slice(0, -1).filter((line) => line !== "ready");
}
