/**
 * Moves to a new instance: the backups of a nara's events, full ones and increments, are given to the nara that now runs with the same soul.
 *
 *     NARA_SOUL=... deno run -A examples/nara_migrate.ts NAME STORE RECIPIENT IDENTITY_FILE NEW_NARA_URL
 */
import { archive, compress, encrypt, list, nara, pipeline, restore, store, upload } from "@holdfast/backup";

const [name = "alice", from = "./backups", recipient = "", identity = "", target = ""] = Deno.args;

const moving = pipeline(nara.collect({
  name,
  peers: [target],
  target,
  soul: () => Deno.env.get("NARA_SOUL") ?? "",
}))
  .pipe(archive.tar())
  .pipe(compress.zstd())
  .pipe(encrypt.age({ recipients: [recipient], identities: () => Deno.readTextFile(identity) }))
  .pipe(upload({ name: "nara", to: store.directory(from) }));

const log = {
  info: (text: string) => console.log(text),
  warn: (_: string, text: string) => console.error(text),
};
// Oldest first: each brings what the new nara lacks and would keep; a second run sends nothing.
for (const { id, state } of await list(moving)) {
  if (state === "complete") await restore(moving, { id, inPlace: true, log });
}
