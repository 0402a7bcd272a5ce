import { archive, collect, pipeline, restore } from "@holdfast/backup";
await restore(pipeline(collect.files("/a")).pipe(archive.tar()), { into: "/b" });
