/**
 * A snapshot as files: what the `nats` command writes and reads, `backup.json` and `stream.tar.s2` in a folder of the stream's name.
 * A copy message by message has `messages.ndjson` in place of the second.
 *
 * @module
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { label, toBytes, utf8 } from "../../bytes.ts";
import type { Bytes, Entry } from "../../stage.ts";
import { writeExact } from "../../nats/exact.ts";
import { flowEntries } from "./flow.ts";
import type { Flow } from "./begin.ts";
import type { Snapshot } from "./snapshot.ts";

/** The stream's configuration and state. */
export const CONFIG_FILE = "backup.json";
/** The stream's data. */
export const DATA_FILE = "stream.tar.s2";
/** The end of the stream's data, where it is longer than announced: `cat` puts the two together. */
export const REST_FILE = "stream.tar.s2.rest";
/** The stream's data as lines of JSON. */
export const MESSAGES_FILE = "messages.ndjson";

/** The entries of a snapshot below `folder`. `failed` makes of an error in the middle of one the error to throw. */
export async function* entriesOf(
  snapshot: Snapshot | Flow,
  folder: string,
  name: string,
  failed: (error: unknown) => Promise<unknown> = (error) => Promise.resolve(error),
): AsyncGenerator<Entry, void, undefined> {
  const { config, state, cutAt } = snapshot;
  const base = `${folder}${snapshot.name}`;
  const body = utf8(writeExact({ config, state }, 2));
  yield directoryEntry(base, cutAt);
  yield { ...fileEntry(`${base}/${CONFIG_FILE}`, cutAt), bytes: body.length, body };
  if ("window" in snapshot) return yield* flowEntries(snapshot, base, name, failed);
  const { content, format } = snapshot;
  const read = (): Bytes => label(name, content.read());
  const file = format === "messages" ? MESSAGES_FILE : DATA_FILE;
  yield { ...fileEntry(`${base}/${file}`, cutAt), bytes: content.size(), body: read };
}

/** A folder, private; whole seconds, so that plain tar headers do. */
export function directoryEntry(path: string, time: Date): Entry {
  return { ...fileEntry(path, time), kind: "directory", mode: 0o700 };
}

/** A file, private, still without content. */
export function fileEntry(path: string, time: Date): Entry {
  const mtimeMs = Math.floor(time.getTime() / 1000) * 1000;
  return { path, kind: "file", mode: 0o600, mtimeMs, uid: 0, gid: 0, uname: "", gname: "", bytes: 0 };
}

/** The files of a folder of streams, as entries; of all its folders, or of those named. */
export async function* entriesIn(
  folder: string,
  names?: readonly string[],
): AsyncGenerator<Entry, void, undefined> {
  for (const stream of [...names ?? await readdir(folder)].sort()) {
    for (const name of (await readdir(join(folder, stream))).sort()) {
      const path = join(folder, stream, name);
      const { size } = await Deno.stat(path);
      yield {
        ...fileEntry(`${stream}/${name}`, new Date(0)),
        bytes: size,
        body: size < 1 << 20 ? new Uint8Array(await readFile(path)) : () => reading(path),
      };
    }
  }
}

function reading(path: string): ReturnType<typeof toBytes> {
  return toBytes(async function* (): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    for await (const chunk of (await Deno.open(path)).readable) yield chunk;
  });
}
