import { collect, compress, pipeline } from "@holdfast/backup";
pipeline(collect.files("/a")).pipe(compress.zstd());
