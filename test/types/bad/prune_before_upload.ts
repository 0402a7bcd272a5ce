import { archive, collect, encrypt, pipeline, prune } from "@holdfast/backup";
pipeline(collect.files("/a")).pipe(archive.tar()).pipe(encrypt.plaintext()).pipe(prune({ keepLast: 1 }));
