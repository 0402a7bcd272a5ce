/**
 * A plan that is watched: who is told of a run, when `health` complains, and a page with its past.
 *
 *     deno run -A examples/monitored.ts SOURCE STORE WEBHOOK PAGE
 */
import {
  archive,
  backup,
  collect,
  encrypt,
  health,
  monitor,
  notify,
  pipeline,
  report,
  reportPage,
  store,
  upload,
} from "@holdfast/backup";

const [source = ".", folder = "./backups", webhook = "http://127.0.0.1:8080/", page = "./report.html"] =
  Deno.args;
const chain = pipeline(collect.files(source))
  .pipe(archive.tar())
  .pipe(encrypt.plaintext())
  .pipe(upload({ name: "app", to: store.directory(folder) }));

export const app = monitor(chain, {
  notify: [notify.webhook({ url: webhook, template: '{"text": "{{title}}: {{text}}"}' })],
  health: { maxAge: "26h", maxDrillAge: "95d" },
  targets: { rpo: "26h", duration: "2h" },
});

await backup(app);
const { status, findings } = await health(app);
console.log(status, findings.map(({ message, next }) => `${message}. ${next}`).join("\n"));
await Deno.writeTextFile(page, reportPage([await report(app)], new Date()));
