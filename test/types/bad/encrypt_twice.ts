import { archive, collect, encrypt, pipeline } from "@holdfast/backup";
pipeline(collect.files("/a")).pipe(archive.tar()).pipe(encrypt.plaintext()).pipe(
  encrypt.age({ recipients: ["age1"] }),
);
