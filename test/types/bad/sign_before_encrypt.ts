import { archive, collect, pipeline, sign } from "@holdfast/backup";
pipeline(collect.files("/a")).pipe(archive.tar()).pipe(sign.sha256());
