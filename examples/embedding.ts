/**
 * Inside another program: progress on a line of one's own, cancellation by a signal, errors by class.
 *
 *     deno run -A examples/embedding.ts SOURCE STORE
 */
import {
  archive,
  backup,
  BusyError,
  collect,
  compress,
  encrypt,
  findError,
  pipeline,
  store,
  upload,
} from "@holdfast/backup";

const [source = ".", to = "./backups"] = Deno.args;
const plan = pipeline(collect.files(source))
  .pipe(archive.tar())
  .pipe(compress.zstd())
  .pipe(encrypt.plaintext())
  .pipe(upload({ name: "embedded", to: store.directory(to) }));

const cancel = new AbortController();
Deno.addSignalListener("SIGINT", () => cancel.abort());

try {
  const { id } = await backup(plan, {
    signal: cancel.signal,
    progress: ({ phase, bytes }) => console.error(`${phase}: ${bytes} bytes`),
    log: { info: console.error, warn: (kind, message) => console.error(`${kind}: ${message}`) },
  });
  console.log(id);
} catch (error) {
  if (!findError(error, BusyError)) throw error;
  console.error("Another backup is running; this one is not needed.");
}
Deno.exit();
