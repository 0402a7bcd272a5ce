import { archive, collect, pipeline, store, upload } from "@holdfast/backup";
pipeline(collect.files("/a")).pipe(archive.tar()).pipe(upload({ name: "a", to: store.memory() }));
