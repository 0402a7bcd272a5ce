/**
 * Issues of a project behind a paginated JSON API (Link headers, as GitHub's): every night what is new, once a week everything.
 *
 *     API_TOKEN=... deno run -A examples/link_api.ts "https://api.example.com/repos/app/issues?per_page=100" STORE
 */
import {
  archive,
  backup,
  collect,
  compress,
  encrypt,
  pipeline,
  sinceLastBackup,
  store,
  upload,
} from "@holdfast/backup";

const [url = "", to = "./backups"] = Deno.args;
const target = store.directory(to);

const issues = pipeline(collect.events({
  peers: [url],
  path: "issues.jsonl",
  id: "id",
  time: "updated_at",
  headers: () => ({ authorization: `Bearer ${Deno.env.get("API_TOKEN") ?? ""}` }),
  base: sinceLastBackup({ name: "issues", from: target, fullEveryDays: 7 }),
}))
  .pipe(archive.tar())
  .pipe(compress.zstd())
  .pipe(encrypt.plaintext()) // public data
  .pipe(upload({ name: "issues", to: target }));

const { id, receipt } = await backup(issues);
console.log(id, receipt.sources[0]?.facts.events, "events");
