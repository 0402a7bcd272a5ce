// What a target has missed comes later: copied whole, into its own ledger, and compared.
import {
  archive,
  backup,
  collect,
  compare,
  copy,
  encrypt,
  pipeline,
  type Plan,
  sign,
  store,
  upload,
} from "@holdfast/backup";

const [source = ".", first = "./backups", second = "./elsewhere"] = Deno.args;

// Folders here; store.s3, store.sftp and store.nats stand beside them just the same.
function planTo(...targets: readonly string[]): Plan {
  return pipeline(collect.files(source))
    .pipe(archive.tar())
    .pipe(encrypt.plaintext())
    .pipe(sign.sha256())
    .pipe(upload({ name: "docs", to: targets.map((target) => store.open(target)) }));
}

await backup(planTo(first)); // the other one was away

const both = planTo(first, second);
const { copied, troubles } = await copy(both);
for (const { id, from, to } of copied) console.log(`${id} from ${from} to ${to}`);
for (const { id, to, error } of troubles) console.error(`${id} could not go to ${to}: ${error.message}`);

const { backups, differences } = await compare(both);
console.log(`${backups} in all, ${differences.length} differences`);
