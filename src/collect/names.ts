/**
 * Names that are not UTF-8, where they cannot be written.
 *
 * @module
 */
import { reach } from "../libc/open.ts";
import { isRaw } from "../raw_name.ts";
import type { Entry, Log } from "../stage.ts";
import { quote } from "./select.ts";

/** Which names a restore can write. */
export interface Names {
  /** Whether an entry's name, and what it points to, can be written. */
  readonly takes: (entry: Pick<Entry, "path" | "target">) => boolean;
  /** Counts an entry that is left out. */
  readonly leave: (entry: Pick<Entry, "path">) => void;
  /** Says what was left out. */
  readonly report: () => void;
}

/** `raw`: names of any bytes can be written, through the C library. */
export function namesFor(raw: boolean, log: Log): Names {
  let count = 0;
  let first = "";
  return {
    takes: ({ path, target }) => raw || !isRaw(path) && (target === undefined || !isRaw(target)),
    leave: ({ path }) => {
      if (count++ === 0) first = path;
    },
    report: () => {
      if (count === 0) return;
      const found = reach();
      log.warn(
        "name",
        `Left out ${
          count === 1 ? "1 thing" : `${count} things`
        } whose name, or what it points to, is not UTF-8, such as ${quote(first)} (${
          "why" in found ? found.why : "the C library cannot be opened"
        }). Run deno with --allow-ffi, or extract the archive with tar`,
      );
    },
  };
}
