/**
 * Many targets in one run: the source is read once, each target succeeds or fails by itself.
 *
 *     deno run -A examples/many_targets.ts SOURCE STORE STORE...
 */
import {
  archive,
  backup,
  collect,
  compress,
  encrypt,
  pipeline,
  prune,
  sign,
  store,
  upload,
} from "@holdfast/backup";

const [source = ".", ...folders] = Deno.args;
const { recipient } = await encrypt.generateIdentity();

const plan = pipeline(collect.files(source))
  .pipe(archive.tar())
  .pipe(compress.zstd())
  .pipe(encrypt.age({ recipients: [recipient] }))
  .pipe(sign.sha256())
  .pipe(upload({ name: "everywhere", to: folders.map((folder) => store.directory(folder)) }))
  .pipe(prune({ keepDaily: 14, keepWeekly: 8, timezone: "Europe/Berlin" }));

const result = await backup(plan);
for (const { store, error } of result.copies) console.log(store, error ? `FAILED: ${error.message}` : "ok");
Deno.exitCode = result.status === "complete" ? 0 : 3;
