/**
 * Inside another program: progress on a line of one's own, cancellation by a signal, errors by class.
 *
 *     deno run -A examples/embedding.ts SOURCE STORE
 */
import { archive, backup, collect, compress, encrypt, pipeline, store, upload } from "@holdfast/backup";
import { BusyError, findError } from "@holdfast/backup";

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
    progress: ({ phase, bytes }) =>
      Deno.stderr.writeSync(new TextEncoder().encode(`\r${phase}: ${bytes} bytes `)),
    log: { info: console.error, warn: (kind, message) => console.error(`${kind}: ${message}`) },
  });
  console.log(`\n${id}`);
} catch (error) {
  if (cancel.signal.aborted) Deno.exit(130); // nothing was left behind
  if (!findError(error, BusyError)) throw error;
  console.error("Another backup is running; this one is not needed.");
}
Deno.exit();
