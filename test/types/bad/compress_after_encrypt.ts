import { archive, collect, compress, encrypt, pipeline } from "@holdfast/backup";
pipeline(collect.files("/a")).pipe(archive.tar()).pipe(encrypt.plaintext()).pipe(compress.zstd());
