/** A chain's life among faults: retention, refusals, torn writes and dying machines never leave a backup without what it builds on. */
import { strict as assert } from "node:assert";
import { archive, collect, encrypt, pipeline, prune, sign, store, upload } from "../../mod.ts";
import { simulate } from "../../src/testing/mod.ts";
import { scratch } from "../support.ts";

const LIVES = Deno.env.get("HOLDFAST_SOAK") ? 500 : 12;

Deno.test(`${LIVES} lives of a plan that stores what has changed: no backup lost, none without its base`, async () => {
  using dir = scratch();
  Deno.mkdirSync(dir.join("src"));
  Deno.writeTextFileSync(dir.join("src/file"), "content\n");
  let built = 0;
  const files = collect.files(dir.join("src"), {
    since: "latest",
    indexDir: dir.join("since"),
    fullEvery: 4,
    fullShare: 1000,
  });
  // Counts the increments, and changes the tree before each run.
  const counting: typeof files = {
    ...files,
    run: async (input, context) => {
      Deno.writeTextFileSync(dir.join("src/file"), `content ${context.run}\n`);
      const collected = await files.run(input, context);
      return {
        ...collected,
        facts: () => {
          const facts = collected.facts();
          built += Number(facts.base !== undefined);
          return facts;
        },
      };
    },
  };
  const plan = pipeline(counting)
    .pipe(archive.tar())
    .pipe(encrypt.plaintext())
    .pipe(sign.sha256())
    .pipe(upload({ name: "app", to: store.memory() }))
    .pipe(prune({ keepLast: 2, keepDaily: 2 }));
  const { violations, outcomes } = await simulate(plan, { runs: LIVES, seed: 7 });
  assert.deepEqual(violations, []);
  assert.ok(outcomes.complete! > LIVES && built > LIVES, `${JSON.stringify(outcomes)}, ${built} increments`);
});
