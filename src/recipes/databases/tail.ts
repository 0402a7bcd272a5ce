/**
 * The end of a dump: a program can stop early and still exit with 0.
 *
 * @module
 */
import type { Spool } from "../../collect/spool.ts";

/** Bytes from the end in which a marker is looked for. */
const TAIL = 4096;

/** Throws unless the text stands near the end of the output. */
export async function endsWith(marker: string, path: string, output: Spool): Promise<void> {
  let last = new Uint8Array(0);
  for await (const chunk of output.read()) {
    const joined = new Uint8Array(last.length + chunk.length);
    joined.set(last);
    joined.set(chunk, last.length);
    last = joined.slice(-TAIL);
  }
  if (new TextDecoder().decode(last).includes(marker)) return;
  throw new Error(
    `Cannot back up "${path}": the dump ends before its end, the line "${marker}" is missing. ` +
      "Nothing was stored; look into the server's log, and run again",
  );
}
