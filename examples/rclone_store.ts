/**
 * Any program as a store: here rclone, which reaches seventy clouds. `store.rclone(REMOTE)` is the same, ready made.
 *
 *     deno run -A examples/rclone_store.ts SOURCE REMOTE OUT
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

const [source = ".", remote = "gdrive:backups", out = "out"] = Deno.args;
const { recipient, identity } = await encrypt.generateIdentity();

const cloud = store.command({
  name: "cloud",
  put: ["rclone", "rcat", `${remote}/{key}`],
  get: ["rclone", "cat", `${remote}/{key}`],
  getRange: ["rclone", "cat", "--offset", "{start}", "--count", "{count}", `${remote}/{key}`],
  list: ["rclone", "lsjson", "-R", "--files-only", remote],
  delete: ["rclone", "deletefile", `${remote}/{key}`],
  move: ["rclone", "moveto", `${remote}/{from}`, `${remote}/{to}`],
});

const plan = pipeline(collect.files(source))
  .pipe(archive.tar())
  .pipe(compress.zstd())
  .pipe(encrypt.age({ recipients: [recipient], identities: () => [identity] }))
  .pipe(sign.sha256())
  .pipe(upload({ name: "app", to: cloud }));

console.log((await backup(plan)).id);
await restore(plan, { into: out });
