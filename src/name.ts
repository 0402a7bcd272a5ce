/**
 * File names in a store: `<name>_<UTC, to the second, without colons>.<suffixes>`. One strict grammar, canonical both ways;
 * what does not fit is foreign and never touched.
 *
 * @module
 */
import type { Naming, ParsedName } from "./stage.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
const ID = /^([A-Za-z0-9][A-Za-z0-9._-]{0,99})_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)((?:\.[a-z0-9]{1,8}){1,6})$/;
const ARCHIVE_SUFFIX = /^\.tar(?:\.(?:zst|gz))?(?:\.(?:age|gpg))?$/;

/** What a backup may be called: a letter or digit, then up to 99 letters, digits, dots, dashes, underscores. */
export function checkName(name: string): string {
  if (!NAME.test(name)) {
    throw new TypeError(
      `Cannot use "${name}" as a backup name: use letters, digits, ".", "-" and "_", starting with a letter or digit, at most 100`,
    );
  }
  return name;
}

/** A time as it stands in names: "2026-11-20T03-00-00Z". */
export function formatTime(time: Date): string {
  return time.toISOString().slice(0, 19).replaceAll(":", "-") + "Z";
}

/** The time of a name, or undefined when it is not a real date. */
export function parseTime(text: string): Date | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/.test(text)) return undefined;
  const time = new Date(`${text.slice(0, 10)}T${text.slice(11, 19).replaceAll("-", ":")}Z`);
  return !Number.isNaN(time.getTime()) && formatTime(time) === text ? time : undefined;
}

/** `<name>_<time><suffix>`; throws TypeError for a name or suffix outside the grammar. */
export function formatName(name: string, time: Date, suffix: string): string {
  return `${checkName(name)}_${formatTime(time)}${suffix}`;
}

/** The parts of `<name>_<time><suffixes>`, whatever the suffixes are; undefined when the text is not of that form. */
export function parseName(id: string): ParsedName | undefined {
  const match = ID.exec(id);
  if (!match) return undefined;
  const time = parseTime(match[2]!);
  return time && { name: match[1]!, time, suffix: match[3]! };
}

/** Holdfast's own naming of archives. */
export const standardNaming: Naming = {
  prefix: (name) => `${checkName(name)}_`,
  format: (name, time, suffix) => {
    const id = formatName(name, time, suffix);
    if (!ARCHIVE_SUFFIX.test(suffix)) {
      throw new TypeError(`Cannot name an archive "${id}": the suffix "${suffix}" is not known`);
    }
    return id;
  },
  parse: (id) => {
    const parsed = parseName(id);
    return parsed && ARCHIVE_SUFFIX.test(parsed.suffix) ? parsed : undefined;
  },
};
