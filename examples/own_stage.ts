/**
 * A stage of your own: leaves out entries that are too large, and says so. Any annotated object with `run` and `undo` is a stage.
 *
 *     deno run -A examples/own_stage.ts SOURCE STORE
 */
import { archive, backup, collect, encrypt, pipeline, store, upload } from "@holdfast/backup";
import type { Entry, Files, Stage } from "@holdfast/backup";

/** Passes on entries of at most `bytes`. Going back there is nothing to undo: what was left out is not there. */
function atMost(bytes: number): Stage<Files, Files> {
  return {
    name: "at-most",
    run: (files, context) =>
      Promise.resolve({
        ...files,
        entries: async function* (): AsyncGenerator<Entry> {
          for await (const entry of files.entries()) {
            if (entry.bytes <= bytes) yield entry;
            else context.log.warn("large", `Left out ${entry.path}: ${entry.bytes} bytes`);
          }
        },
      }),
    undo: (files) => Promise.resolve(files),
  };
}

const [source = ".", to = "./backups"] = Deno.args;
const plan = pipeline(collect.files(source))
  .pipe(atMost(1_000_000))
  .pipe(archive.tar())
  .pipe(encrypt.plaintext()) // said aloud: this backup can be read by anyone who has it
  .pipe(upload({ name: "small-files", to: store.directory(to) }));

const result = await backup(plan);
console.log(result.id, result.status, result.warnings);
