/**
 * A first backup and its restore: one chain, both ways.
 *
 *     deno run -A examples/first_backup.ts SOURCE STORE TARGET
 */
import {
  archive,
  backup,
  collect,
  compress,
  encrypt,
  pipeline,
  restore,
  sign,
  store,
  upload,
} from "@holdfast/backup";

const [source = ".", to = "./backups", target = "./restored"] = Deno.args;

// The host needs only the recipient. Keep the identity elsewhere: whoever has it can read the backups.
const { identity, recipient } = await encrypt.generateIdentity();

const plan = pipeline(collect.files(source, { exclude: ["node_modules/**"] }))
  .pipe(archive.tar())
  .pipe(compress.zstd({ level: 3 }))
  .pipe(encrypt.age({ recipients: [recipient], identities: () => identity }))
  .pipe(sign.sha256())
  .pipe(upload({ name: "first", to: store.directory(to) }));

const { id, receipt } = await backup(plan);
console.log(`stored ${id}: ${receipt.contents.entries} entries`);

const { entries } = await restore(plan, { into: target });
console.log(`restored ${entries} entries into ${target}`);
