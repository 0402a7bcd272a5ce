/**
 * Seeing the content of small files on their way.
 *
 * @module
 */
import { readAll } from "../../bytes.ts";
import type { Entry, Files, U8 } from "../../stage.ts";

/** Files beyond this are not what is looked for. */
const SMALL = 1024 * 1024;

/** The same entries; `see` gets each small file's path and content before it goes on. What it throws ends the walk. */
export function tapped(files: Files, see: (path: string, content: U8) => void): Files {
  return { ...files, entries: () => tap(files, see) };
}

async function* tap(
  files: Files,
  see: (path: string, content: U8) => void,
): AsyncGenerator<Entry, void, undefined> {
  for await (const entry of files.entries()) {
    if (entry.kind !== "file" || entry.bytes > SMALL || entry.body === undefined) {
      yield entry;
      continue;
    }
    const { body } = entry;
    const content = body instanceof Uint8Array ? body : await readAll(body(), SMALL, `"${entry.path}"`);
    see(entry.path, new Uint8Array(content));
    yield { ...entry, body: content };
  }
}
