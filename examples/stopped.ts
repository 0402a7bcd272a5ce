/**
 * A service that must stand still while its files are read: down for as long as reading takes, not for the upload.
 *
 *     deno run -A examples/stopped.ts FOLDER STORE STOP START
 *
 * With systemd, `{ unit: "prosody.service" }` takes the place of the two programs.
 */
import { archive, backup, collect, encrypt, pipeline, store, upload } from "@holdfast/backup";

const [folder = ".", target = "./backups", stop = "true", start = "true"] = Deno.args;

export const still = pipeline(
  collect.stopped({ name: "app", stop: [stop], start: [start] }, collect.files(folder)),
)
  .pipe(archive.tar())
  .pipe(encrypt.plaintext())
  .pipe(upload({ name: "app", to: store.directory(target) }));

const { id, receipt } = await backup(still);
console.log(id, receipt.sources[0]?.facts);
