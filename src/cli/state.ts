/**
 * What a host remembers between runs, as small files.
 *
 * @module
 */
import { join } from "node:path";
import type { Log, State, U8 } from "../stage.ts";

/**
 * State in a folder (0700), one file (0600) for each key, replaced atomically. A folder that cannot be written is a warning, once:
 * the run goes on and forgets.
 */
export function fileState(folder: string | undefined, log: Log): State {
  let warned = false;
  const forget = (why: string): void => {
    if (warned) return;
    warned = true;
    // Not a warning that counts: what is lost is a second look at deletions, the backup itself is whole.
    log.info(`Cannot remember this run in ${folder ?? "a state folder"}: ${why}`);
  };
  return {
    get: async (key) => {
      if (folder === undefined) return undefined;
      try {
        return await Deno.readFile(join(folder, fileName(key))) as U8;
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) forget(String((error as Error).message));
        return undefined;
      }
    },
    put: async (key, value) => {
      if (folder === undefined) return forget("neither HOME nor XDG_STATE_HOME is set");
      const file = join(folder, fileName(key));
      const temporary = `${file}.${crypto.randomUUID().slice(0, 8)}.tmp`;
      try {
        await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
        await Deno.writeFile(temporary, value, { mode: 0o600, createNew: true });
        await Deno.rename(temporary, file);
      } catch (error) {
        await Deno.remove(temporary).catch(() => {});
        forget(String((error as Error).message));
      }
    },
  };
}

/** A key as one file name, two keys never the same: what is not plain becomes `%` and hexadecimal. */
function fileName(key: string): string {
  const name = encodeURIComponent(key).replaceAll("*", "%2A");
  return name.startsWith(".") ? `%2E${name.slice(1)}` : name;
}
