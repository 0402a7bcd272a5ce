import { archive, collect, encrypt, pipeline, sign, store, upload } from "@holdfast/backup";
pipeline(collect.files("/a")).pipe(archive.tar()).pipe(encrypt.plaintext()).pipe(
  upload({ name: "a", to: store.memory() }),
).pipe(sign.sha256());
