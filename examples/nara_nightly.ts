/**
 * What a network of naras remembers: every night what is new, once a week everything; encrypted, checked, pruned.
 *
 *     NARA_SOUL=... deno run -A examples/nara_nightly.ts NAME STORE RECIPIENT PEER...
 */
import {
  archive,
  backup,
  compress,
  encrypt,
  nara,
  pipeline,
  prune,
  sign,
  sinceLastBackup,
  store,
  upload,
} from "@holdfast/backup";

const [name = "alice", to = "./backups", recipient = "", ...peers] = Deno.args;
const target = store.directory(to);
const hour = 3_600_000_000_000n; // naras count nanoseconds; what arrives up to an hour late is asked for again

const nightly = pipeline(nara.collect({
  name,
  peers,
  soul: () => Deno.env.get("NARA_SOUL") ?? "",
  base: sinceLastBackup({ name: "nara", from: target, overlap: hour, fullEveryDays: 7 }),
}))
  .pipe(archive.tar())
  .pipe(compress.zstd())
  .pipe(encrypt.age({ recipients: [recipient] }))
  .pipe(sign.sha256())
  .pipe(upload({ name: "nara", to: target }))
  .pipe(prune({ keepWithin: "60d" })); // all of them: an increment stands on the full one before it

const { id, receipt, warnings } = await backup(nightly);
console.log(id, receipt.sources[0]?.facts.events, "events", warnings);
