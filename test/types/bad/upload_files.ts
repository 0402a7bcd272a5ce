import { collect, pipeline, store, upload } from "@holdfast/backup";
pipeline(collect.files("/a")).pipe(upload({ name: "a", to: store.memory() }));
