import { archive, backup, collect, encrypt, pipeline } from "@holdfast/backup";
await backup(pipeline(collect.files("/a")).pipe(archive.tar()).pipe(encrypt.plaintext()));
