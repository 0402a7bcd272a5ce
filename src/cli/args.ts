/**
 * Arguments that several commands take.
 *
 * @module
 */
import { message, text } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { argument, flag, option } from "@optique/core/primitives";
import { integer, string, type ValueParser } from "@optique/core/valueparser";
import { path } from "@optique/run/valueparser";
import { ConfigError } from "../errors.ts";

/** A switch, off by default. */
// deno-lint-ignore explicit-function-return-type -- optique's own types carry the value
export function toggle(name: `--${string}`, about: string) {
  return optional(flag(name, { description: message`${text(about)}` }));
}

/** An option with a text. */
// deno-lint-ignore explicit-function-return-type -- optique's own types carry the value
export function textOption(name: `--${string}`, metavar: Metavar, about: string) {
  return optional(option(name, word(metavar), { description: message`${text(about)}` }));
}

/** An option with a text, given any number of times. */
// deno-lint-ignore explicit-function-return-type -- optique's own types carry the value
export function textOptions(name: `--${string}`, metavar: Metavar, about: string) {
  return multiple(option(name, word(metavar), { description: message`${text(about)}` }));
}

/** An option with a whole number. */
// deno-lint-ignore explicit-function-return-type -- optique's own types carry the value
export function numberOption(name: `--${string}`, about: string, min = 1) {
  return optional(option(name, integer({ min }), { description: message`${text(about)}` }));
}

type Metavar =
  | "DIGEST"
  | "FILE"
  | "NAME"
  | "STORE"
  | "GLOB"
  | "DIR"
  | "RECIPIENT"
  | "PROGRAM"
  | "DURATION"
  | "ZONE"
  | "TEXT"
  | "SHARE"
  | "TIME"
  | "PATH";

/** A text; the shell completes what is a path. */
export function word(metavar: Metavar): ValueParser<"sync", string> {
  switch (metavar) {
    case "FILE":
    case "PATH":
      return path({ metavar });
    case "DIR":
    case "STORE":
      return path({ metavar, type: "directory" });
    default:
      return string({ metavar });
  }
}

/** A moment as an option gives it, with its zone. */
export function timeOf(name: string, value: string): Date {
  const zoned = /^\d{4}-\d\d-\d\dT\d\d:\d\d.*(?:Z|[+-]\d\d:\d\d)$/.test(value);
  const time = new Date(zoned ? value : NaN);
  if (!Number.isNaN(time.getTime())) return time;
  throw new ConfigError(
    `Cannot use ${name} "${value}": write a time with its zone, such as 2026-11-20T03:00:00Z or 2026-11-20T04:00:00+01:00`,
  );
}

/** The backup's argument of commands that read one. */
// deno-lint-ignore explicit-function-return-type -- optique's own types carry the value
export function idArgument(metavar: "ID|latest" | "ID|latest|FILE", about: string) {
  return withDefault(
    argument(string({ metavar }), { description: message`${text(about)}` }),
    "latest",
  );
}

/** Which plans. */
export const planArgs = {
  config: textOption(
    "--config",
    "FILE",
    "A .toml configuration, or a .ts module that exports pipelines. Default: backup.toml in the current folder, if it is there",
  ),
  plan: textOption("--plan", "NAME", "The plan of the configuration"),
} as const;

/** All of them. */
export const allArg = {
  all: toggle("--all", "Every plan of the configuration, one after the other"),
} as const;

/** Where to read without a configuration. */
export const shelfArgs = {
  from: textOptions(
    "--from",
    "STORE",
    "Without a configuration: the store, a folder or a URL. Default: ./backups",
  ),
  name: textOption(
    "--name",
    "NAME",
    "Without a configuration: the backup's name, where the store holds several",
  ),
} as const;

/** Keys for reading. */
export const keyArgs = {
  identity: textOptions(
    "--identity",
    "FILE",
    "A file with age identities, or OpenPGP secret keys. Default: the plan's, else the one in your configuration folder",
  ),
  passphraseFile: textOption(
    "--passphrase-file",
    "FILE",
    "A file whose first line is the passphrase; - for standard input",
  ),
} as const;

/** How to report. */
export const outputArgs = {
  json: toggle("--json", "One JSON object a line on standard output"),
  quiet: toggle("--quiet", "No progress and no remarks; warnings and errors are shown"),
} as const;
