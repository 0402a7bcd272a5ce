/**
 * Does your plan hold when everything goes wrong? Many lives of it among faults; the plan's own stores are not touched.
 *
 *     deno run -A examples/simulate_faults.ts [LIVES] [SEED]
 */
import { archive, collect, compress, encrypt, pipeline, prune, sign, store, upload } from "@holdfast/backup";
import { simulate } from "@holdfast/backup/testing";

const [lives = "20", seed = "1"] = Deno.args;
const source = Deno.makeTempDirSync();
Deno.writeTextFileSync(`${source}/notes.txt`, "small is enough: it is read a few times in each life\n");
const { recipient } = await encrypt.generateIdentity();

const plan = pipeline(collect.files(source))
  .pipe(archive.tar())
  .pipe(compress.zstd())
  .pipe(encrypt.age({ recipients: [recipient] }))
  .pipe(sign.sha256())
  .pipe(upload({ name: "notes", to: store.directory("./backups") }))
  .pipe(prune({ keepLast: 3, keepDaily: 7 }));

const { violations, outcomes, faults } = await simulate(plan, { runs: Number(lives), seed: Number(seed) });
console.log("ended as", outcomes);
console.log("among", faults);
for (const { seed, during, what } of violations) console.log(`seed ${seed}, ${during}: ${what}`);
console.log(violations.length === 0 ? "Nothing was lost." : "SOMETHING WAS LOST");
Deno.removeSync(source, { recursive: true });
Deno.exitCode = violations.length === 0 ? 0 : 5;
