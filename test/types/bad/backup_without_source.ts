import { archive, backup, encrypt, pipeline, store, upload } from "@holdfast/backup";
await backup(
  pipeline(archive.tar()).pipe(encrypt.plaintext()).pipe(upload({ name: "a", to: store.memory() })),
);
