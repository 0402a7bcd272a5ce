import { archive, collect, pipeline } from "@holdfast/backup";
pipeline(collect.files("/a")).pipe(archive.tar()).pipe(archive.tar());
