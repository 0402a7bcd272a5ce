import { archive, collect, compress, pipeline } from "@holdfast/backup";
import type { Archive, Sealed, Stage } from "@holdfast/backup";
declare const either: Stage<Archive, Archive | Sealed>;
pipeline(collect.files("/a")).pipe(archive.tar()).pipe(either).pipe(compress.gzip());
