/**
 * How Chatto names its backups: by their time alone.
 *
 * @module
 */
import { formatTime, parseTime, standardNaming } from "../../name.ts";
import type { Naming } from "../../stage.ts";

/** The name of the shelf that Chatto's backups lie on. */
export const SHELF = "chatto";

/** Chatto's own file names: `<UTC>.tar.gz`, `<UTC>.tar.gz.age`. */
export const chattoNaming: Naming = {
  prefix: () => "",
  format: (_name, time, suffix) => `${formatTime(time)}${suffix}`,
  parse: (id) => {
    const [, stamp = "", suffix = ""] = /^(.{20})(\.tar\.gz(?:\.age)?)$/.exec(id) ?? [];
    const time = parseTime(stamp);
    return time && { name: SHELF, time, suffix };
  },
};

/** For a store that is read without a plan: Chatto's names, and those of a plan that is called "chatto". */
export const eitherNaming: Naming = {
  prefix: () => "",
  format: (name, time, suffix) =>
    (/^\.tar\.gz(?:\.age)?$/.test(suffix) ? chattoNaming : standardNaming).format(name, time, suffix),
  parse: (id) => chattoNaming.parse(id) ?? standardNaming.parse(id),
};
